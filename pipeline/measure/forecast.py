"""What the next run will take, from plain records of past ones: a value with its interval.

Costs grow as powers of sizes, and vary by factors; so both are logarithms here, and the logarithm
of a cost is linear in those of the sizes. With few runs that needs a belief to begin with: doubling
what there is doubles the cost, more or less, and repetitions differ by a third. The runs put that
right as they come (Bayesian linear regression with the conjugate normal-inverse-gamma prior:
Gelman et al., Bayesian Data Analysis, 3rd edition, section 14.8). The interval is that of the next
run, which a Student distribution gives: few runs, wide; none, None.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.measure.errors import MeasureError

LEVEL = 0.9
"""Chance that the next run falls into the interval."""
FEWEST = 1
_REPEATS = 0.3
"""Logarithm by which repetitions of one run differ, as believed before any was seen."""
_BELIEF = 2.0
"""Runs that the belief about repetitions is worth."""
_POWER = 0.35
"""How far the power of a size may well be from what is believed."""
_LEVEL_IS_UNKNOWN = 1e9


@dataclass(frozen=True)
class PastRun:
    """One run: how much there was to do, and what that took."""

    sizes: Mapping[str, float]
    """Counts and sizes by name, all above zero: interactions, items, epochs."""
    seconds: float
    memory_bytes: float | None = None


@dataclass(frozen=True)
class Interval:
    """What is expected, and between what it will be with the chance ``level``."""

    expected: float
    low: float
    high: float
    level: float
    runs: int
    """That this rests on."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**vars(self)}


@dataclass(frozen=True)
class NextRun:
    """What the next run will take; None where no run tells."""

    seconds: Interval | None
    memory_bytes: Interval | None


def forecast(past: Sequence[PastRun], sizes: Mapping[str, float], level: float = LEVEL) -> NextRun:
    """Return what a run of these sizes will take.

    Only sizes that every past run names are used.

    Raises:
        MeasureError: a size or cost is not above zero, or the level is no chance.
    """
    if not 0 < level < 1:
        raise MeasureError(f"level is {level}; give a chance between 0 and 1, such as {LEVEL}")
    timed = [(run.sizes, run.seconds) for run in past]
    weighed = [(run.sizes, run.memory_bytes) for run in past if run.memory_bytes is not None]
    return NextRun(predicted(timed, sizes, level), predicted(weighed, sizes, level))


def predicted(
    past: Sequence[tuple[Mapping[str, float], float]],
    sizes: Mapping[str, float],
    level: float = LEVEL,
) -> Interval | None:
    """Return the expected cost of a run of these sizes; None without a past run.

    Raises:
        MeasureError: a size or cost is not above zero.
    """
    if len(past) < FEWEST:
        return None
    names = sorted(n for n in sizes if all(n in known for known, _ in past))
    there = np.array([_logarithms(known, names) for known, _ in past]).reshape(len(past), -1)
    costs = np.log([_positive("cost", cost) for _, cost in past])
    middle = there.mean(axis=0)
    rows = np.column_stack([np.ones(len(past)), there - middle])
    here = np.concatenate([[1.0], _logarithms(sizes, names) - middle])
    expected, spread, freedom = _student(rows, costs, here)
    reach = spread * _quantile(0.5 + level / 2, freedom)
    low, high = expected - reach, expected + reach
    low, expected, high = (_exponential(v) for v in (low, expected, high))
    return Interval(expected, low, high, level, len(past))


def _student(rows: np.ndarray, costs: np.ndarray, here: np.ndarray) -> tuple[float, float, float]:
    """Return location, scale and degrees of freedom of the next logarithm.

    Shapes:
        rows: (N, 1 + F). costs: (N,). here: (1 + F,).
    """
    features = rows.shape[1] - 1
    believed = np.array([0.0, *[1.0 / features] * features] if features else [0.0])
    variance = np.array([_LEVEL_IS_UNKNOWN] + [_POWER**2 / _REPEATS**2] * features)
    precision = np.diag(1 / variance)
    posterior = precision + rows.T @ rows
    weights = np.linalg.solve(posterior, precision @ believed + rows.T @ costs)
    error = costs - rows @ weights
    moved = weights - believed
    # The level of costs is no part of the belief, so it pays nothing for being where it is.
    moved[0] = 0.0
    sum_of_squares = error @ error + moved @ precision @ moved
    freedom = _BELIEF + len(costs) - 1
    variance_of_one = (_BELIEF * _REPEATS**2 + sum_of_squares) / freedom
    one = 1 + here @ np.linalg.solve(posterior, here)
    return float(here @ weights), math.sqrt(variance_of_one * one), freedom


def _logarithms(sizes: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
    return np.log([_positive(name, sizes[name]) for name in names])


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise MeasureError(f"{name} is {value}; a forecast needs numbers above zero")
    return value


def _exponential(value: float) -> float:
    return math.exp(min(value, 700.0))


def _quantile(chance: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, chance))
