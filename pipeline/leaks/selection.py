"""Was the model chosen on validation, and on nothing else?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline import files
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.evaluate.metrics import Metric, evaluate_users
from pipeline.evaluate.protocol import Rules, Subject, subject
from pipeline.interactions import evaluable
from pipeline.leaks.finding import (
    LEAK,
    SUSPICIOUS,
    Examined,
    Finding,
    examined,
    not_examined,
)
from pipeline.leaks.lineage import Run, name_of
from pipeline.scoring import Scorer, open_scorer

SCORES = 200_000_000
"""Scores computed to repeat one number; users are drawn where all would take more."""
_TOLERANCE = 0.01
"""Of a value: what other hardware may change."""
_FAR = 0.05
"""Of a value: splits are so alike that a smaller difference does not tell them apart."""
_DEVIATIONS = 4.0
"""Standard errors that a mean over drawn users may differ from the mean over all."""
_CURVE = "curve.jsonl"
_AGAIN = (
    "Train again with train.select_metric on the validation split: plotpointe train CONFIG --force"
)


@dataclass(frozen=True)
class Repeated:
    """A metric computed again."""

    mean: float
    error: float
    """How far the mean over all users may lie from it."""
    users: int

    def agrees(self, recorded: float) -> bool:
        """Return whether a recorded mean may be this one."""
        return abs(self.mean - recorded) <= self.error

    def is_far_from(self, recorded: float) -> bool:
        """Return whether a recorded mean is another one beyond what hardware may change."""
        return abs(self.mean - recorded) > max(self.error, _FAR * self.mean)


def checks(run: Run) -> Iterator[Examined]:
    """Yield what the selection of each model was asked."""
    for label, model in run.models.items():
        where = f"{name_of(model)} ({label})"
        if not model.has(_CURVE) or "select_metric" not in model.facts:
            yield not_examined("selection used validation", where, "it records no selection")
            continue
        curve = files.read_lines(model.file(_CURVE))
        yield best_epoch(model, curve, where)
        yield recorded_values(run, model, curve, where)


def best_epoch(model: Artifact, curve: list[dict[str, Any]], where: str) -> Examined:
    """Return whether the epoch that was kept is the best of the recorded validation values."""
    metric, kept = str(model.facts["select_metric"]), model.facts.get("best_epoch")
    check = "the kept epoch is the best on validation"
    foreign = sorted({key for entry in curve for key in entry if "test" in key.lower()})
    findings = []
    if foreign:
        text = f"training measured {', '.join(foreign)}"
        findings.append(Finding(SUSPICIOUS, text, len(foreign), len(curve), _AGAIN))
    values = {entry["epoch"]: entry[metric] for entry in curve if metric in entry}
    if values and kept in values and values[kept] < max(values.values()):
        best = max(values, key=lambda epoch: values[epoch])
        text = (
            f"epoch {kept} was kept with {metric} {values[kept]:.4f} on validation, though epoch "
            f"{best} has {values[best]:.4f}: something else chose it"
        )
        findings.append(Finding(SUSPICIOUS, text, 1, len(values), _AGAIN))
    return examined(check, where, f"{len(values)} validations of {metric}", findings)


def recorded_values(run: Run, model: Artifact, curve: list[dict[str, Any]], where: str) -> Examined:
    """Return whether the model's own vectors repeat its best validation value, on validation."""
    check, name = "recorded validation is repeated on validation", str(model.facts["select_metric"])
    recorded = model.facts.get("best_validation")
    if recorded is None:
        return not_examined(check, where, "nobody could be validated on")
    scorer = open_scorer(model, run.train)
    metric = Metric.parse(name)
    drawn = model.facts.get("validation_users")
    validated = repeat(scorer, _asked(run, model, "validation"), metric, drawn)
    looked_at = (
        f"{name} of {validated.users:,} users: {validated.mean:.4f}, recorded {recorded:.4f}"
    )
    if validated.agrees(recorded):
        return examined(check, where, looked_at)
    for mask in ("train", "train+validation"):
        tested = repeat(scorer, _asked(run, model, "test", mask), metric, drawn)
        if tested.agrees(recorded) and validated.is_far_from(recorded):
            text = (
                f"the recorded validation {name} {recorded:.4f} is that of the test split "
                f"({tested.mean:.4f}); on validation the model has {validated.mean:.4f}"
            )
            found = Finding(LEAK, text, 1, 1, _AGAIN, _epochs_like(curve, name, tested))
            return examined(check, where, looked_at, [found])
    text = (
        f"the recorded validation {name} {recorded:.4f} cannot be repeated: the model's vectors "
        f"give {validated.mean:.4f} on validation"
    )
    return examined(check, where, looked_at, [Finding(SUSPICIOUS, text, 1, 1, _AGAIN)])


def _asked(run: Run, model: Artifact, split: str, mask: str = Rules.mask) -> Subject:
    """Return what a split asks a model as training did: of active items, if on these alone."""
    if "active_items" not in model.facts:
        return subject(run.tables, split, Rules(mask))
    found = subject(run.tables, split, Rules(mask, candidates="train"))
    among = sp.diags_array(found.candidates.astype(found.relevant.dtype))
    relevant = sp.csr_matrix(found.relevant @ among)
    relevant.eliminate_zeros()
    relevant.sort_indices()
    return replace(found, relevant=relevant, users=evaluable(found.train, relevant))


def _epochs_like(curve: list[dict[str, Any]], name: str, tested: Repeated) -> tuple[str, ...]:
    same = [e["epoch"] for e in curve if name in e and tested.agrees(float(e[name]))]
    return tuple(f"epoch {epoch}" for epoch in same[:3])


def repeat(scorer: Scorer, of: Subject, metric: Metric, recorded_of: int | None = None) -> Repeated:
    """Return a metric's mean over the users of a split, or over those that can be afforded.

    ``recorded_of`` is how many users the recorded mean is of, where those were drawn, too.
    """
    users = afforded(of.users, of.train)
    values = values_of(scorer, of, users, [metric])[str(metric)]
    mean = float(values.mean()) if len(values) else 0.0
    error = max(1e-6, _TOLERANCE * mean)
    spread = max(float(values.std()), 1 / np.sqrt(max(1, len(values)))) if len(values) else 0.0
    for drawn in (len(users), recorded_of or len(of.users)):
        if 0 < drawn < len(of.users):
            error += _DEVIATIONS * spread / np.sqrt(drawn)
    return Repeated(mean, error, len(users))


def values_of(scorer: Scorer, of: Subject, users: Rows, metrics: list[Metric]) -> dict[str, Floats]:
    """Return each user's metrics under the subject's protocol, (B,) each."""
    longest = max(metric.k for metric in metrics)
    return evaluate_users(scorer, users, of.relevant, of.ranking(longest), metrics)


def afforded(users: Rows, train: sp.csr_matrix) -> Rows:
    """Return the users to rank for: all, or a drawn part where that would take long, in order."""
    most = max(1, SCORES // max(1, train.shape[1]))
    if len(users) <= most:
        return users
    return np.sort(np.random.default_rng(0).choice(users, most, replace=False))
