"""The best items for a vector when some are not allowed: always as many as there are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.allowed import (
    GATHERED_AT_ONCE,
    SCAN_SHARE,
    Hunt,
    Ranked,
    best,
    dots,
    first_fetch,
    scanned,
    settled,
)
from pipeline.arrays import Floats, Rows
from pipeline.lists import InvertedLists, processors
from pipeline.nearest import top_k_faiss
from serving.filters import Selection
from serving.live.grown import GrownIndex
from serving.telemetry.tracing import span

_DIRECT_SHARE = 0.1
"""Up to this share of the catalogue, what a filter leaves is scored item by item."""

_TOGETHER = 64
"""From so many queries on, reading each list once for all of them is the faster search."""


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
        return first_fetch(self.count, len(self.excluded))


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
            step = max(1, GATHERED_AT_ONCE // fetch)
            for start in range(0, len(places), step):
                block = places[start : start + step]
                found.update(zip(block, self._searched([wants[p] for p in block]), strict=True))
        return [found[place] for place in range(len(wants))]

    def _searched(self, wants: Sequence[Wanted]) -> list[Ranked]:
        """Return the best for wants of one filter, by one search that they share."""
        fetch = self.depth * max(want.first_fetch for want in wants)
        if self._scanning(fetch, wants[0]):
            return [self._scan(want) for want in wants]
        hunt = _hunt(wants)
        found = self._ask(hunt.queries, fetch, wants[0].selection)
        lists = settled(self.vectors, hunt, found, self.depth)
        return [
            done or self._deeper(want, 2 * fetch) for want, done in zip(wants, lists, strict=True)
        ]

    def _deeper(self, want: Wanted, fetch: int) -> Ranked:
        while not self._scanning(fetch, want):
            hunt = _hunt([want])
            found = self._ask(hunt.queries, fetch, want.selection)
            if done := settled(self.vectors, hunt, found, self.depth)[0]:
                return done
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
        return fetch >= SCAN_SHARE * there

    def _scan(self, want: Wanted) -> Ranked:
        """Return the best by scoring every item that the filter leaves."""
        with span("search", queries=1, fetch=len(self.vectors)):
            return self._scanned(want)

    def _scanned(self, want: Wanted) -> Ranked:
        if want.selection is not None:
            rows = want.selection.rows
            rows = rows[~np.isin(rows, want.excluded)] if len(want.excluded) else rows
            return best(rows, dots(self.vectors[rows], want.vector), want.count)
        return scanned(self.vectors, want.vector, want.excluded, want.count)


def _hunt(wants: Sequence[Wanted]) -> Hunt:
    return Hunt(
        np.stack([want.vector for want in wants]),
        [want.excluded for want in wants],
        [want.count for want in wants],
    )


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
