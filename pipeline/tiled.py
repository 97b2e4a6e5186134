"""The best of a large catalogue by inner product, a tile of it at a time, most of it passed over.

Items stand longest first, turned to their principal axes and split: the first axes, which hold
most of their length, and what the rest is long. The product of the first and the product of the
two lengths bound a score from above (Cauchy and Schwarz); only where that reaches a user's k-th
best so far is the score itself computed. So lists are exact and most scores are never made. After
Teflioudi et al., LEMP (SIGMOD 2015), and Li et al., FEXIPRO (SIGMOD 2017).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.ids import UNKNOWN
from pipeline.nearest import Ties, lower_bounds

USERS, TILE = 512, 1024
"""Bounds held at once: 2 MB, which stay in the processor's cache."""

_HEAD = 0.8
"""Share of the squared length of all items that the first axes hold. Measured on trained vectors of
64 numbers: with 32 axes one score of 4,000 is computed, with 24 one of 600, with 16 one of 50."""
_AXES = 8
"""The first axes are a multiple of it."""
_PAIRS = 1 << 16
"""Scores computed at once."""
_HELD = 1 << 22
"""Pairs kept before the best of them are found, 80 MB: many where most scores are equal."""
_LEAST = np.finfo(np.float32).min
"""What is lower is no score."""


@dataclass(frozen=True)
class Asked:
    """What may not stand in some users' lists, how long they are, and who goes first.

    Shapes:
        hidden: CSR (B, N), never shown to that user.
    """

    hidden: sp.csr_matrix
    k: int
    ties: Ties


@dataclass(frozen=True)
class Tiles:
    """The items that may be shown, M of N, longest first, as bounds need them.

    Shapes:
        items: (N, D). names: (M,) rows of items. lengths: (M,), falling. axes: (D, D), columns by
        falling share. heads: (M, H + 1), the first axes and the length of the rest.
    """

    items: Floats
    names: Rows
    lengths: Floats
    axes: Floats
    heads: Floats

    @classmethod
    def of(cls, items: Floats, allowed: Flags | None) -> "Tiles":
        """Return the tiles of the allowed items; None allows every one.

        Shapes:
            items: (N, D), finite. allowed: (N,).
        """
        names = np.arange(len(items)) if allowed is None else np.flatnonzero(allowed)
        lengths = np.concatenate(
            [np.linalg.norm(items[part], axis=1) for part in _parts(names)] or [np.empty(0, "f4")]
        )
        order = np.argsort(-lengths, kind="stable")
        names, axes, head = names[order], *_principal(items, names)
        heads = np.empty((len(names), head + 1), dtype=np.float32)
        for at in range(0, len(names), TILE):
            heads[at : at + TILE] = _split(items[names[at : at + TILE]], axes, head)
        return cls(items, names, lengths[order], axes, heads)

    def top(self, users: Floats, asked: Asked) -> tuple[Rows, Floats]:
        """Return the k best of each user.

        Shapes:
            users: (B, D), finite. returns: items (B, k), ``UNKNOWN`` where there is none left,
            scores (B, k), -inf there.
        """
        found = Found(len(users), asked.k, asked.ties)
        far = np.linalg.norm(users, axis=1)
        turned = _split(users, self.axes, self.heads.shape[1] - 1)
        # What rounding may take from a bound: three sums of D products.
        slack = np.float32(4 * users.shape[1] * np.finfo(np.float32).eps) * far
        places, owner = self._hidden(asked)
        buffer = np.empty((len(users), min(TILE, len(self.names))), dtype=np.float32)
        for turn, start in enumerate(range(0, len(self.names), TILE)):
            longest = self.lengths[start]
            least = found.bounds - slack * longest
            if (far * longest < least).all():
                break
            part = slice(start, start + TILE)
            names = self.names[part]
            if turn:
                limits = np.matmul(turned, self.heads[part].T, out=buffer[:, : len(names)])
            else:
                limits = np.matmul(users, self.items[names].T, out=buffer)
            inside = (places >= start) & (places < start + len(names))
            limits[owner[inside], places[inside] - start] = -np.inf
            if not turn and len(names) >= asked.k > 0:
                least = lower_bounds(limits, asked.k) - slack * longest
            for rows, at in _reaching(limits, np.maximum(least, _LEAST)):
                chosen = names[at]
                scores = np.einsum("ed,ed->e", users[rows], self.items[chosen])
                found.take(rows, chosen, scores)
            if turn & (turn + 1) == 0:
                found.settle()
        return found.lists()

    def _hidden(self, asked: Asked) -> tuple[Rows, Rows]:
        """Return places and users of what may not be shown; -1 for what is not allowed anyway."""
        place = np.full(len(self.items), -1)
        place[self.names] = np.arange(len(self.names))
        owner = np.repeat(np.arange(asked.hidden.shape[0]), np.diff(asked.hidden.indptr))
        return place[asked.hidden.indices], owner


