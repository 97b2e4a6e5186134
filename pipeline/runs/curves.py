"""The curves of a run: what was logged at more than one step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import files
from pipeline.artifacts import Artifact, Store
from pipeline.measure.track import Record
from pipeline.runs.recording import RUNS

Points = list[tuple[float, float]]
"""Step and value, by rising step."""

_CURVE = "curve.jsonl"
_LOSS = "loss"
_NO_CURVES = ("epoch", "seconds", "epoch_seconds", "epoch_joules")


@dataclass
class Curves:
    """By metric, the points of each step of the run: ``loss`` of ``train`` and of a baseline."""

    by_metric: dict[str, dict[str, Points]] = field(default_factory=dict)

    def add(self, step_name: str, count: int, metrics: Mapping[str, float | None]) -> None:
        """Take what was logged at one count; a later value of a count takes the earlier's place."""
        for metric, value in metrics.items():
            if value is not None and metric not in _NO_CURVES:
                points = self.by_metric.setdefault(metric, {}).setdefault(step_name, [])
                while points and points[-1][0] >= count:
                    points.pop()
                points.append((count, value))

    def drawable(self) -> "Curves":
        """Return those with at least two points, the main model's before the baselines'.

        Losses of several steps stand apart: each model has one of its own, in a unit of its own.
        """
        kept: dict[str, dict[str, Points]] = {}
        for metric, series in self.by_metric.items():
            longer = [name for name in sorted(series, key=_after) if series[name][1:]]
            for name in longer:
                apart = metric == _LOSS and len(longer) > 1
                of_metric = kept.setdefault(f"{metric} of {name}" if apart else metric, {})
                of_metric[name] = series[name]
        return Curves(kept)


def _after(step_name: str) -> tuple[bool, str]:
    return ":" in step_name, step_name


def curves_of(run: Mapping[str, Any], store: Store) -> Curves:
    """Return the curves of a run; of trainings that were complete before, from their models."""
    curves = Curves()
    for line in Record(store.root / RUNS / run["run_id"]).lines():
        if line["epoch_or_step"] is not None:
            curves.add(line["step_name"], line["epoch_or_step"], line["metrics"])
    logged = {name for series in curves.by_metric.values() for name in series}
    for name, step in run.get("steps", {}).items():
        if step["kind"] == "model" and name not in logged:
            model = store.find("model", step["fingerprint"])
            if model is not None:
                _add(curves, name, model)
    return curves.drawable()


def curves_of_model(model: Artifact) -> Curves:
    """Return the curves of a model's training."""
    curves = Curves()
    _add(curves, "train", model)
    return curves.drawable()


def _add(curves: Curves, name: str, model: Artifact) -> None:
    if model.has(_CURVE):
        entries: Iterable[dict[str, Any]] = files.read_lines(model.file(_CURVE))
        for entry in entries:
            curves.add(name, entry["epoch"], entry)
