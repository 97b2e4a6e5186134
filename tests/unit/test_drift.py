"""Drift: found where planted, rarely where not, and twins of every statistic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.measure import drift
from pipeline.measure.errors import MeasureError


def skewed(n: int, seed: int, level: float = 1.0) -> np.ndarray:
    return level * np.random.default_rng(seed).lognormal(size=n)


class TestNumbers:
    def test_another_level_is_drift(self):
        (found,) = drift.judged([drift.of_numbers("price", skewed(800, 0), skewed(700, 1, 1.8))])
        assert found.drifted and found.size > 0.1 and found.test == "ks"
        assert (found.n_reference, found.n_current) == (800, 700)

    def test_what_is_sure_and_small_is_not(self):
        both = skewed(60_000, 0), skewed(60_000, 1, 1.04)
        (found,) = drift.judged([drift.of_numbers("price", *both)])
        assert found.p_holm < 0.001 and found.size < 0.1 and not found.drifted

    def test_psi_by_hand(self):
        """Shares .5 .5 to .8 .2: .3 ln 1.6 - .3 ln .4."""
        value = drift.psi(np.array([50, 50]), np.array([8, 2]))
        assert value == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4))
        assert drift.psi(np.array([5, 5]), np.array([10, 0])) < np.inf

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=50))
    def test_bins_count_everybody_and_ties_stay_together(self, values):
        sample = np.array(values, dtype=float)
        before, now = drift.binned(sample, sample[::2])
        assert before.sum() == len(sample) and now.sum() == len(sample[::2])
        assert len(before) <= max(1, len(set(values)) + 1)

    def test_values_that_are_not_there_are_left_out(self):
        found = drift.of_numbers("price", np.array([1.0, np.nan, 2.0]), np.array([1.0, 2.0]))
        assert found.n_reference == 2
        with pytest.raises(MeasureError, match="0 values in the reference"):
            drift.of_numbers("price", np.array([np.nan]), np.array([1.0]))

    def test_unchanged_data_alarm_as_rarely_as_said(self):
        """Of 200 times ten features of unchanged data, at alpha .05 at most 10 or so alarm."""
        rng = np.random.default_rng(0)
        alarms = 0
        for _ in range(200):
            sides = rng.lognormal(size=(2, 10, 80))
            found = [drift.of_numbers(str(i), a, b) for i, (a, b) in enumerate(zip(*sides))]  # noqa: B905
            alarms += any(each.p_holm < drift.ALPHA for each in drift.judged(found))
        assert alarms <= stats.binom(200, 0.05).ppf(0.9999)


class TestCategories:
    def test_other_shares_are_drift(self):
        before, now = {"a": 500, "b": 500}, {"a": 200, "b": 500, "c": 300}
        (found,) = drift.judged([drift.of_categories("brand", before, now)])
        assert found.drifted and (found.n_reference, found.n_current) == (1000, 1000)

    def test_chi_squared_by_hand(self):
        found = drift.of_categories("brand", {"a": 10, "b": 20}, {"a": 20, "b": 10})
        assert found.statistic == pytest.approx(4 * 25 / 15)

    def test_one_category_alone_cannot_drift(self):
        assert drift.of_categories("x", {"a": 5}, {"a": 9}).p == 1.0
        with pytest.raises(MeasureError):
            drift.of_categories("x", {}, {"a": 1})


class TestVectors:
    def test_scipy_agrees_on_one_dimension(self):
        rng = np.random.default_rng(0)
        before, now = rng.normal(size=(60, 1)), rng.normal(0.7, 1.3, size=(50, 1))
        theirs = stats.energy_distance(before[:, 0], now[:, 0]) ** 2
        assert drift.of_vectors("text", before, now).statistic == pytest.approx(theirs)

    def test_the_plain_sums_agree(self):
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
        mean = {
            (a, b): np.mean([[np.linalg.norm(u - v) for v in q] for u in p])
            for a, p in (("x", x), ("y", y)) for b, q in (("x", x), ("y", y))
        }  # fmt: skip
        plain = 2 * mean["x", "y"] - mean["x", "x"] - mean["y", "y"]
        found = drift.of_vectors("text", x, y)
        assert found.statistic == pytest.approx(plain)
        assert found.size == pytest.approx(plain / (2 * mean["x", "y"]))

    def test_a_moved_cluster_is_drift_and_another_draw_is_not(self):
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(4, 16))
        draw = lambda shift=0.0: (  # noqa: E731
            centres[rng.integers(4, size=1500)] + 0.3 * rng.normal(size=(1500, 16)) + shift
        )
        same = drift.of_vectors("text", draw(), draw())
        moved = drift.of_vectors("text", draw(), draw(0.5))
        same, moved = drift.judged([same, moved])
        assert not same.drifted and same.p > 0.01
        assert moved.drifted and moved.p == pytest.approx(0.001)

    def test_a_change_of_shape_alone_is_seen(self):
        """The same mean and less spread: what a test of means would not see."""
        rng = np.random.default_rng(0)
        found = drift.of_vectors("x", rng.normal(size=(900, 8)), 0.7 * rng.normal(size=(900, 8)))
        assert found.p == pytest.approx(0.001)

    def test_two_encoders_are_refused(self):
        with pytest.raises(MeasureError, match="two encoders"):
            drift.of_vectors("text", np.ones((2, 3)), np.ones((2, 4)))

    def test_equal_vectors(self):
        found = drift.of_vectors("text", np.ones((5, 3)), np.ones((5, 3)))
        assert found.p == 1.0 and found.size == 0.0
