"""How many different keys a whole log holds, from those in its first records."""

import math
from collections.abc import Sequence

import numpy as np

_SHAPES = (1.0, 2.0, 0.5, 4.0, 0.25)
"""Of the negative binomial, likeliest first: the smaller, the more unequal the frequencies."""
_HALVINGS = 60
_GROUPED = 0.8
"""Share of repetitions that follow their key at once, from which a log is ordered by that key."""


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
    if n - runs >= _GROUPED * max(1, n - seen):
        return round(seen * total / n)
    half = len(set(codes[: n // 2].tolist()))
    noise = math.sqrt(max(1, n // 2 - half)) / max(1, half)
    found = [(shape, _population(seen, n, total, shape)) for shape in _SHAPES]
    doubts = [_surprise(shape, many, half, (n // 2, total)) for shape, many in found]
    likely = next((at for at, doubt in enumerate(doubts) if doubt <= noise), None)
    chosen = doubts.index(min(doubts)) if likely is None else likely
    shape, population = found[chosen]
    return max(seen, min(total, round(_expected(population, shape, total, total))))


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
    return high


def _surprise(shape: float, population: float, half: int, drawn: tuple[int, int]) -> float:
    """Return how far what a half of the sample held is from what it should, as a log ratio."""
    return abs(math.log(max(1.0, _expected(population, shape, *drawn)) / max(1, half)))
