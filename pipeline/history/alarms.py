"""Which series got worse: recent runs against those before, as distributions, on one machine."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipeline.history.series import Series, worse_of
from pipeline.measure.alarms import Alarm, ChangePoint, find_change_points, regression_alarm
from pipeline.measure.stats.corrections import holm

RECENT, REFERENCE = 5, 50


@dataclass(frozen=True)
class Rule:
    """When a series counts as worse."""

    recent: int = RECENT
    """Runs that are compared with those before."""
    reference: int = REFERENCE
    """Runs before that count, at most."""
    least: float = 0.05
    """Relative shift below which nobody is alarmed."""
    alpha: float = 0.01
    """The chance that any alarm at all is raised while nothing has changed."""


@dataclass(frozen=True)
class Watched:
    """A series, and how its recent runs stand."""

    series: Series
    alarm: Alarm
    adjusted_p: float
    """After Holm's correction over all series that were asked."""
    since: str
    """The first of the recent runs."""

    @property
    def raised(self) -> bool:
        """Return whether the series is worse beyond chance, all questions counted."""
        return self.alarm.raised and self.adjusted_p <= self.alarm.alpha

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            **self.series.traits(),
            **asdict(self.alarm),
            "raised": self.raised,
            "adjusted_p": self.adjusted_p,
            "since": self.since,
            "runs": len(self.series.values),
        }


def watch(series: Iterable[Series], rule: Rule, worse: str | None = None) -> list[Watched]:
    """Return how each series stands that has a worse side and runs enough, alarms first.

    Every series is a question, and each question more is a chance more of a false alarm: Holm's
    correction over all of them keeps the chance of any at ``rule.alpha``. A series with too few
    runs to raise an alarm is none: it is not asked, and takes nothing from the others.

    ``worse`` says which side is worse where the metric's name does not.
    """
    asked = [found for each in series if (found := _asked(each, rule, worse))]
    if not asked:
        return []
    adjusted = holm(np.array([found.alarm.p for found in asked]))
    corrected = [replace(a, adjusted_p=float(p)) for a, p in zip(asked, adjusted, strict=True)]
    return sorted(corrected, key=lambda a: (not a.raised, a.adjusted_p, a.series.name))


def _asked(series: Series, rule: Rule, worse: str | None) -> Watched | None:
    side = worse_of(series.metric) or worse
    before = series.values[: -rule.recent][-rule.reference :]
    if side not in ("higher", "lower") or not before:
        return None
    alarm = regression_alarm(
        before,
        series.values[-rule.recent :],
        worse="higher" if side == "higher" else "lower",
        least=rule.least,
        alpha=rule.alpha,
    )
    since = series.runs[-rule.recent :][0]
    return Watched(series, alarm, alarm.p, since) if alarm.possible else None


def changes(series: Series) -> list[tuple[str, ChangePoint]]:
    """Return where a series took another level, each with the first run of it."""
    return [(series.runs[found.at], found) for found in find_change_points(series.values)]


def summary(found: Sequence[Watched], rule: Rule) -> dict[str, Any]:
    """Return what a webhook is told: the alarms, and what was asked to find them."""
    return {
        "alarms": [each.as_json() for each in found if each.raised],
        "asked": len(found),
        "false_alarm_rate": rule.alpha,
        "rule": asdict(rule),
    }
