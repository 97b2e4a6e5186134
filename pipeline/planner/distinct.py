"""How many different keys a whole log holds, from those in its first records."""

import math
from collections.abc import Sequence

import numpy as np

_SHAPES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the negative binomial: the smaller, the more unequal the keys' frequencies."""
_HALVINGS = 60
_GROUPED = 0.8
"""Share of keys that come in one run from which a log counts as ordered by that key."""


def distinct_in(keys: Sequence[str], total: int) -> int:
    """Return about how many different keys ``total`` records hold, of which ``keys`` are the first.

    Where equal keys stand together, new ones keep coming at the same rate. Otherwise records are
    taken for draws from keys whose frequencies are negative binomial, of the shape that best
    explains how many were new in the second half of the sample.
    """
    n = len(keys)
    if not n or total <= n:
        return len(set(keys))
    codes = np.unique(np.asarray(keys), return_inverse=True)[1]
    seen = int(codes.max()) + 1
    runs = 1 + int(np.count_nonzero(np.diff(codes)))
    if seen >= _GROUPED * runs and seen < n:
        return round(seen * total / n)
    half = len(set(codes[: n // 2].tolist()))
    found = [(shape, _population(seen, n, total, shape)) for shape in _SHAPES]
    return round(min(found, key=lambda each: _surprise(each, half, n // 2, total))[1])


def _expected(population: float, shape: float, n: int, total: int) -> float:
    """Return how many of ``population`` keys are expected among the first n of total records."""
    mean = n / population
    return population * float(-np.expm1(-shape * np.log1p(mean / shape)))


def _population(seen: int, n: int, total: int, shape: float) -> float:
    """Return the population of which ``seen`` are expected; never more than the records allow."""
    low, high = float(seen), float(total)
    if _expected(high, shape, n, total) < seen:
        return high
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _expected(middle, shape, n, total) < seen else (low, middle)
    return _expected(high, shape, total, total)


def _surprise(found: tuple[float, float], half: int, n: int, total: int) -> float:
    shape, population = found
    return abs(math.log(max(1.0, _expected(population, shape, n, total)) / max(1, half)))
