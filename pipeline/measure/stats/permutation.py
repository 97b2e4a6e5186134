"""Paired permutation tests: how often chance alone would make a difference as large."""

import numpy as np

from pipeline.measure.stats.bootstrap import MANY, parts
from pipeline.measure.stats.draws import Draws, Floats
from pipeline.measure.stats.resample import coin_sums

_DOUBLE, _SINGLE = 1e-12, 1e-7
"""Of the sum of absolute values: sums that differ by less count as equal."""


def sign_flip_p(differences: Floats, draws: Draws) -> Floats:
    """Return the two-sided p-value of each column's mean difference under random sign flips.

    Under the hypothesis of no difference a user's two values may change places. The observed
    arrangement counts as one of the draws, so p is never 0. The twin of
    ``scipy.stats.permutation_test`` for paired samples, for all columns at once.

    Shapes:
        differences: (B, M). returns: (M,).
    """
    if len(differences) < MANY:
        return plain_sign_flip_p(differences, draws)
    total = differences.sum(axis=0, dtype=np.float64)
    tolerance = _SINGLE * np.abs(differences).sum(axis=0)
    flipped = 2 * coin_sums(differences, draws) - total
    as_extreme = 1 + (np.abs(flipped) >= np.abs(total) - tolerance).sum(axis=0)
    return np.asarray(as_extreme / (draws.resamples + 1))


def plain_sign_flip_p(differences: Floats, draws: Draws) -> Floats:
    """Return what ``sign_flip_p`` returns, each sign drawn by itself in double precision.

    Shapes:
        differences: (B, M). returns: (M,).
    """
    n, rng = len(differences), draws.rng()
    observed = np.abs(differences.sum(axis=0))
    tolerance = _DOUBLE * np.abs(differences).sum(axis=0)
    as_extreme = np.ones(differences.shape[1])
    for block in parts(draws.resamples, n):
        flips = rng.integers(0, 2, size=(len(block), n), dtype=np.int8) * 2.0 - 1.0
        as_extreme += (np.abs(flips @ differences) >= observed - tolerance).sum(axis=0)
    return np.asarray(as_extreme / (draws.resamples + 1))
