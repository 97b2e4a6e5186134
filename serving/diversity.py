"""A ranked list spread out: maximal marginal relevance and caps, the same on every page.

The first ``POOL`` of a list are chosen from by ``pipeline.rerank``; what comes after them keeps its
order, as far as the caps let it in. The pool does not depend on the page, so pages never overlap.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from pipeline.allowed import Ranked
from pipeline.arrays import Floats, Rows
from pipeline.likeness import of_vectors
from pipeline.rerank import Caps, Reranking, rerank
from pipeline.schema import CATEGORIES
from serving.columns import Columns, FilterError
from serving.requests import MaxPer, RecommendRequest

POOL = 200
"""Of the best, among which a list is spread out."""


def spread(request: RecommendRequest) -> bool:
    """Return whether a request asks for anything but the order of scores."""
    return request.diversity > 0 or request.max_per is not None


@dataclass(frozen=True)
class Diversity:
    """Spreads lists out over the item vectors and columns of one bundle.

    Shapes:
        vectors: (N, D).
    """

    vectors: Floats
    columns: Columns
    _labels: dict[str, sp.csr_matrix] = field(default_factory=dict, repr=False)

    def spread(self, request: RecommendRequest, ranked: Ranked) -> Ranked:
        """Return a ranked list in the order that is shown; caps may leave fewer.

        Raises:
            FilterError: ``max_per`` names no column of strings.
        """
        rows, scores = ranked
        caps = None if request.max_per is None else self._caps(request.max_per, rows)
        places: Rows = np.arange(len(rows))
        if request.diversity > 0:
            places = self._greedy(ranked, 1 - request.diversity, caps)
        if caps is not None:
            places = within(caps, places)
        return rows[places], scores[places]

    def _greedy(self, ranked: Ranked, balance: float, caps: Caps | None) -> Rows:
        """Return the places of the pool spread out, then those of what follows it."""
        rows, scores = ranked[0][:POOL], ranked[1][:POOL]
        here = None if caps is None else Caps(caps.labels[: len(rows)], caps.limits)
        how = Reranking(balance, of_vectors(self.vectors[rows], "model"), here)
        chosen = rerank(np.arange(len(rows))[None], scores[None], how, len(rows))[0]
        return np.concatenate([chosen[chosen >= 0], np.arange(len(rows), len(ranked[0]))])

    def _caps(self, cap: MaxPer, rows: Rows) -> Caps:
        """Return the caps on a list, its items numbered by their places."""
        labels = sp.csr_matrix(self.labels(cap)[rows])
        return Caps(labels, np.full(labels.shape[1], cap.count, dtype=np.int64))

    def labels(self, cap: MaxPer) -> sp.csr_matrix:
        """Return which item has which value of a cap's column: CSR (N, G).

        Raises:
            FilterError: it is no column of strings.
        """
        if cap.field not in self._labels:
            name = self.columns.named(cap.field)
            if self.columns.kind(name) != "text":
                raise FilterError(f"max_per counts strings, and {cap.field} holds none")
            coded = self.columns.coded(name)
            single = cap.field != CATEGORIES
            self._labels[cap.field] = (coded.last() if single else coded).labels()
        return self._labels[cap.field]


def within(caps: Caps, places: Rows) -> Rows:
    """Return the places, in their order, that find room under the caps.

    Shapes:
        caps: of lists, by place. places: (C,). returns: up to (C,).
    """
    left = caps.limits.copy()
    bounds, columns = caps.labels.indptr, caps.labels.indices
    kept = []
    for place in places.tolist():
        labels = columns[bounds[place] : bounds[place + 1]]
        if (left[labels] > 0).all():
            left[labels] -= 1
            kept.append(place)
    return np.array(kept, dtype=np.int64)
