"""The best items for a vector when some are not allowed: always as many as there are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.nearest import top_k_faiss, top_k_of_scores
from serving.telemetry.tracing import span

_SCAN_SHARE = 0.5
"""Above this share of the catalogue, comparing with every item is the cheaper search."""

_SLACK = 1e-5
"""Relative error allowed between the index's arithmetic and ours."""

Ranked = tuple[Rows, Floats]
"""Item rows, best first, and their scores; equal scores in order of row."""


@dataclass(frozen=True)
class Wanted:
    """How many items to find for a vector, and which are not allowed.

    Shapes:
        vector: (D,). excluded: (E,) sorted rows.
    """

    vector: Floats
    count: int
    excluded: Rows

    @property
    def first_fetch(self) -> int:
        """Return how many to ask the index for: enough for any short list of exclusions."""
        return 1 + self.count + min(len(self.excluded), self.count + 64)


def top_allowed_naive(vectors: Floats, want: Wanted) -> Ranked:
    """Return the best allowed items by scoring every one: the reference.

    Shapes:
        vectors: (N, D). returns: up to ``want.count`` rows and scores.
    """
    scores = dots(vectors, want.vector)
    allowed = [row for row in range(len(vectors)) if row not in set(want.excluded.tolist())]
    best = sorted(allowed, key=lambda row: (-scores[row], row))[: want.count]
    rows = np.array(best, dtype=np.int64)
    return rows, scores[rows]


def dots(vectors: Floats, query: Floats) -> Floats:
    """Return inner products whose every bit is independent of which other rows are asked for.

    Shapes:
        vectors: (R, D). query: (D,). returns: (R,).
    """
    products: Floats = np.einsum("rd,d->r", vectors, query)
    return products


@dataclass(frozen=True)
class Retriever:
    """Searches a FAISS inner-product index, and scores what it finds afresh.

    The index is asked for more and more until the list is full and nothing it has not shown could
    belong on it; on small catalogues or long exclusions every item is scored instead. An index of
    codes is asked for ``depth`` times as many, and cannot say what it has not shown.

    Shapes:
        vectors: (N, D).
    """

    index: Any
    vectors: Floats
    depth: int = 1

    def top(self, wants: list[Wanted]) -> list[Ranked]:
        """Return the best allowed items for each; the first search of the index is shared."""
        if not wants:
            return []
        fetch = self.depth * max(want.first_fetch for want in wants)
        if self._scanning(fetch):
            with span("search", queries=len(wants), fetch=len(self.vectors)):
                return [self._scan(want) for want in wants]
        queries = np.stack([want.vector for want in wants])
        with span("search", queries=len(queries), fetch=fetch):
            rows, scores = top_k_faiss(self.index, queries, fetch)
        return [
            self._settled(want, *found) or self._search(want, 2 * fetch)
            for want, found in zip(wants, zip(rows, scores, strict=True), strict=True)
        ]

    def _search(self, want: Wanted, fetch: int) -> Ranked:
        while not self._scanning(fetch):
            rows, scores = top_k_faiss(self.index, want.vector[None], fetch)
            if settled := self._settled(want, rows[0], scores[0]):
                return settled
            fetch *= 2
        return self._scan(want)

    def _scanning(self, fetch: int) -> bool:
        return fetch >= _SCAN_SHARE * len(self.vectors)

    def _settled(self, want: Wanted, rows: Rows, scores: Floats) -> Ranked | None:
        """Return the list if it is full and no item beyond the last one found could be on it."""
        if rows[-1] < 0:
            return None
        kept = rows[~np.isin(rows, want.excluded)]
        if len(kept) < want.count:
            return None
        best, exact = self._best(kept, want)
        if self.depth > 1:
            return best, exact
        slack = _SLACK * max(abs(scores[0]), abs(scores[-1]))
        return (best, exact) if exact[-1] > scores[-1] + slack else None

    def _scan(self, want: Wanted) -> Ranked:
        scores = np.asarray(self.vectors @ want.vector)
        scores[want.excluded] = -np.inf
        # A few more than wanted: the order at the edge is settled by ``dots``.
        rows, found = top_k_of_scores(scores[None], want.count + 16)
        return self._best(rows[0][np.isfinite(found[0])], want)

    def _best(self, rows: Rows, want: Wanted) -> Ranked:
        scores = dots(self.vectors[rows], want.vector)
        order = np.lexsort((rows, -scores))[: want.count]
        return rows[order], scores[order]
