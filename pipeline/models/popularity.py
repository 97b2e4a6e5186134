"""Popularity: every user is shown the items with most training interactions."""

import torch

from pipeline.models.base import MODELS, Inputs, Options, Outputs, Recommender, only_known_users


@MODELS.register("popularity")
class Popularity(Recommender):
    """Vectors of width 1: an item's is its count, a user's is 1."""

    uses_content = False

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Count the training interactions; options and seed do not matter."""
        super().__init__(inputs)

    def outputs(self) -> Outputs:
        """Return vectors; a fold-in of 1 gives every new user a positive factor."""
        counts = self.inputs.item_degrees.unsqueeze(1)
        ones = torch.ones(self.inputs.users, 1, device=counts.device)
        return Outputs(
            {
                "user_vectors": only_known_users(ones, self.inputs),
                "item_vectors": counts,
                "fold_in": torch.ones_like(counts),
            }
        )
