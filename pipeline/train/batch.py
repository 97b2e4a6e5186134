"""A batch on the model's device, and what of it must not count as a negative."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.models.neighborhood import Neighborhood


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
    near: Neighborhood | None = None
    """Where propagation is sampled: what rows number into; None for the whole graph."""

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

    def accidental_pairs(self) -> tuple[Tensor, Tensor]:
        """Return where ``accidental_hits`` is true: rows (H,), rising, and columns (H,)."""
        by_item = _equal(self.positives, self.candidates())
        by_user = _equal(self.users, self.users)
        width = len(self.users) + len(self.negatives)
        pairs = torch.cat([row * width + column for row, column in (by_item, by_user)])
        pairs = torch.unique(pairs)
        return pairs // width, pairs % width


def _equal(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return every pair of places that hold the same number.

    Shapes:
        left: (A,). right: (B,). returns: places in left (H,), places in right (H,).
    """
    ordered, order = right.sort()
    first, last = (torch.searchsorted(ordered, left, right=side) for side in (False, True))
    sizes = last - first
    rows = torch.repeat_interleave(torch.arange(len(left), device=left.device), sizes)
    begins = torch.repeat_interleave(first - (sizes.cumsum(0) - sizes), sizes)
    return rows, order[begins + torch.arange(len(rows), device=left.device)]
