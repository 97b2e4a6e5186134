"""Uncertainty of means over users: bootstrap intervals, a paired test, and its correction.

The user is the unit of resampling: interactions of one user are not independent. Every metric and
model is resampled with the same users at once, so that differences are paired.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Floats

LEVEL = 0.95
"""Of every interval."""
_AT_ONCE = 1 << 22
"""Weights held at once: 32 MB."""


@dataclass(frozen=True)
class Draws:
    """How many resamples, and the seed that makes every caller draw the same users."""

    resamples: int
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """Return a generator at the start of its stream."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Interval:
    """A mean over users and its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``0.0754 [0.0731, 0.0778]``."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def resampled_means(values: Floats, draws: Draws) -> Floats:
    """Return the column means of bootstrap samples of the rows.

    Shapes:
        values: (B users, M metrics). returns: (R resamples, M).
    """
    n, rng = len(values), draws.rng()
    step = max(1, _AT_ONCE // max(1, n))
    means = np.empty((draws.resamples, values.shape[1]))
    for start in range(0, draws.resamples, step):
        block = range(start, min(start + step, draws.resamples))
        weights = np.stack(
            [np.bincount(rng.integers(n, size=n), minlength=n) for _ in block]
        ).astype(np.float64)
        means[start : start + len(block)] = weights @ values / n
    return means


def percentile_bounds(means: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper 95 % percentile bounds of each column.

    Shapes:
        means: (R, M). returns: two of (M,).
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def intervals(values: Floats, draws: Draws) -> list[Interval]:
    """Return the mean and interval of each column; over a single user an interval is a point.

    Shapes:
        values: (B, M), B positive.
    """
    low, high = percentile_bounds(resampled_means(values, draws))
    return [
        Interval(float(v), float(a), float(b))
        for v, a, b in zip(values.mean(axis=0), low, high, strict=True)
    ]


def sign_flip_p(differences: Floats, draws: Draws) -> Floats:
    """Return the two-sided p-value of each column's mean difference under random sign flips.

    Under the hypothesis of no difference a user's two values may change places. The observed
    arrangement counts as one of the draws, so p is never 0. The twin of
    ``scipy.stats.permutation_test`` for paired samples, for all columns at once.

    Shapes:
        differences: (B, M). returns: (M,).
    """
    n, rng = len(differences), draws.rng()
    observed = np.abs(differences.sum(axis=0))
    tolerance = 1e-12 * np.abs(differences).sum(axis=0)
    as_extreme = np.ones(differences.shape[1])
    step = max(1, _AT_ONCE // max(1, n))
    for start in range(0, draws.resamples, step):
        height = min(step, draws.resamples - start)
        flips = rng.integers(0, 2, size=(height, n), dtype=np.int8) * 2.0 - 1.0
        as_extreme += (np.abs(flips @ differences) >= observed - tolerance).sum(axis=0)
    return np.asarray(as_extreme / (draws.resamples + 1))


def holm(p_values: Floats) -> Floats:
    """Return Holm's step-down adjusted p-values, which bound the family-wise error.

    Shapes:
        p_values: (M,). returns: (M,), in the same order.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted
