"""Two contenders and their users, in numbers: difference, ratio, p, effect, what could be found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.measure.errors import MeasureError
from pipeline.measure.stats.bootstrap import (
    acceleration,
    bca_bounds,
    expanded_tail,
    resampled_means,
)
from pipeline.measure.stats.draws import Draws, Floats, Interval
from pipeline.measure.stats.effects import cliffs_delta, paired_d, shares_of_wins
from pipeline.measure.stats.permutation import sign_flip_p
from pipeline.measure.stats.seeds import spread


@dataclass(frozen=True)
class Sides:
    """What a candidate and a baseline score with the same users, on one metric of one slice.

    Shapes:
        ours: (S seeds, B users). theirs: (T, B).
    """

    candidate: str
    baseline: str
    metric: str
    part: str
    """Of the users or items: the slice's name, ``all`` for the whole split."""
    ours: Floats
    theirs: Floats

    def __post_init__(self) -> None:
        """Refuse what cannot be paired.

        Raises:
            MeasureError: the users differ in number, are none, or a value is not finite.
        """
        if self.ours.shape[1] != self.theirs.shape[1] or not self.ours.size:
            raise MeasureError(
                f"{self}: {self.ours.shape[1]} and {self.theirs.shape[1]} users; a paired "
                f"comparison needs the same users on both sides, and at least one"
            )
        if not (np.isfinite(self.ours).all() and np.isfinite(self.theirs).all()):
            raise MeasureError(f"{self}: a value is not finite; leave out users without one")

    def __str__(self) -> str:
        """Return what is compared."""
        where = "" if self.part == "all" else f" on {self.part}"
        return f"{self.candidate} and {self.baseline}, {self.metric}{where}"

    @property
    def n_users(self) -> int:
        """Return how many users both were measured with."""
        return int(self.ours.shape[1])

    @property
    def seeds(self) -> tuple[int, int]:
        """Return how many seeds each side has."""
        return len(self.ours), len(self.theirs)

    def means(self) -> tuple[Floats, Floats]:
        """Return each side's means over seeds.

        Shapes:
            returns: (B,), (B,).
        """
        ours, theirs = self.ours, self.theirs
        return ours.mean(axis=0, dtype=np.float64), theirs.mean(axis=0, dtype=np.float64)


@dataclass(frozen=True)
class Contrast:
    """How a candidate differs from a baseline; p is not corrected for company."""

    sides: Sides
    baseline_value: float
    difference: Interval
    relative: Interval | None
    """Of the baseline's mean; None where that is not surely above 0."""
    p: float
    d: float
    """Cohen's, paired."""
    delta: float
    """Cliff's."""
    wins: float
    """Share of users with whom the candidate is better."""
    losses: float
    error: float
    """Standard error of the difference."""
    freedom: float
    seed_share: float | None
    """Of the variance; None with one seed on each side, which tells nothing about others."""


def contrasts(asked: Sequence[Sides], draws: Draws) -> list[Contrast]:
    """Return a contrast for each pair, in order.

    One seed on each side: BCa bootstrap over users, and sign flips. More: the two-way layout of
    ``seeds``, as users alone do not tell how training varies.
    """
    found: dict[int, Contrast] = {}
    alone: dict[int, list[int]] = {}
    for at, sides in enumerate(asked):
        if sides.seeds == (1, 1):
            alone.setdefault(sides.n_users, []).append(at)
        else:
            found[at] = _over_seeds(sides)
    for places in alone.values():
        several = _over_users([asked[at] for at in places], draws, len(asked))
        found.update(zip(places, several, strict=True))
    return [found[at] for at in range(len(asked))]


def _over_users(asked: Sequence[Sides], draws: Draws, family: int) -> list[Contrast]:
    """Return contrasts of as many users, resampled together."""
    theirs = np.stack([sides.theirs[0] for sides in asked], axis=1).astype(np.float64)
    apart = np.stack([sides.ours[0] for sides in asked], axis=1) - theirs
    absolute, relative = difference_intervals(apart, theirs, draws)
    p_values = sign_flip_p(apart, draws.enough_for(family))
    n = len(apart)
    errors = apart.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(asked))
    return [
        _contrast(sides, absolute[m], relative[m], float(p_values[m]), (float(errors[m]), n - 1.0))
        for m, sides in enumerate(asked)
    ]


def difference_intervals(
    apart: Floats, theirs: Floats, draws: Draws
) -> tuple[list[Interval], list[Interval | None]]:
    """Return BCa intervals of the mean differences, and of them over the baselines' means.

    Shapes:
        apart, theirs: (B, M).
    """
    count, tail = apart.shape[1], expanded_tail(len(apart))
    means = resampled_means(np.hstack([apart, theirs]), draws)
    moved, bases = means[:, :count], means[:, count:]
    value, base = apart.mean(axis=0), theirs.mean(axis=0)
    low, high = bca_bounds(moved, value, acceleration(apart - value), tail)
    absolute = [Interval(*map(float, each)) for each in zip(value, low, high, strict=True)]
    fit = np.flatnonzero(bases.min(axis=0) > 0)
    ratio = value[fit] / base[fit]
    influence = (apart[:, fit] - theirs[:, fit] * ratio) / base[fit]
    low, high = bca_bounds(moved[:, fit] / bases[:, fit], ratio, acceleration(influence), tail)
    relative: list[Interval | None] = [None] * count
    for at, *each in zip(fit, ratio, low, high, strict=True):
        relative[at] = Interval(*map(float, each))
    return absolute, relative


def _over_seeds(sides: Sides) -> Contrast:
    """Return a contrast whose interval counts seeds and users."""
    ours, theirs = sides.means()
    base, value = float(theirs.mean()), float((ours - theirs).mean())
    of = spread(sides.ours, sides.theirs)
    relative = None
    if base > 0 and spread(sides.theirs, np.zeros_like(sides.theirs)).interval(base).low > 0:
        ratio = value / base
        alike = spread(sides.ours, sides.theirs, 1 + ratio)
        around = alike.interval(0.0)
        relative = Interval(ratio, ratio + around.low / base, ratio + around.high / base)
    found = _contrast(sides, of.interval(value), relative, of.p(value), (of.error, of.freedom))
    return replace(found, seed_share=of.seed_share)


def _contrast(
    sides: Sides,
    difference: Interval,
    relative: Interval | None,
    p: float,
    certainty: tuple[float, float],
) -> Contrast:
    ours, theirs = sides.means()
    wins, losses = shares_of_wins(ours - theirs)
    return Contrast(
        sides, float(theirs.mean()), difference, relative, p,
        float(paired_d((ours - theirs)[:, None])[0]), cliffs_delta(ours, theirs), wins, losses,
        *certainty, None,
    )  # fmt: skip
