"""Two arms of an experiment, looked at whenever one likes: intervals and tests that stay valid.

A fixed-sample interval that is looked at after every answer is wrong sooner or later. These hold at
all times together: the chance that the interval *ever* leaves the true difference out is at most
``alpha``, so an experiment may be stopped the moment something shows.

Outcomes are yes or no (a list was clicked, an answer failed). For each arm the likelihood ratio of
a beta mixture against a rate is a martingale under that rate (Robbins 1970; Howard et al. 2021),
and the product over both arms is one under both rates, however answers of the arms alternate. By
Ville's inequality it ever exceeds 1/alpha with a chance of at most alpha; the interval holds every
difference for which some pair of rates has not been excluded so. It needs the counts alone: not
their order, and not one list of who answered, so counts of several processes may be added up.

Exact for any number of answers. The price beside a test at a size fixed in advance is an interval
two to three times as wide at tens of thousands of answers. Outcomes must be independent: count
each user once.
"""

from dataclasses import dataclass
from math import exp, inf, lgamma, log

ALPHA = 0.05
_PRIOR = 0.5
"""Of the beta mixture: Jeffreys', which Krichevsky and Trofimov (1981) show to lose least."""
_STEPS = 60


@dataclass(frozen=True)
class Tally:
    """How often something happened in an arm."""

    happened: int
    of: int

    def __post_init__(self) -> None:
        """Refuse impossible counts."""
        if not 0 <= self.happened <= self.of:
            raise ValueError(f"{self.happened} of {self.of} cannot be")

    @property
    def rate(self) -> float:
        """Return the observed share; 0 of nothing."""
        return self.happened / self.of if self.of else 0.0

    def log_mixture(self) -> float:
        """Return the log-likelihood under the beta mixture."""
        a, b = self.happened + _PRIOR, self.of - self.happened + _PRIOR
        prior = 2 * lgamma(_PRIOR) - lgamma(2 * _PRIOR)
        return lgamma(a) + lgamma(b) - lgamma(a + b) - prior

    def log_likelihood(self, rate: float) -> float:
        """Return the log-likelihood of a rate."""
        return _times(self.happened, rate) + _times(self.of - self.happened, 1 - rate)


@dataclass(frozen=True)
class Running:
    """The difference of two arms' rates, at a moment that may have been chosen by looking."""

    difference: float
    """Of the challenger's rate, less the control's."""
    low: float
    high: float
    p: float
    """Always valid: at most ``alpha`` ever with a chance of at most alpha, where rates are equal.
    Of this moment; the least of all moments is as valid."""
    alpha: float

    @property
    def decided(self) -> bool:
        """Return whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def running(control: Tally, challenger: Tally, alpha: float = ALPHA) -> Running:
    """Return the difference of the rates with its interval, valid at every moment at once."""
    value = challenger.rate - control.rate
    low = _edge(control, challenger, value, -1.0, log(1 / alpha))
    high = _edge(control, challenger, value, 1.0, log(1 / alpha))
    p = exp(min(0.0, -log_evidence(control, challenger, 0.0)))
    return Running(value, low, high, p, alpha)


def log_evidence(control: Tally, challenger: Tally, difference: float) -> float:
    """Return the log of the evidence against a difference of the rates: an e-process.

    Over all pairs of rates that differ so, the least: it exceeds log(1/alpha) at any time with a
    chance of at most alpha where the rates do differ so.
    """
    mixture = control.log_mixture() + challenger.log_mixture()
    best = _most_likely(control, challenger, difference)
    return mixture - best


def _most_likely(control: Tally, challenger: Tally, difference: float) -> float:
    """Return the largest log-likelihood of two rates that are ``difference`` apart."""
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        rising = _slope(control, middle) + _slope(challenger, middle + difference) > 0
        low, high = (middle, high) if rising else (low, middle)
    rate = (low + high) / 2
    other = min(1.0, max(0.0, rate + difference))
    return control.log_likelihood(rate) + challenger.log_likelihood(other)


def _slope(tally: Tally, rate: float) -> float:
    """Return how fast the log-likelihood grows with the rate; it is concave."""
    yes, no = tally.happened, tally.of - tally.happened
    up = yes / rate if yes and rate > 0 else (inf if yes else 0.0)
    down = no / (1 - rate) if no and rate < 1 else (inf if no else 0.0)
    if up == down == inf:
        return 0.0
    return up - down


def _times(count: int, rate: float) -> float:
    if count == 0:
        return 0.0
    return count * log(rate) if rate > 0 else -inf


def _edge(control: Tally, challenger: Tally, value: float, end: float, enough: float) -> float:
    """Return the difference nearest to ``end`` that is not excluded, from the observed one."""
    inside, outside = value, end
    if log_evidence(control, challenger, end) < enough:
        return end
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        excluded = log_evidence(control, challenger, middle) >= enough
        inside, outside = (inside, middle) if excluded else (middle, outside)
    return outside
