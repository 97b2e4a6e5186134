"""The lists a model shows, and what re-ranking makes of them, kept for all users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.crew import Crew
from pipeline.evaluate.metrics import Metric, hits_of, rank_metrics
from pipeline.evaluate.protocol import Subject
from pipeline.measure import Bar
from pipeline.rerank import Reranking, rerank, taken
from pipeline.scoring import Scorer


@dataclass(frozen=True)
class Variant:
    """A re-ranking of a model's lists."""

    how: Reranking
    candidates: int
    """Of so many of the best a list is made; never fewer than it is long."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """For the protocol card."""


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
        n_relevant = np.diff(self.subject.relevant.indptr)[self.subject.users]
        return rank_metrics(self.hits, n_relevant, metrics)

    @cached_property
    def hits(self) -> Flags:
        """Return which items shown are relevant to their user.

        Shapes:
            returns: (B, L).
        """
        return hits_of(self.items, self.subject.users, self.subject.relevant)

    def n_shorter(self, k: int) -> int:
        """Return how many lists end before k items."""
        return int(((self.items[:, :k] >= 0).sum(axis=1) < k).sum())

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


def show(
    scorer: Scorer,
    subject: Subject,
    k: int,
    bar: Bar,
    variants: Mapping[str, Variant] | None = None,
    crew: Crew | None = None,
) -> dict[str, Shown]:
    """Return the lists of length ``k`` of every user: the scorer's own under ``""``, then variants.

    All are made in one pass over the scores, block by block.
    """
    wanted = variants or {}
    length = min(k, subject.train.shape[1])
    items = {name: np.empty((len(subject.users), length), np.int32) for name in ("", *wanted)}
    depth, done = max([length, *(v.candidates for v in wanted.values())]), 0
    for block, best, scores in subject.ranking(depth).lists(scorer, subject.users, crew):
        part = slice(done, done + len(block))
        items[""][part] = best[:, :length]
        for name, variant in wanted.items():
            of = slice(max(length, variant.candidates))
            places = rerank(best[:, of], scores[:, of], variant.how, length)
            items[name][part] = taken(best[:, of], places)
        done += len(block)
        bar.advance(len(block))
    return {name: Shown(subject, each) for name, each in items.items()}
