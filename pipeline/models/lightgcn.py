"""LightGCN (He et al., SIGIR 2020, arXiv 2002.02126): linear propagation of id embeddings.

As published: symmetric normalisation, no self-loop, mean over layers 0..L.
"""

import torch
from torch import Tensor

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
from pipeline.models.linear import (
    bipartite_step,
    drop_edges,
    fold_in,
    layer_means,
    layers_of,
    symmetric_weights,
)


@MODELS.register("lightgcn")
class LightGCN(Recommender):
    """Id embeddings of users and items, averaged over the hops of the user-item graph."""

    uses_content = False

    masks_edges = True

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Draw id embeddings from ``seed``."""
        super().__init__(inputs)
        self.options = options
        with seeded(seed):
            self.users = new_ids(inputs.users, options)
            self.items = new_ids(inputs.items, options)
        self.weights = symmetric_weights(inputs.user_item, inputs.user_degrees, inputs.item_degrees)

    def forward(
        self, noise: torch.Generator | None = None, factors: Tensor | None = None
    ) -> Vectors:
        """Return layer means and id embeddings."""
        layers = self._layers(noise, factors)
        users, items = layer_means(layers, self.options.layer_dropout, noise)
        return Vectors(users, items, self.users, self.items)

    def _layers(
        self, noise: torch.Generator | None, factors: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        to_users = drop_edges(self.weights, self.options.edge_dropout, noise)
        if factors is not None:
            to_users = to_users * factors
        step = bipartite_step(self.inputs.user_item, to_users)
        return layers_of(self.users, self.items, step, self.options.layers)

    @torch.no_grad()
    def outputs(self) -> Outputs:
        """Return vectors, and the fold-in that repeats the propagation for a new user.

        An item nobody has interacted with has only its untrained embedding: it stays out, as zero.
        """
        layers = self._layers(None)
        users, items = layer_means(layers, 0.0, None)
        degrees = self.inputs.item_degrees
        added = fold_in([x for _, x in layers], degrees, shift=0.0, scale=1.0)
        return Outputs(
            {
                "user_vectors": only_known_users(users, self.inputs),
                "item_vectors": items * self.inputs.hot.unsqueeze(1),
                "fold_in": added * self.inputs.hot.unsqueeze(1),
            }
        )
