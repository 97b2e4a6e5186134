"""The best items for a vector when some are not allowed: always as many as there are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.arrays import Flags, Floats, Rows
from pipeline.lists import InvertedLists, processors
from pipeline.nearest import top_k_faiss, top_k_of_scores
from serving.filters import Selection
from serving.live.grown import GrownIndex
from serving.telemetry.tracing import span

_SCAN_SHARE = 0.5
"""Above this share of the catalogue, comparing with every item is the cheaper search."""

_DIRECT_SHARE = 0.1
"""Up to this share of the catalogue, what a filter leaves is scored item by item."""

_SLACK = 1e-5
"""Relative error allowed between the index's arithmetic and ours."""

_GATHERED_AT_ONCE = 1 << 18
"""Vectors scored afresh at once."""

_TOGETHER = 64
"""From so many queries on, reading each list once for all of them is the faster search."""

_BEYOND = 8
"""Items scored afresh beyond those wanted."""

_LOWEST = float(np.finfo(np.float32).min)

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
    selection: Selection | None = None
    """The only items that may be found; None for all."""

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
    barred = set(want.excluded.tolist())
    left = range(len(vectors)) if want.selection is None else want.selection.rows.tolist()
    allowed = [row for row in left if row not in barred]
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
    codes is asked for ``depth`` times as many, and cannot say what it has not shown. Where a filter
    leaves few items those alone are scored; where it leaves many the index is told, and looks
    through so many more lists as the filter leaves fewer items in each.

    Shapes:
        vectors: (N, D).
    """

    index: Any
    vectors: Floats
    depth: int = 1

    def top(self, wants: Sequence[Wanted]) -> list[Ranked]:
        """Return the best allowed items for each; the index is searched once for each filter."""
        found: dict[int, Ranked] = {}
        shared = defaultdict[int, list[int]](list)
        for place, want in enumerate(wants):
            if self._direct(want):
                found[place] = self._scan(want)
            else:
                shared[id(want.selection)].append(place)
        for places in shared.values():
            fetch = self.depth * max(wants[place].first_fetch for place in places)
            step = max(1, _GATHERED_AT_ONCE // fetch)
            for start in range(0, len(places), step):
                block = places[start : start + step]
                found.update(zip(block, self._searched([wants[p] for p in block]), strict=True))
        return [found[place] for place in range(len(wants))]

    def _searched(self, wants: Sequence[Wanted]) -> list[Ranked]:
        """Return the best for wants of one filter, by one search that they share."""
        fetch = self.depth * max(want.first_fetch for want in wants)
        if self._scanning(fetch, wants[0]):
            return [self._scan(want) for want in wants]
        queries = np.stack([want.vector for want in wants])
        settled = self._settled(wants, queries, *self._ask(queries, fetch, wants[0].selection))
        return [
            done or self._deeper(want, 2 * fetch) for want, done in zip(wants, settled, strict=True)
        ]

    def _deeper(self, want: Wanted, fetch: int) -> Ranked:
        while not self._scanning(fetch, want):
            queries = want.vector[None]
            found = self._ask(queries, fetch, want.selection)
            if settled := self._settled([want], queries, *found)[0]:
                return settled
            fetch *= 2
        return self._scan(want)

    def _ask(self, queries: Floats, fetch: int, selection: Selection | None) -> Ranked:
        with span("search", queries=len(queries), fetch=fetch):
            return self._searching(queries, fetch, selection)

    def _searching(self, queries: Floats, fetch: int, selection: Selection | None) -> Ranked:
        if selection is None:
            lists = self._lists if len(queries) >= _TOGETHER else None
            if lists is None:
                return top_k_faiss(self.index, queries, fetch)
            return lists.search(queries, fetch, processors())
        whole = np.ascontiguousarray(queries)
        if isinstance(self.index, GrownIndex):
            limits = _limits(self.index.base, selection)
            scores, rows = self.index.search(whole, fetch, selection.flags, params=limits)
        else:
            limits = _limits(self.index, selection)
            scores, rows = self.index.search(whole, fetch, params=limits)
        return rows, scores

    def prepare(self) -> None:
        """Look up where the index keeps its lists, before anybody waits for it."""
        _ = self._lists

    @cached_property
    def _lists(self) -> InvertedLists | None:
        return InvertedLists.of(self.index)

    def _direct(self, want: Wanted) -> bool:
        """Return whether the items that a filter leaves are scored one by one."""
        left = want.selection
        few = left is not None and len(left.rows) <= _DIRECT_SHARE * len(self.vectors)
        return few or (left is not None and not _selects(self.index))

    def _scanning(self, fetch: int, want: Wanted) -> bool:
        there = len(self.vectors) if want.selection is None else len(want.selection.rows)
        return fetch >= _SCAN_SHARE * there

    def _settled(
        self, wants: Sequence[Wanted], queries: Floats, rows: Rows, scores: Floats
    ) -> list[Ranked | None]:
        """Return each list if it is full and no item beyond those scored could be on it.

        Only the first few that are allowed are scored afresh; where the last of them is too near
        the last that is wanted, the list is not settled yet.

        Shapes:
            queries: (B, D). rows, scores: (B, F).
        """
        every = np.arange(len(rows))[:, None]
        free = (rows >= 0) & ~_among(rows, [want.excluded for want in wants], len(self.vectors))
        there, whole = free.sum(axis=1), rows[:, -1] >= 0
        most = max(want.count for want in wants)
        wide = min(rows.shape[1], self.depth * most + _BEYOND)
        first = np.argsort(~free, axis=1, kind="stable")[:, :wide]
        last = np.where(there > wide, scores[every[:, 0], first[:, -1]], scores[:, -1])
        last = np.where(whole, last, 0)
        edges = (last + _SLACK * np.maximum(abs(scores[:, 0]), abs(last))).tolist()
        rows, free = rows[every, first], free[every, first]
        exact = np.einsum("bfd,bd->bf", self.vectors[rows], queries)
        exact[~free] = _LOWEST
        order = np.lexsort((rows, -exact))[:, :most]
        rows, exact = rows[every, order], exact[every, order]
        full = [*zip(whole.tolist(), there.tolist(), edges, strict=True)]
        return [
            (rows[b, : want.count], exact[b, : want.count])
            if ended and held >= want.count and self._sure(exact[b], want.count, edge)
            else None
            for b, (want, (ended, held, edge)) in enumerate(zip(wants, full, strict=True))
        ]

    def _sure(self, exact: Floats, count: int, edge: float) -> bool:
        """Return whether the last that is wanted stands above everything not scored afresh."""
        return self.depth > 1 or not count or bool(exact[count - 1] > edge)

    def _scan(self, want: Wanted) -> Ranked:
        """Return the best by scoring every item that the filter leaves."""
        with span("search", queries=1, fetch=len(self.vectors)):
            return self._scanned(want)

    def _scanned(self, want: Wanted) -> Ranked:
        if want.selection is not None:
            rows = want.selection.rows
            rows = rows[~np.isin(rows, want.excluded)] if len(want.excluded) else rows
            return _best(rows, dots(self.vectors[rows], want.vector), want.count)
        scores = np.asarray(self.vectors @ want.vector)
        scores[want.excluded] = -np.inf
        # A few more than wanted: the order at the edge is settled by ``dots``.
        rows, found = top_k_of_scores(scores[None], want.count + 16)
        rows = rows[0][np.isfinite(found[0])]
        return _best(rows, dots(self.vectors[rows], want.vector), want.count)


def _best(rows: Rows, scores: Floats, count: int) -> Ranked:
    """Return the best of scored rows; only those that reach the last place are sorted."""
    if 0 < count < len(rows):
        reaches = scores >= np.partition(scores, len(rows) - count)[len(rows) - count]
        rows, scores = rows[reaches], scores[reaches]
    order = np.lexsort((rows, -scores))[:count]
    return rows[order], scores[order]


def _among(rows: Rows, lists: Sequence[Rows], items: int) -> Flags:
    """Return which of each row's items stand in its list.

    Shapes:
        rows: (B, F). lists: B of sorted rows. returns: (B, F).
    """
    lengths = [len(each) for each in lists]
    if not sum(lengths):
        return np.zeros(rows.shape, dtype=np.bool_)
    owners = np.repeat(np.arange(len(lists)), lengths)
    barred = owners * items + np.concatenate(lists)
    wanted = np.arange(len(rows))[:, None] * items + rows
    at = np.minimum(np.searchsorted(barred, wanted), len(barred) - 1)
    found: Flags = barred[at] == wanted
    return found


def _selects(index: Any) -> bool:  # noqa: ANN401 - faiss has no types
    """Return whether an index can be told which items to look at."""
    import faiss

    searched = index.base if isinstance(index, GrownIndex) else index
    return isinstance(searched, faiss.IndexIVF | faiss.IndexFlat)


def _limits(index: Any, selection: Selection) -> Any:  # noqa: ANN401 - faiss has no types
    """Return what tells an index to look at the selection alone."""
    import faiss

    # Its types do not tell what its constructors take.
    known: Any = faiss
    chosen = known.IDSelectorBitmap(selection.packed)
    if not isinstance(index, faiss.IndexIVF):
        return known.SearchParameters(sel=chosen)
    share = max(1, len(selection.rows)) / len(selection.flags)
    probes = min(index.nlist, int(np.ceil(index.nprobe / share)))
    return known.SearchParametersIVF(sel=chosen, nprobe=probes)
