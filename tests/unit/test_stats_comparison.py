"""Effects, power, seeds, families and gates: known answers, twins, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pipeline.measure.errors import MeasureError
from pipeline.measure.stats.contrast import Sides, contrasts
from pipeline.measure.stats.draws import Draws
from pipeline.measure.stats.effects import cliffs_delta, paired_d, shares_of_wins
from pipeline.measure.stats.gate import Gate, passages
from pipeline.measure.stats.power import least_effect, power_of, users_for
from pipeline.measure.stats.seeds import spread
from pipeline.measure.stats.verdict import judge

VALUES = arrays(float, st.integers(1, 30), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
DRAWS = Draws(1000)


def sides(ours, theirs, metric="ndcg@20", part="all", names=("new", "old")) -> Sides:
    return Sides(*names, metric, part, np.atleast_2d(ours), np.atleast_2d(theirs))


def scores(shift: float = 0.0, users: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return two models that mostly score 0, ours better by ``shift``."""
    rng = np.random.default_rng(seed)
    taste = rng.beta(0.5, 2, users)
    ours, theirs = (rng.random(users) < taste for _ in range(2))
    return ours * 0.5 + shift, theirs * 0.5


class TestEffects:
    @given(VALUES, VALUES)
    def test_cliffs_delta_is_that_of_all_pairs(self, ours, theirs):
        apart = np.sign(ours[:, None] - theirs[None, :]).mean()
        assert cliffs_delta(ours, theirs) == pytest.approx(apart)
        assert cliffs_delta(theirs, ours) == pytest.approx(-apart)

    def test_paired_d_by_hand(self):
        """Differences 1, 2, 3: mean 2, standard deviation 1."""
        assert paired_d(np.array([[1.0], [2.0], [3.0]])).tolist() == [2.0]

    def test_paired_d_without_spread(self):
        found = paired_d(np.array([[0.0, 1.0, -1.0], [0.0, 1.0, -1.0]]))
        assert found.tolist() == [0.0, np.inf, -np.inf]
        assert paired_d(np.array([[0.3]])).tolist() == [np.inf]

    def test_wins_and_losses(self):
        assert shares_of_wins(np.array([1.0, 0, 0, -2])) == (0.25, 0.25)


class TestPower:
    @pytest.mark.parametrize("users", [4, 12, 80, 900, 4000, 20_000])
    @pytest.mark.parametrize("effect", [0.02, 0.1, 0.5])
    def test_statsmodels_agrees(self, users, effect):
        from statsmodels.stats.power import TTestPower

        theirs = TTestPower().power(effect, users, 0.05)
        ours = power_of(effect, 1 / np.sqrt(users), users - 1, 0.05)
        assert ours == pytest.approx(1.0 if np.isnan(theirs) else theirs, abs=2e-4)

    def test_without_effect_power_is_alpha(self):
        assert power_of(0.0, 0.1, 50, 0.05) == pytest.approx(0.05)
        assert power_of(0.0, 0.0, 50, 0.05) == 0.05 and power_of(0.1, 0.0, 50, 0.05) == 1.0

    @given(st.floats(1e-4, 10), st.integers(2, 10_000), st.sampled_from([0.05, 0.001]))
    def test_the_least_effect_has_the_power_asked_for(self, error, freedom, alpha):
        least = least_effect(error, freedom, alpha)
        assert power_of(least, error, freedom, alpha) == pytest.approx(0.8, abs=1e-6)

    def test_no_error_finds_everything(self):
        assert least_effect(0.0, 10, 0.05) == 0.0

    def test_users_needed_are_enough_and_hardly_more(self):
        users = users_for(0.1, 1.0, 0.05)
        assert power_of(0.1, 1 / np.sqrt(users), users - 1, 0.05) >= 0.8
        assert power_of(0.1, 1 / np.sqrt(0.99 * users), users - 1, 0.05) < 0.8
        with pytest.raises(ValueError, match="effect of 0"):
            users_for(0.0, 1.0, 0.05)


