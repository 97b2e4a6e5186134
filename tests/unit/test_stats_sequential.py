"""Tests that may be looked at at any time: exact under continuous looking, and light to import."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.statistics_simulation import monitored
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
    """A/A, looked at after every 10: at most 5 % ever decide; a z-test does so in a fifth."""
    ever, naive = monitored(rate, times=300, answers=2000, every=10, seed=1)
    assert ever.count <= stats.binom(300, 0.05).ppf(0.9999)
    assert naive.share > 0.2


def test_equal_rates_are_the_pooled_ones():
    """What the simulation above counts with: under no difference the likeliest rate is pooled."""
    tallies = Tally(12, 300), Tally(20, 310)
    likely = sum(tally.log_likelihood(32 / 610) for tally in tallies)
    mixture = sum(tally.log_mixture() for tally in tallies)
    assert log_evidence(*tallies, 0.0) == pytest.approx(mixture - likely, abs=1e-9)


def test_it_is_light_to_import():
    """The service imports it: no pandas, no statsmodels, not even SciPy or NumPy."""
    code = (
        "import sys, pipeline.measure.stats.sequential;"
        "print([m for m in ('scipy', 'pandas', 'statsmodels', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
