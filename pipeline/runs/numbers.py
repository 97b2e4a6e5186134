"""Which numbers of an artifact are metrics of the run that made it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.artifacts import Artifact

_HEADLINES = ("best_validation", "best_epoch", "epochs_run")
"""Facts of the main model's training that stand for the run as a whole."""


def facts_of(artifact: Artifact) -> dict[str, float]:
    """Return the numbers among an artifact's facts; of a report, those of its headline split."""
    if artifact.kind == "report":
        return {f"{model}.{metric}": v for model, metric, v in report_numbers(artifact)}
    return dict(_numbers(artifact.facts, ""))


def costs_of(cost: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a cost that are known, those of nested tasks left out."""
    return {name: float(value) for name, value in cost.items() if _is_number(value)}


def headline_of(step_name: str, artifact: Artifact) -> dict[str, float]:
    """Return what a step says about the whole run: quality on test, and the best on validation."""
    if step_name == "evaluate":
        main = artifact.facts.get("main")
        return {metric: v for model, metric, v in report_numbers(artifact) if model == main}
    if step_name == "train":
        facts = artifact.facts
        return {name: float(facts[name]) for name in _HEADLINES if _is_number(facts.get(name))}
    return {}


def report_numbers(report: Artifact) -> Iterator[tuple[str, str, float]]:
    """Yield model, metric and value on the split of the headline, which is the last."""
    numbers = report.json("metrics.json")
    for number in numbers:
        if number["split"] == numbers[-1]["split"] and _is_number(number["value"]):
            yield number["model"], number["metric"], float(number["value"])


def _numbers(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif _is_number(value):
            yield f"{prefix}{key}", float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
