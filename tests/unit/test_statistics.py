"""Intervals, the paired test and its correction: on cases whose answer is known."""

import numpy as np
import pytest

from pipeline.measure.stats import bootstrap
from pipeline.measure.stats.bootstrap import intervals, resampled_means
from pipeline.measure.stats.corrections import holm
from pipeline.measure.stats.draws import Draws, Interval
from pipeline.measure.stats.permutation import sign_flip_p


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
