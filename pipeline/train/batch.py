"""A batch on the model's device, and what of it must not count as a negative."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorBatch:
    """A batch on the model's device; shapes as ``sampling.Batch``.

    Shapes:
        mixed: (B, D), vectors that stand in for those of the positives; None for their own.
    """

    users: Tensor
    positives: Tensor
    negatives: Tensor
    mixed: Tensor | None = None

    def groups(self, size: int) -> Iterator["TensorBatch"]:
        """Yield consecutive parts of at most ``size`` positives; they share all negatives (M,)."""
        for start in range(0, len(self.users), size):
            part = slice(start, start + size)
            mixed = None if self.mixed is None else self.mixed[part]
            users, positives = self.users[part], self.positives[part]
            yield replace(self, users=users, positives=positives, mixed=mixed)

    def candidates(self) -> Tensor:
        """Return the items that each positive is compared with, (B + M,)."""
        return torch.cat([self.positives, self.negatives])

    def accidental_hits(self) -> Tensor:
        """Return candidates that are a positive of the same user in this batch, (B, B + M) bool."""
        hits = self.candidates().unsqueeze(0) == self.positives.unsqueeze(1)
        hits[:, : len(self.users)] |= self.users.unsqueeze(0) == self.users.unsqueeze(1)
        return hits
