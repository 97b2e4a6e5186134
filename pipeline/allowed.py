"""The best items that are allowed: candidates of an index scored afresh, or every item scored.

The service and the index stage both ask here, so that a list made beforehand is the one that a
search would have given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Flags, Floats, Rows
from pipeline.nearest import top_k_of_scores

Ranked = tuple[Rows, Floats]
"""Item rows, best first, and their scores; equal scores in order of row."""

SCAN_SHARE = 0.5
"""Above this share of the catalogue, comparing with every item is the cheaper search."""

GATHERED_AT_ONCE = 1 << 18
"""Vectors scored afresh at once."""

_SLACK = 1e-5
"""Relative error allowed between the index's arithmetic and ours."""

_BEYOND = 8
"""Items scored afresh beyond those wanted."""

_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Hunt:
    """Vectors to find items for: how many for each, and which are not allowed.

    Shapes:
        queries: (B, D). excluded: B lists of sorted rows. counts: B of them.
    """

    queries: Floats
    excluded: Sequence[Rows]
    counts: Sequence[int]

    @property
    def first_fetch(self) -> int:
        """Return how many to ask an index for: enough for any short lists of exclusions."""
        return max(map(first_fetch, self.counts, map(len, self.excluded)))

    def at(self, places: Sequence[int]) -> "Hunt":
        """Return the part of the vectors at the given places."""
        return Hunt(
            self.queries[np.asarray(places, dtype=np.int64)],
            [self.excluded[place] for place in places],
            [self.counts[place] for place in places],
        )


def first_fetch(count: int, excluded: int) -> int:
    """Return how many to ask an index for where so many are wanted and so many excluded."""
    return 1 + count + min(excluded, count + 64)


def dots(vectors: Floats, query: Floats) -> Floats:
    """Return inner products whose every bit is independent of which other rows are asked for.

    Shapes:
        vectors: (R, D). query: (D,). returns: (R,).
    """
    products: Floats = np.einsum("rd,d->r", vectors, query)
    return products


def settled(vectors: Floats, hunt: Hunt, found: Ranked, depth: int = 1) -> list[Ranked | None]:
    """Return each list if it is full and no item beyond those scored could be on it.

    Only the first few that are allowed are scored afresh; where the last of them is too near the
    last that is wanted, the list is not settled yet. An index of codes, of ``depth`` above 1,
    cannot say what it has not shown.

    Shapes:
        vectors: (N, D). found: what an index gave, rows and scores (B, F).
    """
    (rows, scores), counts = found, hunt.counts
    every = np.arange(len(rows))[:, None]
    free = (rows >= 0) & ~_among(rows, hunt.excluded, len(vectors))
    there, whole = free.sum(axis=1), rows[:, -1] >= 0
    most = max(counts)
    wide = min(rows.shape[1], depth * most + _BEYOND)
    first = np.argsort(~free, axis=1, kind="stable")[:, :wide]
    last = np.where(there > wide, scores[every[:, 0], first[:, -1]], scores[:, -1])
    last = np.where(whole, last, 0)
    edges = (last + _SLACK * np.maximum(abs(scores[:, 0]), abs(last))).tolist()
    rows, free = rows[every, first], free[every, first]
    exact = np.einsum("bfd,bd->bf", vectors[rows], hunt.queries)
    exact[~free] = _LOWEST
    order = np.lexsort((rows, -exact))[:, :most]
    rows, exact = rows[every, order], exact[every, order]
    full = [*zip(whole.tolist(), there.tolist(), edges, strict=True)]

    def sure(b: int, count: int, edge: float) -> bool:
        """Return whether the last that is wanted stands above everything not scored afresh."""
        return depth > 1 or not count or bool(exact[b][count - 1] > edge)

    return [
        (rows[b, :count], exact[b, :count])
        if ended and held >= count and sure(b, count, edge)
        else None
        for b, (count, (ended, held, edge)) in enumerate(zip(counts, full, strict=True))
    ]


def scanned(vectors: Floats, query: Floats, excluded: Rows, count: int) -> Ranked:
    """Return the best by scoring every item.

    Shapes:
        vectors: (N, D). query: (D,). excluded: sorted rows. returns: at most ``count``.
    """
    scores = np.asarray(vectors @ query)
    scores[excluded] = -np.inf
    # A few more than wanted: the order at the edge is settled by ``dots``.
    rows, found = top_k_of_scores(scores[None], count + 16)
    rows = rows[0][np.isfinite(found[0])]
    return best(rows, dots(vectors[rows], query), count)


def best(rows: Rows, scores: Floats, count: int) -> Ranked:
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
