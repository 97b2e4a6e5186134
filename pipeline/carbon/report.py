"""The report: sums by project, stage, run and month, scope 2, and accuracy against energy."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.artifacts import Artifact, Store
from pipeline.measure.energy.account import Entry, Total, scope_2, total, totals
from pipeline.measure.energy.pareto import Point, front

GROUPINGS: Mapping[str, Callable[[Entry], str]] = {
    "project": lambda entry: entry.project,
    "stage": lambda entry: entry.stage,
    "step": lambda entry: entry.name,
    "run": lambda entry: entry.run,
    "month": lambda entry: entry.month,
}
_MADE_BY_LEARNING = ("model", "ranker")


@dataclass(frozen=True)
class Terms:
    """What the report assumes, and says that it does."""

    machine: str
    currency: str
    pue: float = 1.0
    """Energy of the whole building for one of its computers' (power usage effectiveness)."""
    market_grams_per_kwh: float | None = None
    metric: str = "ndcg@20"


@dataclass(frozen=True)
class Report:
    """Everything that is printed, written as CSV and drawn."""

    terms: Terms
    whole: Total
    by: Mapping[str, Sequence[Total]]
    scope_2: Mapping[str, Any]
    points: Sequence[Point]
    front: Sequence[Point]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "terms": vars(self.terms),
            "total": self.whole.as_dict(),
            "by": {name: [t.as_dict() for t in found] for name, found in self.by.items()},
            "scope_2": dict(self.scope_2),
            "accuracy_against_energy": [
                {**vars(point), "on_the_front": point in self.front} for point in self.points
            ],
        }


def report_on(entries: Sequence[Entry], points: Sequence[Point], terms: Terms) -> Report:
    """Return the report on priced entries."""
    return Report(
        terms,
        total("all", entries),
        {name: totals(entries, by) for name, by in GROUPINGS.items()},
        scope_2(entries, terms.pue, terms.market_grams_per_kwh),
        points,
        front(points),
    )


def points_of(store: Store, metric: str) -> list[Point]:
    """Return how good each measured model is, beside the energy of all that it learned from.

    Models whose energy nobody measured are left out: they were not free.
    """
    learned = {a.fingerprint: a for kind in _MADE_BY_LEARNING for a in store.all(kind)}
    found: dict[str, Point] = {}
    for report in store.all("report"):
        for name, fingerprint in report.facts.get("models", {}).items():
            accuracy = _accuracy(report, name, metric)
            joules = _joules(fingerprint, learned)
            if accuracy is not None and joules is not None:
                found[fingerprint] = Point(name, joules, accuracy)
    names = Counter(point.name for point in found.values())
    return [
        point if names[point.name] == 1 else replace(point, name=f"{point.name} {fingerprint[:6]}")
        for fingerprint, point in sorted(found.items(), key=lambda each: each[1].name)
    ]


def _accuracy(report: Artifact, model: str, metric: str) -> float | None:
    """Return the metric on the test split, or on the last where there is none."""
    splits = report.facts.get("metrics", {})
    headline = "test" if "test" in splits else next(reversed(splits), None)
    value = splits.get(headline, {}).get(model, {}).get(metric) if headline else None
    return None if value is None else float(value)


def _joules(fingerprint: str, learned: Mapping[str, Artifact]) -> float | None:
    """Return the energy of a model with those that it was made from, None where any is unknown."""
    waiting, seen, joules = [fingerprint], set[str](), 0.0
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one not in learned:
            return None
        manifest = learned[one].manifest
        drawn = manifest.get("cost", {}).get("energy_joules")
        if drawn is None:
            return None
        joules += drawn
        named = manifest["inputs"].items()
        waiting += [made for key, made in named if key.partition(":")[0] in _MADE_BY_LEARNING]
    return joules
