"""Forecasts: what is planted comes back, and the interval is honest about how much is known."""

import math

import numpy as np
import pytest

from pipeline.measure.errors import MeasureError
from pipeline.measure.forecast import PastRun, forecast, predicted


def runs(count, seed=0, noise=0.1, power=1.0, memory=True):
    """Return runs whose seconds are a power of the items, give or take."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        items = float(np.exp(rng.uniform(6, 12)))
        seconds = 1e-3 * items**power * np.exp(noise * rng.normal())
        found.append(PastRun({"items": items}, seconds, 1e6 + 500 * items if memory else None))
    return found


class TestTheExpectedCost:
    @pytest.mark.parametrize("power", [0.5, 1.0, 1.6])
    def test_a_power_of_the_size_is_found(self, power):
        told = forecast(runs(30, power=power, noise=0.02), {"items": 500_000.0})
        assert told.seconds.expected == pytest.approx(1e-3 * 500_000**power, rel=0.1)

    def test_one_run_scales_with_the_size(self):
        told = forecast([PastRun({"items": 100.0}, 2.0)], {"items": 200.0})
        assert told.seconds.expected == pytest.approx(4.0, rel=0.05)
        assert told.seconds.runs == 1

    def test_unknown_memory_is_none_and_none_runs_tell_nothing(self):
        told = forecast(runs(5, memory=False), {"items": 1000.0})
        assert told.memory_bytes is None and told.seconds is not None
        assert forecast([], {"items": 1000.0}).seconds is None

    def test_a_size_that_some_run_does_not_name_is_left_out(self):
        past = [*runs(20, noise=0.01), PastRun({"items": 1000.0, "users": 5.0}, 1.0)]
        with_users = forecast(past, {"items": 2000.0, "users": 7.0})
        assert with_users == forecast(past, {"items": 2000.0})

    def test_two_sizes_are_told_apart(self):
        rng = np.random.default_rng(3)
        past = []
        for _ in range(60):
            items, epochs = (float(v) for v in np.exp(rng.uniform(2, 8, 2)))
            past.append(PastRun({"items": items, "epochs": epochs}, items**0.5 * epochs))
        told = forecast(past, {"items": 400.0, "epochs": 50.0})
        assert told.seconds.expected == pytest.approx(1000.0, rel=0.1)

    def test_without_sizes_it_is_the_middle_of_the_runs(self):
        past = [({}, cost) for cost in (1.0, 2.0, 4.0)]
        assert predicted(past, {}).expected == pytest.approx(2.0, rel=0.01)


class TestTheInterval:
    def test_covers_as_often_as_it_says(self):
        """The next run falls inside nine times of ten: 400 histories of 12 runs."""
        inside = 0
        for seed in range(400):
            *past, last = runs(13, seed=seed, noise=0.2)
            told = forecast(past, last.sizes).seconds
            inside += told.low <= last.seconds <= told.high
        assert 0.86 <= inside / 400 <= 0.94

    def test_narrows_with_runs_and_widens_with_noise_and_distance(self):
        def reach(past, items=10_000.0):
            told = forecast(past, {"items": items}).seconds
            return math.log(told.high / told.low)

        assert reach(runs(1)) > reach(runs(3)) > reach(runs(40))
        assert reach(runs(40, noise=0.6)) > 2 * reach(runs(40, noise=0.1))
        assert reach(runs(6), 1e12) > 1.5 * reach(runs(6))

    def test_a_higher_level_is_wider_around_the_same_value(self):
        wide, narrow = (forecast(runs(9), {"items": 9.0}, level).seconds for level in (0.99, 0.5))
        assert wide.low < narrow.low < narrow.expected < narrow.high < wide.high
        assert wide.expected == narrow.expected

    def test_a_unit_changes_nothing(self):
        past = [(r.sizes, r.seconds) for r in runs(9)]
        milli = [(s, 1000 * cost) for s, cost in past]
        one, other = predicted(past, {"items": 5.0}), predicted(milli, {"items": 5.0})
        assert other.low == pytest.approx(1000 * one.low, rel=0.02)
        assert other.high == pytest.approx(1000 * one.high, rel=0.02)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_numbers_that_have_no_logarithm_are_named(bad):
    with pytest.raises(MeasureError, match="items is"):
        forecast(runs(3), {"items": bad})
    with pytest.raises(MeasureError, match="cost is"):
        forecast([PastRun({"items": 1.0}, bad)], {"items": 1.0})


def test_a_level_is_a_chance():
    with pytest.raises(MeasureError, match="level is 90"):
        forecast(runs(3), {"items": 1.0}, level=90)
