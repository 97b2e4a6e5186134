"""Tests that may be looked at at any time: exact under continuous looking, and light to import."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.measure.stats.sequential import Tally, log_evidence, running

COUNTS = st.tuples(st.integers(0, 200), st.integers(0, 200)).map(
    lambda pair: Tally(min(pair), max(pair))
)


def grid(control: Tally, challenger: Tally, difference: float) -> float:
    """Return ``log_evidence`` the slow way: the mixture by quadrature, the rates by a grid."""
    rates = np.linspace(0, 1, 200_001)
    inside = rates[(rates + difference >= 0) & (rates + difference <= 1)]
    likely = stats.binom.logpmf(control.happened, control.of, inside)
    likely = likely + stats.binom.logpmf(challenger.happened, challenger.of, inside + difference)
    mixed = [stats.betabinom(t.of, 0.5, 0.5).logpmf(t.happened) for t in (control, challenger)]
    return float(sum(mixed) - likely.max())


@pytest.mark.parametrize("difference", [-0.2, 0.0, 0.05])
@pytest.mark.parametrize(
    "tallies",
    [(Tally(3, 40), Tally(9, 60)), (Tally(0, 10), Tally(10, 10)), (Tally(50, 90), Tally(20, 90))],
)
def test_the_slow_way_agrees(tallies, difference):
    assert log_evidence(*tallies, difference) == pytest.approx(grid(*tallies, difference), abs=1e-4)


@given(COUNTS, COUNTS)
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_what_was_observed_and_turns_with_the_arms(control, challenger):
    found, turned = running(control, challenger), running(challenger, control)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert (turned.low, turned.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    assert found.decided == (found.p <= found.alpha) or abs(found.p - found.alpha) < 1e-6


def test_nothing_seen_says_nothing():
    found = running(Tally(0, 0), Tally(0, 0))
    assert (found.low, found.high, found.p, found.decided) == (-1.0, 1.0, 1.0, False)


def test_more_answers_narrow_it_and_decide():
    few = running(Tally(20, 400), Tally(30, 400))
    many = running(Tally(2_000, 40_000), Tally(3_000, 40_000))
    assert not few.decided and many.decided
    assert many.high - many.low < 0.2 * (few.high - few.low)
    assert many.low < 0.025 < many.high and many.p < 1e-6


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="5 of 3"):
        Tally(5, 3)


@pytest.mark.parametrize("rate", [0.03, 0.3])
def test_looking_after_every_answer_alarms_as_rarely_as_said(rate):
    """A/A, 300 experiments of 4,000 answers, looked at after each 10: at most 5 % ever decide.

    A fixed-sample test looked at so alarms in a third of them.
    """
    ever, naive = monitored(rate, experiments=300, answers=2000, every=10, seed=1)
    assert ever <= stats.binom(300, 0.05).ppf(0.9999)
    assert naive > 0.2 * 300


def monitored(rate: float, experiments: int, answers: int, every: int, seed: int):
    """Return how many experiments of equal arms are ever decided: by us, and by a z-test."""
    from scipy.special import betaln, xlogy

    rng = np.random.default_rng(seed)
    yes = np.cumsum(rng.random((2, experiments, answers)) < rate, axis=2)[:, :, every - 1 :: every]
    n = np.arange(1, answers + 1)[every - 1 :: every]
    mixture = sum(betaln(k + 0.5, n - k + 0.5) - betaln(0.5, 0.5) for k in yes)
    pooled = yes.sum(axis=0) / (2 * n)
    likely = xlogy(yes.sum(axis=0), pooled) + xlogy(2 * n - yes.sum(axis=0), 1 - pooled)
    evidence = mixture - likely
    one = (0, experiments // 2, len(n) // 2)
    at = one[1], one[2]
    tallies = [Tally(int(k[at]), int(n[one[2]])) for k in yes]
    assert log_evidence(*tallies, 0.0) == pytest.approx(float(evidence[at]), abs=1e-6)
    apart = (yes[1] - yes[0]) / n
    z = apart / np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
    return (evidence >= np.log(20)).any(axis=1).sum(), (np.abs(z) > 1.96).any(axis=1).sum()


def test_it_is_light_to_import():
    """The service imports it: no pandas, no statsmodels, not even SciPy or NumPy."""
    code = (
        "import sys, pipeline.measure.stats.sequential;"
        "print([m for m in ('scipy', 'pandas', 'statsmodels', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
