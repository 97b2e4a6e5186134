"""The loss of one batch, from a model's vectors: losses by name, and the penalty on ids."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.models.base import Vectors
from pipeline.models.losses import bce_loss, bpr_loss, id_penalty
from pipeline.models.neighborhood import Neighborhood
from pipeline.models.regularizers import Mixing, perturbation
from pipeline.registry import Registry
from pipeline.train.batch import TensorBatch
from pipeline.train.sampled_softmax import Softmax


@dataclass(frozen=True)
class Objective:
    """What a step minimises.

    Shapes:
        log_expected: (N,), the log of how often an item is expected among a positive's candidates.
    """

    loss: str
    penalty: float
    temperature: float
    log_expected: Tensor
    label_smoothing: float = 0.0
    mixup: float = 0.0
    adversarial_weight: float = 0.0
    adversarial_radius: float = 0.3
    in_batch: int = 2048
    """Positives that are one another's candidates (softmax)."""

    def __call__(
        self, vectors: Vectors, batch: TensorBatch, noise: torch.Generator | None = None
    ) -> Tensor:
        """Return the loss of a batch, what the model adds, and the penalty on id embeddings, ().

        ``noise`` draws the mixtures of mixup; None mixes nothing.
        """
        if self.mixup and noise is not None:
            loss = self.mixed(vectors, batch, Mixing.drawn(len(batch.users), self.mixup, noise))
        else:
            loss = LOSSES[self.loss](vectors, batch, self)
        if self.adversarial_weight:
            loss = loss + self.adversarial_weight * self.adversarial(vectors, batch)
        if vectors.extra is not None:
            loss = loss + vectors.extra
        if not self.penalty:
            return loss
        rows = torch.cat([batch.positives, batch.negatives.flatten()])
        return loss + self.penalty * id_penalty(
            vectors.user_ids[batch.users], vectors.item_ids[rows]
        )

    def near(self, near: Neighborhood | None) -> "Objective":
        """Return the objective for vectors of a batch's own items alone; itself for all items."""
        if near is None:
            return self
        return replace(self, log_expected=self.log_expected[near.items[: near.own[1]]])

    def mixed(self, vectors: Vectors, batch: TensorBatch, mixing: Mixing) -> Tensor:
        """Return the loss of mixtures of two positives, each wanted by both of their users, ().

        Mixup (Zhang et al., ICLR 2018, arXiv 1710.09412) for ranking: the mixture of two inputs is
        ``m = s i + (1 - s) j``, and the mixture of their targets is not a number between two
        labels, since a ranking loss has none, but the two users: ``s loss(user of i, m) + (1 - s)
        loss(user of j, m)``, each against that user's own negatives. What is mixed are vectors
        after propagation (manifold mixup, Verma et al., ICML 2019): as propagation is linear, m is
        what an item with the mixed input and the mixed edges of both would get.
        """
        led, followed = mixing.both_sides(vectors.items[batch.positives])
        loss, share = LOSSES[self.loss], mixing.share
        return share * loss(vectors, replace(batch, mixed=led), self) + (1 - share) * loss(
            vectors, replace(batch, mixed=followed), self
        )

    def adversarial(self, vectors: Vectors, batch: TensorBatch) -> Tensor:
        """Return the loss once every vector has moved where that raises it most, ().

        Adversarial personalised ranking (He et al., SIGIR 2018, arXiv 1808.03908): the moves along
        the gradient (see ``regularizers.perturbation``) are constants to the step. Theirs move the
        embeddings of matrix factorisation; ours the vectors whose inner products are scores, which
        for it are the same.
        """
        ends = [x.detach().requires_grad_() for x in (vectors.users, vectors.items)]
        still = replace(vectors, users=ends[0], items=ends[1])
        gradients = torch.autograd.grad(LOSSES[self.loss](still, batch, self), ends)
        users, items = (
            perturbation(end, gradient, self.adversarial_radius)
            for end, gradient in zip(ends, gradients, strict=True)
        )
        moved = replace(vectors, users=vectors.users + users, items=vectors.items + items)
        return LOSSES[self.loss](moved, batch, self)


BatchLoss = Callable[[Vectors, TensorBatch, Objective], Tensor]

LOSSES: Registry[BatchLoss] = Registry("loss")
"""Losses by the name the configuration uses."""


@LOSSES.register("bpr")
def _bpr(vectors: Vectors, batch: TensorBatch, _: Objective) -> Tensor:
    return bpr_loss(*_pair_scores(vectors, batch))


@LOSSES.register("bce")
def _bce(vectors: Vectors, batch: TensorBatch, _: Objective) -> Tensor:
    return bce_loss(*_pair_scores(vectors, batch))


@LOSSES.register("softmax")
def _softmax(vectors: Vectors, batch: TensorBatch, objective: Objective) -> Tensor:
    of = Softmax(
        objective.log_expected,
        objective.temperature,
        objective.in_batch,
        objective.label_smoothing,
    )
    return of.loss(vectors.users, vectors.items, batch)


def _pair_scores(vectors: Vectors, batch: TensorBatch) -> tuple[Tensor, Tensor]:
    """Return scores of positives (B,) and negatives (B, K)."""
    users = vectors.users[batch.users]
    wanted = vectors.items[batch.positives] if batch.mixed is None else batch.mixed
    positive = (users * wanted).sum(dim=1)
    negative = (users.unsqueeze(1) * vectors.items[batch.negatives]).sum(dim=2)
    return positive, negative


def log_expected(popularity: Tensor, pool: Tensor, batch_size: int, negatives: int) -> Tensor:
    """Return the log of each item's expected count among in-batch and uniform candidates.

    Shapes:
        popularity: (N,) training interactions. pool: (P,) item rows. returns: (N,).
    """
    expected = batch_size * popularity / popularity.sum().clamp(min=1)
    expected[pool] += negatives / max(1, len(pool))
    return expected.clamp(min=1e-9).log()
