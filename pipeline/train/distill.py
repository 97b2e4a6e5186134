"""Learning from a ranker's lists: what a second stage knows, put back into the vectors.

Ranking distillation (Tang and Wang, KDD 2018, arXiv 1809.07428) with a listwise loss: over a
teacher's list and items drawn at random, the student's softmax shall be the teacher's.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from safetensors import safe_open
from torch import Tensor

from pipeline import interactions
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.config import DistillConfig
from pipeline.ids import UNKNOWN
from pipeline.models.base import Recommender, Vectors
from pipeline.ranking import RankedScorer
from pipeline.scoring import Ranking
from pipeline.train.batch import TensorBatch
from pipeline.train.data import Lists

IDS = ("users", "items")
"""Parameters that are id embeddings, one row each."""


def lists_of(
    ranker: Artifact, model: Artifact, train: sp.csr_matrix, config: DistillConfig
) -> Lists:
    """Return the lists of a second stage for every user with a training interaction.

    Shapes:
        train: CSR (U, N), what the lists leave out.
    """
    scorer = RankedScorer.opened(ranker, model, train)
    length = min(config.items, train.shape[1])
    rows = np.full((train.shape[0], length), UNKNOWN)
    scores = np.full((train.shape[0], length), -np.inf, dtype=np.float32)
    users = interactions.evaluable(train, train)
    for block, found, scored in Ranking(train, length).lists(scorer, users):
        rows[block], scores[block] = found, scored
    shares = shares_of(scores, config.temperature)
    return Lists(torch.from_numpy(rows), torch.from_numpy(shares))


@torch.no_grad()
def begin_with(model: Recommender, first: Artifact) -> None:
    """Give a new model what the first network learned, so that it starts where that ended.

    Parameters of equal shape are taken over; of narrower id embeddings the numbers there are,
    beside which the new ones stand as they were drawn.
    """
    parameters = dict(model.named_parameters())
    with safe_open(first.file("weights.safetensors"), framework="pt") as file:
        for name in parameters.keys() & set(file.keys()):
            learned, into = file.get_tensor(name), parameters[name]
            if learned.shape == into.shape:
                into.copy_(learned)
            elif name in IDS and learned.shape[0] == into.shape[0]:
                width = min(learned.shape[1], into.shape[1])
                into[:, :width] = learned[:, :width].to(into.device)


def shares_of(scores: Floats, temperature: float) -> Floats:
    """Return the softmax of each row; zeros for a row without a finite score.

    Shapes:
        scores: (U, M), -inf where a list has ended. returns: (U, M) float32.
    """
    highest = scores.max(axis=1, keepdims=True, initial=-np.inf)
    distance = scores - np.where(np.isfinite(highest), highest, 0)
    weights = np.exp(distance / temperature)
    totals = weights.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    return shares.astype(np.float32)


@dataclass(frozen=True)
class Distillation:
    """The auxiliary loss of a step.

    Shapes:
        pool: (P,) item rows that the random items are drawn from.
    """

    lists: Lists
    pool: Tensor
    config: DistillConfig
    temperature: float
    """Of the student's scores."""

    @classmethod
    def of(
        cls, lists: Lists, pool: Rows, config: DistillConfig, temperature: float
    ) -> "Distillation":
        """Return the loss on the device of the lists."""
        return cls(lists, torch.from_numpy(pool).to(lists.items.device), config, temperature)

    def __call__(
        self, model: Recommender, vectors: Vectors, batch: TensorBatch, noise: torch.Generator
    ) -> Tensor:
        """Return the weighted cross-entropy between the teacher's and the student's shares, ()."""
        users = batch.users[: self.config.users]
        listed, shares = self.lists.items[users], self.lists.shares[users]
        at = torch.randint(
            len(self.pool), (self.config.negatives,), generator=noise, device=noise.device
        )
        ours = vectors.users[users] / self.temperature
        wanted = (ours.unsqueeze(1) * vectors.items[listed.clamp(min=0)]).sum(dim=2)
        others = ours @ vectors.items[self.pool[at]].T
        real = wanted.masked_fill(listed < 0, -torch.inf)
        norm = torch.cat([real, others], dim=1).logsumexp(dim=1, keepdim=True)
        loss: Tensor = -(shares * (wanted - norm)).sum(dim=1).mean()
        return self.config.weight * loss
