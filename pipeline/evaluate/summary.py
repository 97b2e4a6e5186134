"""A report as rows to print."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError, suggest
from pipeline.evaluate.statistics import Interval

_USUAL_K = 20


@dataclass(frozen=True)
class Summary:
    """A table of models by metrics, what it means, and who won."""

    header: list[str]
    """``model``, then metric names."""
    rows: list[list[str]]
    """The main model first; a cell is a mean and its 95 % interval."""
    protocol: str
    """One line on split, candidates, mask and users."""
    verdicts: list[str]
    """One line for each comparison on the shown metrics."""


def summary(report: Artifact, metrics: Sequence[str] = (), split: str | None = None) -> Summary:
    """Return the table of a report, by default recall, ndcg and coverage at 20 (or the nearest k).

    Raises:
        ArtifactError: the report holds no such metric or split.
    """
    numbers = report.json("metrics.json")
    splits = [*dict.fromkeys(n["split"] for n in numbers)]
    chosen = split or splits[-1]
    here = {(n["model"], n["metric"]): n for n in numbers if n["split"] == chosen}
    if not here:
        raise ArtifactError(f"report {report.fingerprint} has no split {chosen!r}; it has {splits}")
    known = [*dict.fromkeys(metric for _, metric in here)]
    wanted = [*metrics] or _usual(known)
    for name in wanted:
        if name not in known:
            raise ArtifactError(f"the report has no {name!r}{suggest(name, known)}; it has {known}")
    models = [*dict.fromkeys(model for model, _ in here)]
    rows = [[model, *(_cell(here[model, name]) for name in wanted)] for model in models]
    compared = report.json("comparisons.json")
    verdicts = [c["verdict"] for c in compared if c["metric"] in wanted and c["split"] == chosen]
    return Summary(["model", *wanted], rows, _protocol(next(iter(here.values()))), verdicts)


def _usual(known: list[str]) -> list[str]:
    ks = sorted({int(name.split("@")[1]) for name in known})
    k = min(ks, key=lambda each: abs(each - _USUAL_K))
    return [f"{name}@{k}" for name in ("recall", "ndcg", "coverage")]


def _cell(number: dict[str, Any]) -> str:
    if number["low"] is None:
        return f"{number['value']:.4f}"
    return str(Interval(number["value"], number["low"], number["high"]))


def _protocol(number: dict[str, Any]) -> str:
    card = number["card"]
    return (
        f"{card['split']} split ({card['split_rule'].get('rule', 'unknown')}), full ranking of "
        f"{card['n_candidates']:,} items, {card['mask']} masked, {card['n_users']:,} users, "
        f"95 % bootstrap intervals over users"
    )
