"""Lists of vectors that lie close together, and which lists lie close to a vector."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.nearest import top_k_exact

_SAMPLE = 40
"""Vectors a centre is learned from."""

_ROUNDS = 8
"""Rounds of k-means; later ones move few vectors."""

_BLOCK = 8192
"""Vectors compared with every centre at once."""


@dataclass(frozen=True)
class Lists:
    """Every vector's closest centres; it belongs to the list of the first."""

    near: Rows
    """(N, R) lists, closest first."""
    count: int
    """Lists in all; none is empty."""

    @classmethod
    def of(
        cls, unit: Floats, count: int, width: int, *, least: int, rng: np.random.Generator
    ) -> "Lists":
        """Return about ``count`` lists of ``least`` unit vectors or more, ``width`` of each.

        Shapes:
            unit: (N, D), N at least 1.
        """
        centres = spherical_k_means(unit, max(1, count), rng)
        near = _nearest(unit, centres, width)
        kept = np.bincount(near[:, 0], minlength=len(centres)) >= least
        kept[np.argmax(np.bincount(near[:, 0]))] = True
        stale = ~kept[near].all(axis=1)
        near = (np.cumsum(kept, dtype=np.int32) - 1)[near][:, : kept.sum()]
        near[stale] = _nearest(unit[stale], centres[kept], width)
        return cls(near, int(kept.sum()))

    def ordered(self, order: Rows) -> "Lists":
        """Return the same lists for vectors in another order.

        Shapes:
            order: (N,).
        """
        return Lists(self.near[order], self.count)

    @property
    def own(self) -> Rows:
        """The list of each vector: (N,)."""
        return self.near[:, 0]


def _nearest(unit: Floats, centres: Floats, width: int) -> Rows:
    near = np.empty((len(unit), min(width, len(centres))), dtype=np.int32)
    for start in range(0, len(unit), _BLOCK):
        part = slice(start, start + _BLOCK)
        near[part] = top_k_exact(unit[part], centres, near.shape[1])[0]
    return near


def spherical_k_means(unit: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return centres of length 1 around which the vectors of a sample lie.

    Dhillon and Modha, "Concept decompositions for large sparse text data using clustering",
    Machine Learning 2001. A centre that loses all its vectors stays where it is.

    Shapes:
        unit: (N, D). returns: (min(count, N), D) float32.
    """
    size = min(len(unit), _SAMPLE * count)
    sample = unit[np.sort(rng.choice(len(unit), size, replace=False))]
    centres = sample[np.sort(rng.choice(size, min(count, size), replace=False))]
    for _ in range(_ROUNDS):
        own = _closest(sample, centres)
        members = sp.csr_matrix(
            (np.ones(size, dtype=np.float32), own, np.arange(size + 1)), (size, len(centres))
        )
        sums = members.T @ sample
        length = np.linalg.norm(sums, axis=1)
        moved = length > 0
        centres[moved] = sums[moved] / length[moved, None]
    return centres


def _closest(unit: Floats, centres: Floats) -> Rows:
    parts = [
        np.argmax(unit[start : start + _BLOCK] @ centres.T, axis=1)
        for start in range(0, len(unit), _BLOCK)
    ]
    return np.concatenate(parts)
