"""Intervals of means over users, by resampling the users.

The user is the unit of resampling: interactions of one user are not independent. Every metric and
model is resampled with the same users at once, so that differences are paired.
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from pipeline.measure.stats.draws import LEVEL, Draws, Floats, Interval
from pipeline.measure.stats.resample import multinomial_sums

_AT_ONCE = 1 << 22
"""Weights held at once: 32 MB."""
MANY = 1 << 14
"""From so many users on, resamples are made by ``resample``: the same in distribution, faster."""


def resampled_means(values: Floats, draws: Draws) -> Floats:
    """Return the column means of bootstrap samples of the rows.

    Shapes:
        values: (B users, M metrics). returns: (R resamples, M).
    """
    if len(values) < MANY:
        return plain_means(values, draws)
    mean = values.mean(axis=0, dtype=np.float64)
    return np.asarray(mean + multinomial_sums(values - mean, draws) / len(values))


def plain_means(values: Floats, draws: Draws) -> Floats:
    """Return the column means of bootstrap samples of the rows, drawn user by user.

    Shapes:
        values: (B, M). returns: (R, M).
    """
    n, rng = len(values), draws.rng()
    means = np.empty((draws.resamples, values.shape[1]))
    for block in parts(draws.resamples, n):
        weights = np.stack(
            [np.bincount(rng.integers(n, size=n), minlength=n) for _ in block]
        ).astype(np.float64)
        means[block.start : block.stop] = weights @ values / n
    return means


def parts(resamples: int, n: int) -> Iterator[range]:
    """Yield the resamples in parts whose weights of ``n`` users fit into 32 MB."""
    step = max(1, _AT_ONCE // max(1, n))
    for start in range(0, resamples, step):
        yield range(start, min(start + step, resamples))


def percentile_bounds(means: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper 95 % percentile bounds of each column.

    Shapes:
        means: (R, M). returns: two of (M,).
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def intervals(values: Floats, draws: Draws) -> list[Interval]:
    """Return the mean and percentile interval of each column; of a single user it is a point.

    Shapes:
        values: (B, M), B positive.
    """
    low, high = percentile_bounds(resampled_means(values, draws))
    return _listed(values.mean(axis=0), low, high)


def bca_intervals(values: Floats, draws: Draws) -> list[Interval]:
    """Return the mean and BCa interval of each column; of equal values it is a point.

    Bias-corrected and accelerated (Efron 1987), at a level a little above 95 %: the bootstrap's
    spread is too small by the square root of (n - 1)/n, and its quantiles are the normal's, not
    Student's, which a few dozen users feel (Hesterberg 2015, "expanded" percentiles).

    Shapes:
        values: (B, M), B positive.
    """
    means = resampled_means(values, draws)
    value = values.mean(axis=0, dtype=np.float64)
    tail = expanded_tail(len(values))
    low, high = bca_bounds(means, value, acceleration(values - value), tail)
    return _listed(value, low, high)


def _listed(value: Floats, low: Floats, high: Floats) -> list[Interval]:
    return [
        Interval(float(v), float(a), float(b)) for v, a, b in zip(value, low, high, strict=True)
    ]


def expanded_tail(n: int) -> float:
    """Return the share of resamples to cut off at each end for a 95 % interval of ``n`` users."""
    tail = (1 - LEVEL) / 2
    return float(ndtr(sqrt(n / (n - 1)) * stdtrit(n - 1, tail))) if n > 1 else tail


def acceleration(influence: Floats) -> Floats:
    """Return how fast the estimate's spread changes with its value, of each column.

    The jackknife's formula in closed form: leaving user i out moves a mean by ``influence``
    (its value less the mean) over 1 - n, so no estimate is ever made again.

    Shapes:
        influence: (B, M), each column of mean 0. returns: (M,).
    """
    squares = np.einsum("bm,bm->m", influence, influence)
    cubes = np.einsum("bm,bm,bm->m", influence, influence, influence)
    return np.asarray(cubes / (6 * np.where(squares > 0, squares, 1.0) ** 1.5))


def bca_bounds(means: Floats, value: Floats, speed: Floats, tail: float) -> tuple[Floats, Floats]:
    """Return the lower and upper BCa bounds of each column.

    ``speed`` is the acceleration. The twin of ``scipy.stats.bootstrap(method="BCa")``, which
    makes the estimate again for every user left out.

    Shapes:
        means: (R, M). value, speed: (M,). returns: two of (M,).
    """
    below = ((means < value).sum(axis=0) + (means <= value).sum(axis=0)) / (2 * len(means))
    most = 1 - 0.5 / len(means)
    bias = ndtri(np.clip(below, 1 - most, most))
    bounds = []
    for z in (ndtri(tail), -ndtri(tail)):
        shares = ndtr(bias + (bias + z) / (1 - speed * (bias + z)))
        found = [np.quantile(means[:, m], shares[m]) for m in range(means.shape[1])]
        bounds.append(np.asarray(found))
    return bounds[0], bounds[1]
