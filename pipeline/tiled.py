"""The best of a large catalogue by inner product, a tile of it at a time.

The scores of a few users and a tile stay in the processor's cache, where whole rows of scores would
each be new memory. A bound on every user's k-th best lets all but a few be dropped at once; it is
raised after 1, 2, 4, 8, … tiles, for what is found falls off as fast.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.ids import UNKNOWN
from pipeline.nearest import Ties, lower_bounds

USERS, TILE = 256, 4096
"""Scores held at once: 4 MB."""


@dataclass(frozen=True)
class Asked:
    """How lists are made: what may not stand in them, how long they are, who goes first.

    Shapes:
        hidden: CSR (B, N), never shown to that user. allowed: (N,), None for every item.
    """

    hidden: sp.csr_matrix
    allowed: Flags | None
    k: int
    ties: Ties


def top_k_tiled(users: Floats, items: Floats, asked: Asked) -> tuple[Rows, Floats]:
    """Return the k best allowed items of each user.

    Shapes:
        users: (B, D). items: (N, D). returns: items (B, k), ``UNKNOWN`` where there is none left,
        scores (B, k), -inf there.
    """
    found, width = Found(len(users), asked.k, asked.ties), len(items)
    chosen = np.arange(width) if asked.allowed is None else np.flatnonzero(asked.allowed)
    place = np.full(width, -1)
    place[chosen] = np.arange(len(chosen))
    hidden = place[asked.hidden.indices]
    owner = np.repeat(np.arange(len(users)), np.diff(asked.hidden.indptr))
    buffer = np.empty((len(users), min(TILE, len(chosen))), dtype=np.float32)
    for turn, start in enumerate(range(0, len(chosen), TILE)):
        names = chosen[start : start + TILE]
        tile = slice(start, start + TILE) if asked.allowed is None else names
        there = np.asarray(items[tile], dtype=np.float32)
        scores = np.matmul(users, there.T, out=buffer[:, : len(names)])
        inside = (hidden >= start) & (hidden < start + len(names))
        scores[owner[inside], hidden[inside] - start] = -np.inf
        found.take(scores, names)
        if turn & (turn + 1) == 0:
            found.settle()
    return found.lists()


class Found:
    """What may be among the k best of each user, so far."""

    def __init__(self, users: int, k: int, ties: Ties) -> None:
        """Begin with nothing."""
        self.k, self.ties = k, ties
        self.bounds = np.full(users, -np.inf, dtype=np.float32)
        self._rows: list[Rows] = [np.empty(0, np.int64)]
        self._items: list[Rows] = [np.empty(0, np.int64)]
        self._scores: list[Floats] = [np.empty(0, np.float32)]

    def take(self, scores: Floats, names: Rows) -> None:
        """Take the scores of some items.

        Shapes:
            scores: (B, T), -inf for what is not to be shown. names: (T,) items.
        """
        if len(self._rows) == 1 and scores.shape[1] >= self.k > 0:
            self.bounds = np.maximum(self.bounds, lower_bounds(scores, self.k))
        best = scores.max(axis=1, initial=-np.inf)
        rows = np.flatnonzero((best >= self.bounds) & (best > -np.inf))
        some = scores[rows]
        at = np.flatnonzero(some >= np.maximum(self.bounds[rows], _LEAST)[:, None])
        of, columns = np.divmod(at, max(1, scores.shape[1]))
        self._rows.append(rows[of])
        self._items.append(names[columns])
        self._scores.append(some.ravel()[at])

    def settle(self) -> tuple[Rows, Rows, Floats]:
        """Keep the k best of each user, raise the bounds to the k-th; return rows, items, scores.

        Shapes:
            returns: three arrays (E,), by user, best first.
        """
        rows, items = np.concatenate(self._rows), np.concatenate(self._items)
        scores = np.concatenate(self._scores)
        order = np.lexsort((self.ties.places(rows, items), -scores, rows))
        rows, items, scores = rows[order], items[order], scores[order]
        begins = np.searchsorted(rows, np.arange(len(self.bounds) + 1))
        kept = np.arange(len(rows)) - begins[rows] < self.k
        full = np.flatnonzero(np.diff(begins) >= self.k) if self.k else np.empty(0, np.int64)
        self.bounds[full] = np.maximum(self.bounds[full], scores[begins[full] + self.k - 1])
        rows, items, scores = rows[kept], items[kept], scores[kept]
        self._rows, self._items, self._scores = [rows], [items], [scores]
        return rows, items, scores

    def lists(self) -> tuple[Rows, Floats]:
        """Return the k best: items (B, k), ``UNKNOWN`` for none; scores (B, k), -inf there."""
        rows, items, scores = self.settle()
        places = np.arange(len(rows)) - np.searchsorted(rows, rows)
        best = np.full((len(self.bounds), self.k), UNKNOWN, dtype=np.int64)
        values = np.full(best.shape, -np.inf, dtype=np.float32)
        best[rows, places], values[rows, places] = items, scores
        return best, values


_LEAST = np.finfo(np.float32).min
"""What is lower is no score."""
