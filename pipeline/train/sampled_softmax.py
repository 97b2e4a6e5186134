"""Sampled softmax over a batch, in groups of positives that are one another's candidates.

Scores grow with the square of a group, so a large batch, which propagation wants, is scored in
groups. The fast way takes the gradient of each group at once: its scores do not outlive it, and
autograd passes over none of them. The slow twin is ``losses.softmax_loss`` under autograd, which
also knows mixtures and label smoothing.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.models.losses import softmax_loss
from pipeline.train.batch import TensorBatch

_TILE = 512
"""Positives whose scores are held at once on a processor: 4.7 MB against 2,304 candidates."""


@dataclass(frozen=True)
class Softmax:
    """Of which scores, against how many.

    Shapes:
        log_expected: (N,), the log of how often an item is expected among a group's candidates.
    """

    log_expected: Tensor
    temperature: float
    group: int
    """Positives that are one another's candidates."""
    smoothing: float = 0.0

    def loss(self, users: Tensor, items: Tensor, batch: TensorBatch) -> Tensor:
        """Return the mean loss over a batch's positives, ().

        Shapes:
            users: (U, D). items: (N, D).
        """
        if batch.mixed is not None or self.smoothing:
            return self.by_autograd(users, items, batch)
        return cast(Tensor, _AtOnce.apply(users, items, batch, self))  # type: ignore[no-untyped-call]

    def by_autograd(self, users: Tensor, items: Tensor, batch: TensorBatch) -> Tensor:
        """Return what ``loss`` returns, keeping every score for the gradient."""
        total = users.new_zeros(())
        for group in batch.groups(self.group):
            total = total + len(group.users) / len(batch.users) * self._of(users, items, group)
        return total

    def _of(self, users: Tensor, items: Tensor, group: TensorBatch) -> Tensor:
        left, rows = users[group.users] / self.temperature, group.candidates()
        scores = left @ items[rows].T
        return softmax_loss(
            scores.diagonal() if group.mixed is None else (left * group.mixed).sum(dim=1),
            scores,
            group.accidental_hits(),
            (self.log_expected[group.positives], self.log_expected[rows]),
            self.smoothing,
        )


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, batch: TensorBatch, of: Softmax) -> Tensor:  # noqa: ANN401
        """Return the loss, (); its gradients are ready before they are asked for."""
        grads = torch.zeros_like(users), torch.zeros_like(items)
        total = users.new_zeros(())
        for group in batch.groups(of.group):
            total += _add_group(users, items, group, of, grads)
        count = len(batch.users)
        ctx.save_for_backward(*(grad.div_(count) for grad in grads))
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: ANN401
        """Return the gradients of users (U, D) and items (N, D)."""
        to_users, to_items = ctx.saved_tensors
        return grads[0] * to_users, grads[0] * to_items, None, None


def _add_group(
    users: Tensor, items: Tensor, group: TensorBatch, of: Softmax, grads: tuple[Tensor, Tensor]
) -> Tensor:
    """Return the sum of a group's losses, (), and add its gradients to ``grads``.

    On a processor the scores are made and used up a few positives at a time, in its cache.
    """
    rows, count = group.candidates(), len(group.users)
    right, expected = items[rows], of.log_expected[rows]
    tile = _TILE if users.device.type == "cpu" else count
    hits = group.accidental_pairs()
    begins = torch.searchsorted(hits[0], torch.arange(0, count + tile, tile, device=rows.device))
    to_right, total = torch.zeros_like(right), users.new_zeros(())
    for at, start in enumerate(range(0, count, tile)):
        own = slice(start, min(start + tile, count))
        left = users[group.users[own]] / of.temperature
        hit = slice(int(begins[at]), int(begins[at + 1]))
        scores = torch.addmm(expected, left, right.T, beta=-1)
        target = (left * right[own]).sum(dim=1) - expected[own]
        scores[hits[0][hit] - start, hits[1][hit]] = -torch.inf
        highest = torch.maximum(scores.amax(dim=1), target)
        wanted = (target - highest).exp()
        shares = scores.sub_(highest.unsqueeze(1)).exp_()
        sums = shares.sum(dim=1) + wanted
        lack = (wanted / sums - 1).unsqueeze(1)  # the gradient of the positive's score
        # And of each candidate's: its share of the sum, divided where the matrix is narrow.
        to_left = (shares @ right).div_(sums.unsqueeze(1)).addcmul_(lack, right[own])
        to_right.addmm_(shares.T, left / sums.unsqueeze(1))
        to_right[own].addcmul_(lack, left)
        grads[0].index_add_(0, group.users[own], to_left.div_(of.temperature))
        total += (sums.log() + highest - target).sum()
    grads[1].index_add_(0, rows, to_right)
    return total
