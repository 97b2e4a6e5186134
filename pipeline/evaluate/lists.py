"""The lists a model shows, kept for all users, and what can be said of them beyond hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.evaluate.metrics import Metric, hits_of, rank_metrics
from pipeline.evaluate.protocol import Subject
from pipeline.measure import Bar
from pipeline.scoring import Scorer


@dataclass(frozen=True)
class Shown:
    """The top of the ranking for each user of a subject.

    Shapes:
        items: (B, L) int32, best first, ``UNKNOWN`` where a list has ended.
    """

    subject: Subject
    items: Rows

    def metrics(self, metrics: Sequence[Metric]) -> dict[str, Floats]:
        """Return each user's value of each metric.

        Shapes:
            returns: (B,) each.
        """
        return self.metrics_among(self.subject.users, self.subject.relevant, metrics)

    def metrics_among(
        self, users: Rows, relevant: sp.csr_matrix, metrics: Sequence[Metric]
    ) -> dict[str, Floats]:
        """Return the metrics of some of the users when only ``relevant`` items count as hits.

        Shapes:
            users: (C,), part of the subject's. relevant: CSR (U, N), rows sorted.
            returns: (C,) each.
        """
        items = self.items[np.searchsorted(self.subject.users, users)]
        n_relevant = np.diff(relevant.indptr)[users]
        return rank_metrics(hits_of(items, users, relevant), n_relevant, metrics)


def show(scorer: Scorer, subject: Subject, k: int, bar: Bar) -> Shown:
    """Return the lists of length ``k`` of every user of the subject."""
    length = min(k, subject.train.shape[1])
    items = np.empty((len(subject.users), length), dtype=np.int32)
    done = 0
    for block, best, _ in subject.ranking(k).lists(scorer, subject.users):
        items[done : done + len(block)] = best
        done += len(block)
        bar.advance(len(block))
    return Shown(subject, items)


def popularity_metrics(shown: Shown, ks: Sequence[int]) -> dict[str, Floats]:
    """Return, per user, the mean popularity and novelty of the first k items shown.

    Popularity is the number of training interactions; novelty is -log2((1 + popularity) /
    (1 + users)), the information in seeing the item taken (mean inverse user frequency, smoothed
    so that an item nobody took has a finite value).

    Shapes:
        returns: (B,) each, by ``popularity@k`` and ``novelty@k``.
    """
    train = shown.subject.train
    popularity = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)
    novelty = -np.log2((1 + popularity) / (1 + train.shape[0]))
    values: dict[str, Floats] = {}
    for name, of_item in ("popularity", popularity), ("novelty", novelty):
        for k in ks:
            items = shown.items[:, :k]
            values[f"{name}@{k}"] = _mean_where(of_item[items], items >= 0)
    return values


def _mean_where(values: Floats, counted: Flags) -> Floats:
    return np.asarray((values * counted).sum(axis=1) / np.maximum(1, counted.sum(axis=1)))


def coverage(shown: Shown, ks: Sequence[int]) -> Mapping[str, float]:
    """Return the share of the candidates that stand in at least one list, by ``coverage@k``."""
    n_candidates = max(1, int(shown.subject.candidates.sum()))
    tops = {k: np.unique(shown.items[:, :k]) for k in ks}
    return {f"coverage@{k}": float((top >= 0).sum() / n_candidates) for k, top in tops.items()}
