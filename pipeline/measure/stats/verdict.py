"""A family of contrasts, judged together: corrected p-values, and each finding in one line."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from pipeline.measure.stats.contrast import Contrast, Sides, contrasts
from pipeline.measure.stats.corrections import benjamini_hochberg, holm
from pipeline.measure.stats.draws import ALPHA, Draws
from pipeline.measure.stats.power import POWER, least_effect, power_of

LEAST = 0.01
"""The smallest change that matters, of the baseline's mean, where nothing else was said."""


@dataclass(frozen=True)
class Finding:
    """One contrast among its family."""

    contrast: Contrast
    p_holm: float
    p_bh: float
    family: int
    mde: float
    """The smallest difference that would be found 4 times in 5, at alpha over the family's size."""
    power: float | None
    """The chance to find a change by ``least``; None where the baseline's mean is 0."""
    least: float
    """The smallest change that matters, of the baseline's mean."""

    @property
    def sides(self) -> Sides:
        """Return what was compared."""
        return self.contrast.sides

    @property
    def result(self) -> Literal["better", "worse", "no difference shown"]:
        """Return what was found; a sure difference is one below alpha after Holm."""
        if self.p_holm >= ALPHA:
            return "no difference shown"
        return "better" if self.contrast.difference.value > 0 else "worse"

    @property
    def verdict(self) -> str:
        """Return the finding in one line."""
        c, sides = self.contrast, self.sides
        where = sides.metric if sides.part == "all" else f"{sides.metric} on {sides.part}"
        seeds = "" if sides.seeds == (1, 1) else f", {sides.seeds[0]} and {sides.seeds[1]} seeds"
        shown = (
            f"{c.difference.value:+.4f} [{c.difference.low:+.4f}, {c.difference.high:+.4f}]"
            f"{self.in_percent}, p {self.p_holm:.2g} after Holm over {self.family}, "
            f"{sides.n_users:,} users{seeds}"
        )
        if self.result == "no difference shown":
            size = self.mde / c.baseline_value if c.baseline_value > 0 else None
            by = f"{self.mde:.4f}" if size is None else f"{size:.1%}"
            return (
                f"{sides.candidate} and {sides.baseline}: no difference shown on {where}; {shown}; "
                f"{by} would have been found 4 times in 5"
            )
        verb = "beats" if self.result == "better" else "loses to"
        return f"{sides.candidate} {verb} {sides.baseline} on {where}: {shown}"

    @property
    def in_percent(self) -> str:
        """Return `` (+3.4 % [+0.9 %, +5.8 %])``, or nothing where there is no ratio."""
        ratio = self.contrast.relative
        if ratio is None:
            return ""
        value, low, high = (f"{100 * each:+.1f} %" for each in (ratio.value, ratio.low, ratio.high))
        return f" ({value} [{low}, {high}])"

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        c, sides = self.contrast, self.sides
        numbers = {k: v for k, v in vars(c).items() if k not in ("sides", "difference", "relative")}
        return {
            "candidate": sides.candidate, "baseline": sides.baseline, "metric": sides.metric,
            "slice": sides.part, "n_users": sides.n_users, "seeds": [*sides.seeds],
            "difference": asdict(c.difference),
            "relative": None if c.relative is None else asdict(c.relative),
            **{name: _plain(value) for name, value in numbers.items()},
            "p_holm": self.p_holm, "p_bh": self.p_bh, "family": self.family,
            "mde": self.mde, "mde_power": POWER, "power": self.power, "power_for": self.least,
            "result": self.result, "verdict": self.verdict,
        }  # fmt: skip


def _plain(value: float | None) -> float | None:
    """Return a number as JSON has it: an endless effect size is null."""
    return value if value is not None and np.isfinite(value) else None


def judge(asked: Sequence[Sides], draws: Draws, least: float = LEAST) -> list[Finding]:
    """Return a finding for each pair; all of them are one family.

    The family is what Holm's and Benjamini and Hochberg's corrections count: every metric, slice
    and pair that is asked for makes all the others harder to show.
    """
    found = contrasts(asked, draws)
    p_values = np.array([each.p for each in found])
    alpha = ALPHA / max(1, len(found))
    return [
        Finding(
            each, float(after_holm), float(after_bh), len(found),
            least_effect(each.error, each.freedom, alpha),
            _power(each, least, alpha), least,
        )
        for each, after_holm, after_bh in zip(
            found, holm(p_values), benjamini_hochberg(p_values), strict=True
        )
    ]  # fmt: skip


def _power(contrast: Contrast, least: float, alpha: float) -> float | None:
    effect = least * contrast.baseline_value
    if effect <= 0:
        return None
    return power_of(effect, contrast.error, contrast.freedom, alpha)
