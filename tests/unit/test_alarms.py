"""Changes of level and regressions: found where planted, rarely where not, and said how rarely."""

import numpy as np
import pytest
import ruptures
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pipeline.measure.alarms import find_change_points, regression_alarm
from pipeline.measure.alarms.changes import seeded_intervals


def times(n: int, level: float, rng) -> np.ndarray:
    """Seconds of runs: skewed, with a busy machine now and then."""
    usual = level * (1 + rng.gamma(2, 0.01, n))
    return np.where(rng.random(n) < 0.05, usual * 3, usual)


class TestChangePoints:
    def test_a_step_is_found_where_it_is(self):
        rng = np.random.default_rng(0)
        series = np.concatenate([times(30, 10, rng), times(25, 11, rng)])
        (found,) = find_change_points(series)
        assert abs(found.at - 30) <= 1
        assert found.before == pytest.approx(10.2, rel=0.01)
        assert found.relative == pytest.approx(0.1, rel=0.1)
        assert found.p <= 0.01

    def test_a_change_that_was_taken_back_is_found_twice(self):
        rng = np.random.default_rng(1)
        series = np.concatenate([times(20, 10, rng), times(20, 11, rng), times(20, 10, rng)])
        found = find_change_points(series)
        assert [round(each.at / 20) * 20 for each in found] == [20, 40]
        assert [each.after > each.before for each in found] == [True, False]

    def test_ruptures_agrees_where_changes_are_clear(self):
        rng = np.random.default_rng(2)
        levels = np.repeat([5.0, 7.0, 6.0, 9.0], 25)
        series = levels + rng.normal(0, 0.2, len(levels))
        theirs = ruptures.Pelt(model="l2", min_size=5).fit(series).predict(pen=3.0)[:-1]
        assert [each.at for each in find_change_points(series)] == theirs

    def test_outliers_are_no_change(self):
        series = np.full(40, 10.0) + 0.01 * np.random.default_rng(3).random(40)
        series[[7, 22]] = 100.0
        assert find_change_points(series) == []

    def test_a_series_without_change_alarms_as_rarely_as_said(self):
        """Of 400 heavy-tailed series at alpha .05 about 20 alarm: at most 33 in 999 of 1,000."""
        rng = np.random.default_rng(4)
        alarms = sum(
            bool(find_change_points(times(30, 10, rng), alpha=0.05, resamples=199, seed=each))
            for each in range(400)
        )
        assert 7 <= alarms <= 33

    @pytest.mark.parametrize("series", [[], [1.0], [1.0] * 9, [2.0] * 50])
    def test_short_and_constant_series_have_none(self, series):
        assert find_change_points(series) == []

    def test_what_cannot_be_asked_is_refused(self):
        with pytest.raises(ValueError, match="finite"):
            find_change_points([1.0, float("nan")])
        with pytest.raises(ValueError, match=r"cannot fall to 0\.001"):
            find_change_points([1.0] * 20, alpha=0.001, resamples=99)

    @given(arrays(float, st.integers(10, 60), elements=st.floats(-1e3, 1e3)))
    @settings(max_examples=25, deadline=None)
    def test_an_increasing_map_moves_nothing(self, series):
        """Ranks alone count: a series and its rank-preserving image are cut alike."""
        one = [c.at for c in find_change_points(series, alpha=0.05, resamples=99)]
        ranks = np.unique(series, return_inverse=True)[1].astype(float)
        assert [c.at for c in find_change_points(ranks, alpha=0.05, resamples=99)] == one

    @given(st.integers(12, 400), st.integers(4, 12))
    def test_seeded_intervals_stay_inside_and_cover_all(self, n, least):
        found = [*seeded_intervals(n, least)]
        assert found[0] == (0, n)
        assert all(0 <= a < b <= n and b - a >= least for a, b in found)


class TestRegression:
    def test_slower_runs_raise_an_alarm_that_says_by_how_much(self):
        rng = np.random.default_rng(0)
        found = regression_alarm(times(12, 10, rng), times(6, 12, rng))
        assert found.raised and found.sentence.startswith("worse: +")
        assert found.relative == pytest.approx(0.2, rel=0.15)

    def test_faster_runs_do_not(self):
        rng = np.random.default_rng(0)
        assert not regression_alarm(times(12, 10, rng), times(6, 8, rng)).raised

    def test_lower_is_worse_where_quality_is_measured(self):
        rng = np.random.default_rng(0)
        before, now = rng.normal(0.09, 0.001, 10), rng.normal(0.08, 0.001, 5)
        assert regression_alarm(before, now, worse="lower").raised
        assert not regression_alarm(before, now, worse="higher").raised

    def test_what_is_sure_and_small_alarms_nobody(self):
        rng = np.random.default_rng(0)
        before, now = rng.normal(10, 0.01, 20), rng.normal(10.1, 0.01, 20)
        found = regression_alarm(before, now)
        assert not found.raised and found.p < 0.001
        assert found.sentence.startswith("shift below 5%")
        assert regression_alarm(before, now, least=0.005).raised

    def test_one_run_on_a_busy_machine_alarms_nobody(self):
        assert not regression_alarm([10.0, 10.1, 9.9, 10.0, 10.2], [10.0, 30.0, 9.95]).raised

    def test_too_few_runs_say_so(self):
        found = regression_alarm([10.0, 10.1, 10.2], [20.0, 21.0])
        assert not found.possible and not found.raised
        assert found.least_p == pytest.approx(0.1)
        assert "p cannot fall below 0.1" in found.sentence

    def test_p_is_exact_for_few_runs(self):
        """All 4 recent above all 5: one arrangement of 126."""
        found = regression_alarm([1.0, 2, 3, 4, 5], [7.0, 8, 9, 10])
        assert found.p == pytest.approx(1 / 126) == found.least_p
        assert found.raised

    @pytest.mark.parametrize("sizes", [(6, 4), (30, 8)])
    @pytest.mark.parametrize("worse", ["higher", "lower"])
    def test_scipy_agrees_with_ties_and_without(self, sizes, worse):
        rng = np.random.default_rng(3)
        for spread in (1, 5):
            before, now = (rng.integers(0, 4 * spread, n) / spread for n in sizes)
            how = stats.PermutationMethod(n_resamples=9_999, rng=np.random.default_rng(1))
            side = "greater" if worse == "higher" else "less"
            theirs = stats.mannwhitneyu(now, before, alternative=side, method=how).pvalue
            ours = regression_alarm(before, now, worse=worse).p
            assert ours == pytest.approx(theirs, abs=1e-12 if sizes[0] == 6 else 0.02)

    def test_equal_runs(self):
        found = regression_alarm([3.0] * 6, [3.0] * 4)
        assert found.p == 1.0 and found.shift == 0 and not found.raised

    def test_a_reference_of_zero_has_no_relative_shift(self):
        found = regression_alarm([0.0] * 10, [5.0] * 10)
        assert found.raised and found.relative is None and "+5" in found.sentence

    @pytest.mark.parametrize("bad", [[], [float("nan")]])
    def test_nothing_to_compare_is_refused(self, bad):
        with pytest.raises(ValueError, match="finite values"):
            regression_alarm(bad, [1.0])

    def test_runs_that_did_not_change_alarm_as_rarely_as_said(self):
        """Of 500 questions at alpha .05 about 25, with the least shift at 0: at most 41."""
        rng = np.random.default_rng(5)
        alarms = sum(
            regression_alarm(times(8, 10, rng), times(5, 10, rng), alpha=0.05, least=0.0).raised
            for _ in range(500)
        )
        assert 8 <= alarms <= 41
