"""The statistics keep their word in simulation: the benchmark in small, with binomial bounds.

The whole of it is ``python -m benchmarks.statistics_simulation``; docs/concepts/statistics.md.
"""

import pytest
from scipy import stats

from benchmarks.statistics_simulation import (
    METRICS,
    Record,
    coverage,
    false_alarms,
    gate,
    power,
    seeds,
)
from benchmarks.statistics_worlds import World

_SURE = 0.9999
"""Of the bounds: one of these tests fails by chance once in hundreds of seeds; seeds are fixed."""


def within(record: Record, low: float, high: float) -> None:
    """Assert that a share between ``low`` and ``high`` may have given the count."""
    least = stats.binom(record.of, low).ppf((1 - _SURE) / 2)
    most = stats.binom(record.of, high).ppf((1 + _SURE) / 2)
    assert least <= record.count <= most, f"{record.what}, {record.world}: {record.share:.1%}"


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_cover(metric):
    for record in coverage(World(metric, 0.1), users=1000, times=400, seed=1):
        within(record, 0.94, 0.96)


def test_coverage_can_fail():
    """Intervals that are a tenth too narrow cover 92 %: so many simulations tell."""
    assert stats.binom(4000, 0.94).ppf((1 - _SURE) / 2) > 0.92 * 4000


def test_equal_models_are_rarely_told_apart():
    family, single = false_alarms(users=300, times=300, seed=3)
    within(family, 0.0, 0.05)
    within(single, 0.02, 0.05)


@pytest.mark.parametrize("metric", ["recall", "novelty"])
def test_power_is_as_foretold(metric):
    record = power(metric, users=1000, times=600, seed=2)
    within(record, record.expected - 0.015, record.expected + 0.015)


@pytest.mark.parametrize("counts", [(3, 3), (5, 1)])
def test_intervals_over_seeds_cover_and_those_over_users_alone_do_not(counts):
    both, users_alone = seeds(counts, users=400, times=600, seed=5)
    within(both, 0.94, 0.965)
    assert users_alone.share < 0.9


def test_a_gate_lets_one_in_forty_pass_that_stands_at_its_bound():
    within(gate(users=1000, times=600, seed=4), 0.015, 0.03)
