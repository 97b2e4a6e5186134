"""Unit vectors, each held once: items with equal vectors are searched together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from pipeline.arrays import Flags, Floats, Rows
from pipeline.errors import ArtifactError
from pipeline.graph.ranked import Edges, keep_best

_BLOCK = 16_384
"""Vectors hashed, compared or normalised at once: 25 MB at width 384."""


@dataclass(frozen=True)
class Distinct:
    """The different vectors of a catalogue, and the items that have each of them."""

    unit: Floats
    """(G, D) float32, of length 1."""
    groups: "Groups"

    @classmethod
    def of(cls, vectors: Floats, present: Flags) -> "Distinct":
        """Return the different vectors of the present items; zero vectors are left out.

        Shapes:
            vectors: (N, D) any float. present: (N,).

        Raises:
            ArtifactError: a present vector is not finite.
        """
        rows = np.flatnonzero(present)
        first, group = group_equal(vectors, rows)
        unit, length = normalised(vectors, rows[first])
        usable = length > 0
        groups = Groups.of(rows, np.where(usable, np.cumsum(usable) - 1, -1)[group])
        return cls(unit if usable.all() else unit[usable], groups)


def group_equal(vectors: Floats, rows: Rows) -> tuple[Rows, Rows]:
    """Return which of ``rows`` is the first with its vector, and the group of each.

    Equal is equal in every byte. Vectors with equal hashes are compared whole; should different
    ones ever share a hash, all are hashed again in another way.

    Shapes:
        vectors: (N, D). rows: (P,). returns: positions in rows (G,), group of each row (P,).
    """
    for seed in count():
        hashes = _hashes(vectors, rows, np.random.default_rng(seed))
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        first, group = first[order], np.argsort(order)[group]
        if _all_equal(vectors, rows, rows[first][group]):
            return first, group
    raise AssertionError("unreachable")


def _hashes(vectors: Floats, rows: Rows, rng: np.random.Generator) -> Rows:
    """Return a 64-bit number for each row's bytes, equal where they are.

    Shapes:
        vectors: (N, D). rows: (P,). returns: (P,) uint64.
    """
    words = -(-vectors.dtype.itemsize * vectors.shape[1] // 8)
    salt, odd = rng.integers(1 << 63, size=(2, words), dtype=np.uint64) << np.uint64(1) | np.uint64(
        1
    )
    hashes = np.empty(len(rows), dtype=np.uint64)
    for part in _parts(len(rows)):
        mixed = _words(vectors[rows[part]], words)
        mixed ^= salt
        mixed *= odd
        mixed ^= mixed >> np.uint64(29)
        mixed *= odd
        mixed ^= mixed >> np.uint64(32)
        hashes[part] = mixed.sum(axis=1, dtype=np.uint64)
    return hashes


def _words(block: Floats, words: int) -> Rows:
    """Return each row's bytes as 64-bit numbers, zeros behind the last."""
    raw = np.zeros((len(block), words * 8), dtype=np.uint8)
    raw[:, : block.dtype.itemsize * block.shape[1]] = _bytes(block)
    return raw.view(np.uint64)


def _bytes(block: Floats) -> Rows:
    return np.ascontiguousarray(block).view(np.uint8).reshape(len(block), -1)


def _all_equal(vectors: Floats, rows: Rows, others: Rows) -> bool:
    """Return whether each row has the bytes of its other."""
    differ = rows != others
    rows, others = rows[differ], others[differ]
    return all(
        bool((_bytes(vectors[rows[part]]) == _bytes(vectors[others[part]])).all())
        for part in _parts(len(rows))
    )


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


def normalised(vectors: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Return some rows at length 1 (zero where they were), and the lengths they had.

    Shapes:
        vectors: (N, D) any float. rows: (P,). returns: (P, D) float32, (P,).

    Raises:
        ArtifactError: a row is not finite.
    """
    unit = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    length = np.empty(len(rows), dtype=np.float32)
    for part in _parts(len(rows)):
        unit[part] = vectors[rows[part]]
        length[part] = np.linalg.norm(unit[part], axis=1)
    if not np.isfinite(length).all():
        wrong = rows[~np.isfinite(length)]
        raise ArtifactError(
            f"{len(wrong)} present vectors are not finite, the first at row {wrong[0]}; finite "
            f"ones are wanted. Make them again: plotpointe run CONFIG --from embed --force"
        )
    for part in _parts(len(rows)):
        unit[part] /= np.where(length[part] > 0, length[part], 1)[:, None]
    return unit, length


class Groups:
    """Items that share a vector: group g holds ``items[starts[g]:starts[g + 1]]``, rising."""

    def __init__(self, items: Rows, starts: Rows) -> None:
        """Take items grouped, and where each group begins."""
        self.items, self.starts = items, starts

    @classmethod
    def of(cls, items: Rows, group: Rows) -> "Groups":
        """Return the groups of items, leaving out those of group -1."""
        items, group = items[group >= 0], group[group >= 0]
        order = np.argsort(group, kind="stable")
        count = int(group.max()) + 1 if len(group) else 0
        return cls(items[order], np.searchsorted(group[order], np.arange(count + 1)))

    def expand(self, near: Edges, k: int) -> Edges:
        """Return the k best other items of every item from the k best other groups of each group.

        The k + 1 best items of a group, its own included, are among the lowest k + 1 items of its
        own and its k best groups; each of its items takes them without itself.
        """
        itself = np.arange(len(self.starts) - 1)
        sources = np.concatenate([itself, near[0]])
        groups = np.concatenate([itself, near[1]])
        weights = np.concatenate([np.ones(len(itself), dtype=np.float32), near[2]])
        sizes = np.minimum(np.diff(self.starts), k + 1)[groups]
        targets = self.items[_ranges(self.starts[groups], sizes)]
        lists = keep_best((np.repeat(sources, sizes), targets, np.repeat(weights, sizes)), k + 1)
        return self._for_items(lists, k)

    def _for_items(self, lists: Edges, k: int) -> Edges:
        """Return each item's edges from its group's list."""
        begins = np.searchsorted(lists[0], np.arange(len(self.starts)))
        owner = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        sizes = np.diff(begins)[owner]
        at = _ranges(begins[owner], sizes)
        sources, targets = np.repeat(self.items, sizes), lists[1][at]
        other = sources != targets
        return keep_best((sources[other], targets[other], lists[2][at][other]), k)


def _ranges(starts: Rows, sizes: Rows) -> Rows:
    """Return ``starts[i], starts[i] + 1, ...``, ``sizes[i]`` of them, one after another."""
    before = np.cumsum(sizes) - sizes
    ranges: Rows = np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes)
    return ranges