def _parts(names: Rows) -> Iterator[Rows]:
    for at in range(0, len(names), TILE):
        yield names[at : at + TILE]


def _principal(items: Floats, names: Rows) -> tuple[Floats, int]:
    """Return the principal axes of some items, strongest first, and how many are the head.

    Shapes:
        returns: (D, D), columns are axes; H.
    """
    width = items.shape[1]
    gram = np.zeros((width, width))
    for part in _parts(names):
        own = np.asarray(items[part], dtype=np.float32)
        gram += own.T @ own
    shares, axes = np.linalg.eigh(gram)
    held = np.cumsum(shares[::-1])
    enough = int(np.searchsorted(held, _HEAD * held[-1])) + 1 if width else 0
    return axes[:, ::-1].astype(np.float32), min(width, -(-enough // _AXES) * _AXES)


def _split(vectors: Floats, axes: Floats, head: int) -> Floats:
    """Return the first coordinates of vectors on the axes, and the length of the others.

    Shapes:
        vectors: (B, D). returns: (B, H + 1).
    """
    turned = np.asarray(vectors, dtype=np.float32) @ axes
    rest = np.linalg.norm(turned[:, head:], axis=1)
    return np.column_stack([turned[:, :head], rest]).astype(np.float32)


def _reaching(limits: Floats, least: Floats) -> Iterator[tuple[Rows, Rows]]:
    """Yield the rows and columns where limits reach what their row asks, not too many at once."""
    at = np.flatnonzero(limits >= least[:, None])
    for start in range(0, len(at), _PAIRS):
        rows, columns = np.divmod(at[start : start + _PAIRS], limits.shape[1])
        yield rows, columns


class Found:
    """What may be among the k best of each user, so far."""

    def __init__(self, users: int, k: int, ties: Ties) -> None:
        """Begin with nothing."""
        self.k, self.ties = k, ties
        self.bounds = np.full(users, -np.inf, dtype=np.float32)
        self._rows: list[Rows] = [np.empty(0, np.int64)]
        self._items: list[Rows] = [np.empty(0, np.int64)]
        self._scores: list[Floats] = [np.empty(0, np.float32)]
        self._held = 0

    def take(self, rows: Rows, items: Rows, scores: Floats) -> None:
        """Take the scores of some pairs of a user and an item.

        Shapes:
            rows, items, scores: (E,).
        """
        good = scores >= self.bounds[rows]
        self._rows.append(rows[good])
        self._items.append(items[good])
        self._scores.append(scores[good])
        self._held += int(good.sum())
        if self._held > _HELD:
            self.settle()

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
        self._rows, self._items, self._scores, self._held = [rows], [items], [scores], len(rows)
        return rows, items, scores

    def lists(self) -> tuple[Rows, Floats]:
        """Return the k best: items (B, k), ``UNKNOWN`` for none; scores (B, k), -inf there."""
        rows, items, scores = self.settle()
        places = np.arange(len(rows)) - np.searchsorted(rows, rows)
        best = np.full((len(self.bounds), self.k), UNKNOWN, dtype=np.int64)
        values = np.full(best.shape, -np.inf, dtype=np.float32)
        best[rows, places], values[rows, places] = items, scores
        return best, values