class TestSeeds:
    def test_one_seed_each_is_the_paired_t_interval(self):
        rng = np.random.default_rng(0)
        ours, theirs = rng.random((1, 50)), rng.random((1, 50))
        found = spread(ours, theirs)
        apart = ours[0] - theirs[0]
        theirs_p = stats.ttest_1samp(apart, 0.0)
        assert found.p(float(apart.mean())) == pytest.approx(theirs_p.pvalue)
        low, high = theirs_p.confidence_interval(0.95)
        interval = found.interval(float(apart.mean()))
        assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
        assert found.seed_share == 0

    def test_parts_are_those_of_the_two_way_layout(self):
        """Many seeds and users: each part's estimate is near what was planted."""
        rng = np.random.default_rng(0)
        shape = (400, 500)
        user, seed = rng.normal(0, 0.3, shape[1]), rng.normal(0, 0.1, (shape[0], 1))
        ours = user + seed + rng.normal(0, 0.2, shape)
        found = spread(ours, np.zeros((1, shape[1])))
        assert found.users == pytest.approx((0.09 + 0.04 / 400) / 500, rel=0.2)
        assert found.ours == pytest.approx((0.01 + 0.04 / 500) / 400, rel=0.2)
        assert found.theirs == 0

    def test_seeds_alone_are_welchs_test(self):
        """Users that are all alike leave the seeds' means: Welch's t and degrees of freedom."""
        rng = np.random.default_rng(1)
        ours, theirs = (np.repeat(rng.normal(size=(n, 1)), 20, axis=1) for n in (4, 6))
        found = spread(ours, theirs)
        welch = stats.ttest_ind(ours[:, 0], theirs[:, 0], equal_var=False)
        assert found.p(float(ours.mean() - theirs.mean())) == pytest.approx(welch.pvalue)
        assert found.freedom == pytest.approx(welch.df)

    def test_no_spread_at_all(self):
        found = spread(np.ones((2, 5)), np.ones((2, 5)))
        assert found.p(0.0) == 1.0 and found.p(0.1) == 0.0 and found.interval(0.0).high == 0

    def test_a_single_user(self):
        assert spread(np.array([[0.5]]), np.array([[0.2]])).variance == 0


class TestContrasts:
    def test_seeds_are_counted_where_there_are_any(self):
        ours = np.stack([scores(0.02, seed=0)[0] + shift for shift in (-0.06, 0.0, 0.06)])
        theirs = np.stack([scores(seed=0)[1]] * 3)
        (counted,) = contrasts([sides(ours, theirs)], DRAWS)
        (alone,) = contrasts([sides(ours.mean(axis=0), theirs.mean(axis=0))], DRAWS)
        assert counted.seed_share > 0.5 and alone.seed_share is None
        assert counted.difference.high - counted.difference.low > 2 * (
            alone.difference.high - alone.difference.low
        )

    def test_order_is_kept_whatever_the_number_of_users(self):
        asked = [
            sides(*scores(0.1, 50)), sides(*scores(0.2, 60)), sides(*scores(0.3, 50)),
            sides(np.stack([scores(0.4, 40)[0]] * 2), scores(0, 40)[1]),
        ]  # fmt: skip
        found = contrasts(asked, DRAWS)
        assert [each.sides for each in found] == asked
        assert np.diff([each.difference.value for each in found]).min() > 0

    def test_a_ratio_near_a_baseline_of_zero_is_none(self):
        ours = scores(0.1)[0]
        assert contrasts([sides(ours, np.zeros(600))], DRAWS)[0].relative is None
        assert contrasts([sides([ours, ours], np.zeros((2, 600)))], DRAWS)[0].relative is None

    def test_the_ratios_interval_is_near_the_delta_methods(self):
        ours, theirs = scores(0.02, 3000)
        (found,) = contrasts([sides(ours, theirs)], Draws(4000))
        ratio = found.relative.value
        error = (ours - (1 + ratio) * theirs).std() / theirs.mean() / np.sqrt(3000)
        assert ratio == pytest.approx(ours.mean() / theirs.mean() - 1)
        width = found.relative.high - found.relative.low
        assert width == pytest.approx(2 * 1.96 * error, rel=0.08)

    @pytest.mark.parametrize(
        ("ours", "theirs", "why"),
        [([1.0, 2], [1.0], "same users"), ([], [], "at least one"), ([np.nan], [1.0], "finite")],
    )
    def test_what_cannot_be_paired_is_refused(self, ours, theirs, why):
        with pytest.raises(MeasureError, match=why):
            sides(ours, theirs)


