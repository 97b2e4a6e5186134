"""Intervals, the paired test and its correction: on cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.stats import bootstrap, resample
from pipeline.measure.stats.bootstrap import (
    MANY,
    acceleration,
    bca_bounds,
    bca_intervals,
    expanded_tail,
    intervals,
    plain_means,
    resampled_means,
)
from pipeline.measure.stats.corrections import benjamini_hochberg, holm
from pipeline.measure.stats.draws import Draws, Interval
from pipeline.measure.stats.permutation import plain_sign_flip_p, sign_flip_p
from pipeline.measure.stats.resample import PoissonBytes, multinomial_sums


class TestBootstrap:
    def test_same_seed_same_interval(self):
        values = np.random.default_rng(0).random((50, 3))
        assert intervals(values, Draws(200, 1)) == intervals(values, Draws(200, 1))
        assert intervals(values, Draws(200, 1)) != intervals(values, Draws(200, 2))

    def test_every_column_is_resampled_with_the_same_users(self):
        """A column plus one is resampled to the same means plus one: differences are paired."""
        values = np.random.default_rng(0).random((40, 1))
        means = resampled_means(np.hstack([values, values + 1]), Draws(100))
        np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0)

    def test_a_constant_has_an_interval_of_no_width(self):
        assert intervals(np.full((30, 1), 0.25), Draws(100)) == [Interval(0.25, 0.25, 0.25)]

    def test_a_single_user_gives_a_point(self):
        assert intervals(np.array([[0.5]]), Draws(100)) == [Interval(0.5, 0.5, 0.5)]

    def test_parts_of_any_size_give_the_same(self, monkeypatch):
        values = np.random.default_rng(0).random((64, 2))
        whole = resampled_means(values, Draws(50))
        monkeypatch.setattr(bootstrap, "_AT_ONCE", 64 * 7)
        np.testing.assert_allclose(resampled_means(values, Draws(50)), whole, rtol=1e-13)

    def test_printed_as_mean_and_bounds(self):
        assert str(Interval(0.07541, 0.0731, 0.07779)) == "0.0754 [0.0731, 0.0778]"


class TestSignFlips:
    def test_no_difference_is_never_significant(self):
        assert sign_flip_p(np.zeros((20, 1)), Draws(200)).tolist() == [1.0]

    def test_a_clear_difference_reaches_the_smallest_p(self):
        differences = np.full((40, 1), 0.1)
        assert sign_flip_p(differences, Draws(999))[0] == pytest.approx(1 / 1000)

    def test_two_sided(self):
        differences = np.random.default_rng(0).normal(0.3, 1, (60, 1))
        one, other = (sign_flip_p(sign * differences, Draws(500))[0] for sign in (1, -1))
        assert one == other < 0.5

    def test_p_is_never_zero(self):
        assert sign_flip_p(np.ones((500, 1)), Draws(100))[0] > 0


class TestHolm:
    def test_by_hand(self):
        """Sorted .01 .02 .03 .04 times 4 3 2 1, never falling: .04 .06 .06 .06."""
        adjusted = holm(np.array([0.03, 0.01, 0.04, 0.02]))
        np.testing.assert_allclose(adjusted, [0.06, 0.04, 0.06, 0.06])

    def test_never_above_one(self):
        assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]

    def test_one_test_is_not_corrected(self):
        assert holm(np.array([0.03])).tolist() == [0.03]

    def test_none(self):
        assert len(holm(np.array([]))) == 0

    def test_statsmodels_agrees(self):
        from statsmodels.stats.multitest import multipletests

        p_values = np.random.default_rng(0).random(30) ** 3
        np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])
        theirs = multipletests(p_values, method="fdr_bh")[1]
        np.testing.assert_allclose(benjamini_hochberg(p_values), theirs)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
    def test_corrected_is_never_below_and_false_discoveries_never_above(self, p_values):
        given_p = np.array(p_values)
        family, discoveries = holm(given_p), benjamini_hochberg(given_p)
        assert (given_p <= discoveries + 1e-15).all() and (discoveries <= family + 1e-15).all()


class TestBca:
    def test_scipy_agrees_on_the_same_resamples(self):
        """scipy leaves each user out by itself; we have the formula. Bounds agree to rounding."""
        from scipy import stats

        values = np.random.default_rng(0).choice([0, 0.3, 1.0], p=[0.7, 0.2, 0.1], size=(150, 1))
        values *= 1 + 0.1 * np.random.default_rng(1).random((150, 1))
        means = plain_means(values, Draws(1500))
        mean = values.mean(axis=0)
        ours = bca_bounds(means, mean, acceleration(values - mean), 0.025)
        before = stats.bootstrap((values[:, 0],), np.mean, n_resamples=99, rng=0, axis=0)
        before.bootstrap_distribution = means[:, 0]
        theirs = stats.bootstrap(
            (values[:, 0],), np.mean, n_resamples=0, bootstrap_result=before, method="BCa"
        ).confidence_interval
        np.testing.assert_allclose([b[0] for b in ours], [theirs.low, theirs.high], rtol=1e-10)

    def test_acceleration_is_the_jackknifes(self):
        values = np.random.default_rng(0).lognormal(size=(40, 2))
        left_out = np.stack([np.delete(values, i, axis=0).mean(axis=0) for i in range(40)])
        moved = left_out.mean(axis=0) - left_out
        slow = (moved**3).sum(axis=0) / (6 * (moved**2).sum(axis=0) ** 1.5)
        np.testing.assert_allclose(acceleration(values - values.mean(axis=0)), slow, rtol=1e-9)

    def test_a_skewed_metric_has_a_skewed_interval(self):
        values = np.random.default_rng(0).lognormal(sigma=1.5, size=(200, 1))
        (found,) = bca_intervals(values, Draws(2000))
        assert found.high - found.value > 1.2 * (found.value - found.low)

    def test_a_constant_and_a_single_user_are_points(self):
        assert bca_intervals(np.full((30, 1), 0.25), Draws(100)) == [Interval(0.25, 0.25, 0.25)]
        assert bca_intervals(np.array([[0.5]]), Draws(100)) == [Interval(0.5, 0.5, 0.5)]

    def test_few_users_are_given_more_room(self):
        assert expanded_tail(10) < expanded_tail(100) < expanded_tail(10**6) < 0.025 + 1e-6


class TestManyUsers:
    """The fast way draws from the same distribution as the plain one: moments, and shape."""

    def test_a_byte_makes_a_poisson_count(self):
        from scipy import stats

        rng = np.random.Generator(np.random.SFC64(1))
        for rate in (0.3, 0.97, 1.0):
            counts = np.bincount(PoissonBytes(rate)(rng, (64, 16384)).ravel(), minlength=12)
            expected = stats.poisson(rate).pmf(np.arange(7)) * counts.sum()
            statistic = ((counts[:7] - expected) ** 2 / expected).sum()
            assert statistic < stats.chi2(7).ppf(0.9999), rate

    def test_weights_are_multinomial(self):
        """Sums over disjoint groups: mean, variance and covariance of multinomial counts."""
        n, groups = 2000, 4
        members = np.eye(groups)[np.arange(n) % groups]
        sums = multinomial_sums(members, Draws(20_000))
        assert (sums.sum(axis=1) == n).all(), "every resample has exactly n draws"
        share = 1 / groups
        spread = n * (np.diag([share] * groups) - share**2)
        np.testing.assert_allclose(np.cov(sums.T), spread, atol=0.03 * n * share)
        np.testing.assert_allclose(sums.mean(axis=0), n * share, atol=1.0)

    def test_few_users_too_as_their_resamples_are_mostly_drawn_one_by_one(self):
        sums = multinomial_sums(np.eye(3), Draws(4000))
        assert (sums.sum(axis=1) == 3).all()
        assert (sums[:, 0] == 3).mean() == pytest.approx(1 / 27, abs=0.015)

    def test_the_plain_way_agrees(self):
        from scipy import stats

        values = np.random.default_rng(0).choice([0, 0.5, 3.0], p=[0.9, 0.08, 0.02], size=(5000, 2))
        fast = multinomial_sums(values - values.mean(axis=0), Draws(4000)) / len(values)
        plain = plain_means(values, Draws(4000, 1)) - values.mean(axis=0)
        for m in range(2):
            assert stats.ks_2samp(fast[:, m], plain[:, m]).pvalue > 0.001
        np.testing.assert_allclose(fast.std(axis=0), plain.std(axis=0), rtol=0.05)

    def test_sums_are_those_of_the_weights(self):
        """Equal columns have equal sums, and an odd number of resamples is all there."""
        values = np.random.default_rng(0).random((10_000, 1))
        both = multinomial_sums(np.hstack([values, values]), Draws(130))
        np.testing.assert_array_equal(both[:, 0], both[:, 1])
        assert len(both) == 130

    def test_threads_change_nothing(self, monkeypatch):
        values = np.random.default_rng(0).random((3000, 2))
        together = multinomial_sums(values, Draws(300, 5))
        monkeypatch.setattr(resample, "sched_getaffinity", lambda _: {0})
        np.testing.assert_array_equal(multinomial_sums(values, Draws(300, 5)), together)
        assert not np.array_equal(multinomial_sums(values, Draws(300, 6)), together)

    def test_coins_agree_with_single_flips(self):
        rng = np.random.default_rng(0)
        apart = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.75, 0.15], size=(MANY, 1)) * [[1.0, 0.1]]
        apart[:, 1] = rng.normal(0.013, 1, MANY)
        draws = Draws(4000)
        fast, plain = sign_flip_p(apart, draws), plain_sign_flip_p(apart, draws)
        assert fast[0] == plain[0] == pytest.approx(1 / 4001)
        noise = 5 * np.sqrt(2 * plain[1] * (1 - plain[1]) / 4000)
        assert fast[1] == pytest.approx(plain[1], abs=noise)

    def test_where_nobody_differs_p_is_one(self):
        assert sign_flip_p(np.zeros((MANY, 1)), Draws(200)).tolist() == [1.0]

    def test_intervals_of_many_users_agree_with_the_normal(self):
        values = np.random.default_rng(0).random((MANY, 1))
        (found,) = bca_intervals(values, Draws(4000))
        half = 1.96 * float(values.std(ddof=1)) / np.sqrt(MANY)
        assert found.high - found.value == pytest.approx(half, rel=0.06)
        assert found.value - found.low == pytest.approx(half, rel=0.06)
