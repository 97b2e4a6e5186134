"""Lists of vectors that lie close together, and which lists each vector asks for neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.crew import ALONE, Crew
from pipeline.graph.best import reaching

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
    def of(cls, unit: Floats, centres: Floats, gap: float, crew: Crew = ALONE) -> "Probes":
        """Return probes of the lists whose centre scores at most ``gap`` below the closest.

        Shapes:
            unit: (N, D). centres: (L, D).
        """
        found = [*crew.each(partial(_probes, unit, centres, gap), _parts(len(unit)))]
        own, lists, counts = (np.concatenate(each) for each in zip(*found, strict=True))
        starts = np.concatenate([[0], np.cumsum(counts)])
        flags = np.ones(len(lists), dtype=np.bool_)
        shape = (len(unit), len(centres))
        return cls(own, sp.csr_matrix((flags, lists, starts), shape=shape))


def _probes(unit: Floats, centres: Floats, gap: float, part: slice) -> tuple[Rows, Rows, Rows]:
    """Return the list of each vector of a part, the lists it asks, and how many these are."""
    scores = unit[part] @ centres.T
    rows, lists, _ = reaching(scores, scores.max(axis=1, keepdims=True) - np.float32(gap))
    counts = np.bincount(rows, minlength=len(scores))
    return scores.argmax(axis=1).astype(np.int32), lists.astype(np.int32), counts


def closest(unit: Floats, centres: Floats, crew: Crew = ALONE) -> tuple[Rows, Floats]:
    """Return the closest centre of each unit vector, and its score.

    Shapes:
        unit: (N, D). centres: (L, D). returns: (N,), (N,).
    """

    def of_part(part: slice) -> tuple[Rows, Floats]:
        scores = unit[part] @ centres.T
        return scores.argmax(axis=1), scores.max(axis=1)

    own, top = zip(*crew.each(of_part, _parts(len(unit))), strict=True)
    return np.concatenate(own), np.concatenate(top)


def spherical_k_means(
    unit: Floats, count: int, rng: np.random.Generator, crew: Crew = ALONE
) -> Floats:
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
        own, _ = closest(sample, centres, crew)
        flags = np.ones(size, dtype=np.float32), own, np.arange(size + 1)
        sums = sp.csr_matrix(flags, shape=(size, len(centres))).T @ sample
        length = np.linalg.norm(sums, axis=1)
        moved = length > 0
        centres[moved] = sums[moved] / length[moved, None]
    return centres


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))
