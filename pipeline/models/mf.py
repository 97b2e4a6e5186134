"""Matrix factorisation trained by pairs (BPR-MF: Rendle et al., UAI 2009, arXiv 1205.2618)."""

import torch

from pipeline.models.base import (
    MODELS,
    Inputs,
    Options,
    Outputs,
    Recommender,
    Vectors,
    new_ids,
    only_known_users,
    seeded,
)


@MODELS.register("mf")
class MatrixFactorization(Recommender):
    """One vector per user and per item; a score is their inner product (no bias terms)."""

    uses_content = False

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Draw id embeddings from ``seed``."""
        super().__init__(inputs)
        with seeded(seed):
            self.users = new_ids(inputs.users, options)
            self.items = new_ids(inputs.items, options)

    def forward(self, noise: torch.Generator | None = None) -> Vectors:
        """Return the embeddings themselves."""
        return Vectors(self.users, self.items, self.users, self.items)

    @torch.no_grad()
    def outputs(self) -> Outputs:
        """Return vectors; a new user is the scaled mean of the items in the history.

        An item nobody has interacted with never met a positive: it stays out, as zero.
        """
        items = self.items * self.inputs.hot.unsqueeze(1)
        users = only_known_users(self.users, self.inputs)
        return Outputs(
            {"user_vectors": users.clone(), "item_vectors": items, "fold_in": items.clone()}
        )
