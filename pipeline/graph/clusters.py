"""Lists of vectors that lie close together, and which lists each vector asks for neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows

_SAMPLE = 20
"""Vectors a centre is learned from."""

_ROUNDS = 5
"""Rounds of k-means; later ones move few vectors."""

_BLOCK = 2048
"""Vectors compared with every centre at once."""


@dataclass(frozen=True)
class Probes:
    """Every vector's list, and the lists it asks."""

    own: Rows
    """(N,) the list that holds each vector: that of the closest centre."""
    asked: sp.csr_matrix
    """(N, L) flags: lists hardly farther than the closest one, that one included."""

    @classmethod
    def of(cls, unit: Floats, centres: Floats, gap: float) -> "Probes":
        """Return probes of the lists whose centre scores at most ``gap`` below the closest.

        Shapes:
            unit: (N, D). centres: (L, D).
        """
        own, parts, counts = np.empty(len(unit), dtype=np.int32), [], [np.zeros(1, np.int64)]
        for part, scores in _scores(unit, centres):
            own[part] = scores.argmax(axis=1)
            near = scores >= scores.max(axis=1, keepdims=True) - np.float32(gap)
            rows, lists = np.divmod(np.flatnonzero(near), len(centres))
            parts.append(lists.astype(np.int32))
            counts.append(np.bincount(rows, minlength=len(scores)))
        lists, starts = np.concatenate(parts), np.cumsum(np.concatenate(counts))
        shape = (len(unit), len(centres))
        return cls(own, sp.csr_matrix((np.ones(len(lists), bool), lists, starts), shape=shape))


def closest(unit: Floats, centres: Floats) -> tuple[Rows, Floats]:
    """Return the closest centre of each unit vector, and its score.

    Shapes:
        unit: (N, D). centres: (L, D). returns: (N,), (N,).
    """
    parts = [(scores.argmax(axis=1), scores.max(axis=1)) for _, scores in _scores(unit, centres)]
    own, top = (np.concatenate(each) for each in zip(*parts, strict=True))
    return own, top


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
        own, _ = closest(sample, centres)
        flags = np.ones(size, dtype=np.float32), own, np.arange(size + 1)
        sums = sp.csr_matrix(flags, shape=(size, len(centres))).T @ sample
        length = np.linalg.norm(sums, axis=1)
        moved = length > 0
        centres[moved] = sums[moved] / length[moved, None]
    return centres


def _scores(unit: Floats, centres: Floats) -> Iterator[tuple[slice, Floats]]:
    for start in range(0, len(unit), _BLOCK):
        part = slice(start, start + _BLOCK)
        yield part, unit[part] @ centres.T
