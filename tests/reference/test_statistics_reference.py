"""Ours beside scipy, and in simulations where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from pipeline.measure.stats.bootstrap import intervals, percentile_bounds, resampled_means
from pipeline.measure.stats.draws import Draws
from pipeline.measure.stats.permutation import sign_flip_p

RESAMPLES = 20_000


def sample(seed: int, n: int = 120) -> np.ndarray:
    """Per-user recalls: mostly zero, some halves and ones."""
    return np.random.default_rng(seed).choice([0.0, 0.5, 1.0], p=[0.7, 0.2, 0.1], size=n)


@pytest.mark.parametrize("seed", range(3))
def test_scipy_bootstrap_agrees(seed):
    values = sample(seed)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", vectorized=True,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    ours = intervals(values[:, None], Draws(RESAMPLES, seed))[0]
    noise = 4 * theirs.standard_error / np.sqrt(RESAMPLES * 0.025)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=noise)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=noise)
    spread = resampled_means(values[:, None], Draws(RESAMPLES, seed)).std(ddof=1)
    assert spread == pytest.approx(theirs.standard_error, rel=0.03)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.12])
def test_scipy_permutation_test_agrees(shift):
    rng = np.random.default_rng(5)
    ours, theirs = sample(1, 80) + shift * rng.random(80), sample(2, 80)
    reference = stats.permutation_test(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=RESAMPLES, rng=np.random.default_rng(0),
    )  # fmt: skip
    found = sign_flip_p((ours - theirs)[:, None], Draws(RESAMPLES, 9))[0]
    noise = 4 * np.sqrt(2 * reference.pvalue * (1 - reference.pvalue) / RESAMPLES) + 2 / RESAMPLES
    assert found == pytest.approx(reference.pvalue, abs=noise)


def test_exact_p_of_few_users():
    """Three equal differences: of the 8 sign patterns 2 are as extreme, so p is 1/4."""
    found = sign_flip_p(np.full((3, 1), 0.2), Draws(RESAMPLES))[0]
    assert found == pytest.approx(0.25, abs=0.02)


def test_intervals_cover_the_truth():
    """400 samples of 150 users, all columns at once: 95 % intervals hold the true mean."""
    truth, worlds, users = 0.2, 400, 150
    rng = np.random.default_rng(0)
    recalls = rng.choice([0.0, 0.5, 1.0], p=[0.7, 0.2, 0.1], size=(users, worlds))
    low, high = percentile_bounds(resampled_means(recalls, Draws(500)))
    covered = ((low <= truth) & (truth <= high)).mean()
    assert 0.92 <= covered <= 0.98


def test_a_model_against_its_like_is_rarely_significant():
    """400 pairs without a difference: at most about 5 % reach p < .05, and not far fewer."""
    rng = np.random.default_rng(1)
    pairs = rng.choice([0.0, 0.5, 1.0], p=[0.7, 0.2, 0.1], size=(2, 150, 400))
    false_alarms = (sign_flip_p(pairs[0] - pairs[1], Draws(500)) < 0.05).mean()
    assert 0.02 <= false_alarms <= 0.08


def test_a_real_difference_is_found():
    rng = np.random.default_rng(2)
    base = rng.random((300, 50))
    better = base + rng.normal(0.05, 0.2, size=base.shape)
    assert (sign_flip_p(better - base, Draws(500)) < 0.05).mean() > 0.95