class TestVerdicts:
    def test_more_company_makes_everything_harder(self):
        asked = sides(*scores(0.02))
        noise = [sides(*scores(0, seed=s), metric=f"recall@{s}") for s in range(1, 20)]
        alone, *_ = judge([asked], DRAWS)
        among, *_ = judge([asked, *noise], DRAWS)
        assert among.p_holm >= alone.p_holm and among.mde > alone.mde
        assert among.power < alone.power and among.family == 20

    def test_lines(self):
        better, equal = judge([sides(*scores(0.1)), sides(*scores(0), part="tail")], DRAWS)
        assert better.verdict.startswith("new beats old on ndcg@20: +0.1")
        assert "600 users" in better.verdict and " %" in better.in_percent
        assert equal.verdict.startswith("new and old: no difference shown on ndcg@20 on tail")
        assert "would have been found 4 times in 5" in equal.verdict
        (worse,) = judge([sides(*scores(0.1)[::-1])], DRAWS)
        assert worse.result == "worse" and "loses to" in worse.verdict

    def test_json_has_every_number(self):
        import json

        (found,) = judge([sides([0.5, 0.5], [0.4, 0.4])], DRAWS)
        told = json.loads(json.dumps(found.as_json()))
        assert told["d"] is None, "an endless effect has no number in JSON"
        assert told["difference"]["value"] == pytest.approx(0.1)
        assert {"p", "p_holm", "p_bh", "mde", "power", "delta", "wins"} <= {*told}

    def test_a_baseline_of_zero_has_no_power_for_a_share_of_it(self):
        (found,) = judge([sides(scores(0.1)[0], np.zeros(600))], DRAWS)
        assert found.power is None and found.in_percent == ""


class TestGates:
    @pytest.mark.parametrize(
        ("text", "metric", "part", "least", "bound", "relative"),
        [
            ("ndcg@20 >= -0.5%", "ndcg@20", "all", True, -0.005, True),
            ("ndcg@20>=-0.002", "ndcg@20", "all", True, -0.002, False),
            ("recall@5[tail] >= 0", "recall@5", "tail", True, 0.0, False),
            ("recall@5 [from-1-to-3] <= +5 %", "recall@5", "from-1-to-3", False, 0.05, True),
            ("popularity_lift@20 <= 1e-3", "popularity_lift@20", "all", False, 0.001, False),
        ],
    )  # fmt: skip
    def test_forms(self, text, metric, part, least, bound, relative):
        found = Gate.parse(text)
        assert (found.metric, found.part, found.least) == (metric, part, least)
        assert (found.bound, found.relative) == (pytest.approx(bound), relative)

    @pytest.mark.parametrize("text", ["ndcg@20", "ndcg@20 > 0", ">= 1", "ndcg@20 >= x%", ""])
    def test_other_forms_are_refused(self, text):
        with pytest.raises(MeasureError, match="write METRIC >= BOUND"):
            Gate.parse(text)

    def passes(self, text, ours, theirs):
        (found,) = passages([Gate.parse(text)], judge([sides(ours, theirs)], DRAWS), "old")
        return found

    def test_the_intervals_end_decides_not_the_mean(self):
        ours, theirs = scores(0.0)
        assert abs(ours.mean() / theirs.mean() - 1) < 0.2
        failed = self.passes("ndcg@20 >= -1%", ours, theirs)
        assert not failed.passed
        assert self.passes("ndcg@20 >= -60%", ours, theirs).passed
        assert self.passes("ndcg@20 >= -1%", theirs + 0.001, theirs).passed

    def test_a_failure_says_whether_it_is_bad_or_unsure(self):
        ours, theirs = scores(0.0)
        assert "too few users" in self.passes("ndcg@20 >= -20%", ours * 0.9, theirs).sentence
        assert "beyond the bound" in self.passes("ndcg@20 >= -1%", ours * 0.5, theirs).sentence

    def test_what_should_not_grow(self):
        ours, theirs = scores(0.0)
        assert self.passes("ndcg@20 <= 50%", theirs, theirs).passed
        assert not self.passes("ndcg@20 <= 0.01", ours + 0.1, theirs).passed

    def test_a_share_of_nothing_is_refused(self):
        with pytest.raises(MeasureError, match="too near 0"):
            self.passes("ndcg@20 >= -1%", scores()[0], np.zeros(600))

    def test_a_gate_of_what_was_not_compared_is_refused(self):
        with pytest.raises(MeasureError, match="was not compared"):
            self.passes("recall@20 >= -1%", *scores())
