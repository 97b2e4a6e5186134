"""Ranking metrics, per user: what a list of K items is worth to somebody with |T| relevant ones.

With H hits in the top K: Recall = H / |T|, Precision = H / K, Hit = H > 0, MRR = 1 / rank of the
first hit, NDCG = binary gains over log2(rank + 1) divided by the same sum of an ideal list of
min(K, |T|) hits, MAP = precision at each hit, summed, divided by min(K, |T|). A hit beyond K is
none. These are the definitions of MMRec, RecBole, RePlay, LensKit and PyG; ``docs/reference/
metrics.md`` says where other libraries differ.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.crew import Crew
from pipeline.errors import ConfigError, suggest
from pipeline.interactions import entries, evaluable
from pipeline.scoring import Ranking, Scorer


@dataclass(frozen=True, order=True)
class Metric:
    """A metric at a list length; ``str`` gives the canonical spelling, such as ``ndcg@10``."""

    name: str
    k: int

    @classmethod
    def parse(cls, spelling: str) -> "Metric":
        """Return the metric that ``spelling`` names; case and spaces do not matter.

        Raises:
            ConfigError: no such metric, or no positive list length.
        """
        match = re.fullmatch(r"\s*([a-z]+)\s*@\s*([1-9][0-9]*)\s*", spelling.lower())
        name = match[1] if match else spelling.lower().split("@")[0].strip()
        if match is None or name not in KERNELS:
            hint = suggest(name, [*KERNELS])
            raise ConfigError(
                f"metric {spelling!r} is not known{hint}; write NAME@K, such as ndcg@10, with NAME "
                f"one of {[*KERNELS]}"
            )
        return cls(name, int(match[2]))

    def __str__(self) -> str:
        """Return the canonical spelling."""
        return f"{self.name}@{self.k}"


def _recall(hits: Flags, n_relevant: Rows) -> Floats:
    return np.asarray(hits.sum(axis=1) / n_relevant)


def _precision(hits: Flags, n_relevant: Rows) -> Floats:
    return np.asarray(hits.mean(axis=1))


def _hit(hits: Flags, n_relevant: Rows) -> Floats:
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def _mrr(hits: Flags, n_relevant: Rows) -> Floats:
    return np.asarray(hits.any(axis=1) / (1.0 + hits.argmax(axis=1)))


def _ndcg(hits: Flags, n_relevant: Rows) -> Floats:
    discounts = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_relevant, hits.shape[1]) - 1]
    return np.asarray((hits * discounts).sum(axis=1) / ideal)


def _map(hits: Flags, n_relevant: Rows) -> Floats:
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    summed = (precisions * hits).sum(axis=1)
    return np.asarray(summed / np.minimum(n_relevant, hits.shape[1]))


KERNELS: dict[str, Callable[[Flags, Rows], Floats]] = {
    "recall": _recall,
    "ndcg": _ndcg,
    "precision": _precision,
    "map": _map,
    "mrr": _mrr,
    "hit": _hit,
}
"""Metric names to functions of hits (B, K) and the number of relevant items (B,) to (B,)."""


def rank_metrics(hits: Flags, n_relevant: Rows, metrics: Sequence[Metric]) -> dict[str, Floats]:
    """Return each user's value of each metric, by canonical spelling.

    Shapes:
        hits: (B, L), whether the item at each rank is relevant, best first; lists shorter than
        a metric's K count as ending in misses. n_relevant: (B,), positive. returns: (B,) each.
    """
    if len(n_relevant) and n_relevant.min() < 1:
        raise ValueError("a user without a relevant item has no ranking metric; leave it out")
    longest = max((m.k for m in metrics), default=0)
    padded = np.pad(hits, ((0, 0), (0, max(0, longest - hits.shape[1]))))
    return {str(m): KERNELS[m.name](padded[:, : m.k], n_relevant) for m in metrics}


def hits_of(items: Rows, users: Rows, relevant: sp.csr_matrix) -> Flags:
    """Return which listed items are relevant to their user.

    Shapes:
        items: (B, L), ``UNKNOWN`` where a list has ended. users: (B,). relevant: CSR (U, N),
        rows sorted. returns: (B, L).
    """
    width = relevant.shape[1]
    position, column = entries(relevant, users)
    known = position.astype(np.int64) * width + column
    if not len(known):
        return np.zeros(items.shape, dtype=np.bool_)
    wanted = np.arange(len(users))[:, None] * width + items
    at = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.asarray((known[at] == wanted) & (items >= 0))


def evaluate_users(
    scorer: Scorer,
    users: Rows,
    relevant: sp.csr_matrix,
    ranking: Ranking,
    metrics: Sequence[Metric],
    crew: Crew | None = None,
) -> dict[str, Floats]:
    """Return each user's value of each metric under full ranking, in blocks of bounded memory.

    Shapes:
        users: (B,), each with a relevant item. relevant: CSR (U, N), rows sorted.
        returns: (B,) for each metric, in order of ``users``.
    """
    n_relevant = np.diff(relevant.indptr)
    parts = [
        rank_metrics(hits_of(items, block, relevant), n_relevant[block], metrics)
        for block, items, _ in ranking.lists(scorer, users, crew)
    ]
    empty = np.empty(0)
    return {str(m): np.concatenate([empty, *(part[str(m)] for part in parts)]) for m in metrics}


def validate(
    scorer: Scorer,
    train: sp.csr_matrix,
    held_out: sp.csr_matrix,
    metrics: Sequence[Metric],
    crew: Crew | None = None,
) -> dict[str, float]:
    """Return the mean of each metric over the users that can be evaluated; training is masked.

    What training calls between epochs: every item is a candidate. No user to evaluate gives 0.

    Shapes:
        train, held_out: CSR (U, N), rows sorted.
    """
    users = evaluable(train, held_out)
    ranking = Ranking(train, k=max(m.k for m in metrics))
    values = evaluate_users(scorer, users, held_out, ranking, metrics, crew)
    return {name: float(each.mean()) if len(each) else 0.0 for name, each in values.items()}
