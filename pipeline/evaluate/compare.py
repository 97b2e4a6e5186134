"""Two models beside each other, paired by user: difference, interval, corrected p, a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.evaluate.results import Card, Measured
from pipeline.measure.stats.bootstrap import intervals
from pipeline.measure.stats.corrections import holm
from pipeline.measure.stats.draws import ALPHA, Draws, Interval
from pipeline.measure.stats.permutation import sign_flip_p

COMPARED = ("recall", "ndcg")
"""Metrics that are compared, at every k; each one more makes all of them harder to show."""


@dataclass(frozen=True)
class Comparison:
    """One metric of one pair of models over the same users."""

    main: str
    baseline: str
    metric: str
    split: str
    difference: Interval
    baseline_value: float
    p: float
    p_holm: float
    n_users: int

    @property
    def verdict(self) -> str:
        """Return the finding in one line."""
        shown = (
            f"difference {self.difference}, p {self.p_holm:.2g} after Holm, {self.n_users} users"
        )
        if self.p_holm >= ALPHA:
            return f"{self.main} and {self.baseline}: no difference shown on {self.metric}; {shown}"
        verb = "beats" if self.difference.value > 0 else "loses to"
        return f"{self.main} {verb} {self.baseline} on {self.metric}; {shown}"


def compare(
    measured: Measured,
    models: Sequence[tuple[str, str]],
    draws: Draws,
    metrics: Sequence[str] = COMPARED,
) -> list[Comparison]:
    """Return each first model against its second; Holm's family is everything returned."""
    pairs = [
        (main, model, metric, measured.values[main][metric] - theirs, float(theirs.mean()))
        for main, model in models
        for metric, theirs in measured.values[model].items()
        if metric.split("@")[0] in metrics
    ]
    if not pairs:
        return []
    differences = np.stack([difference for *_, difference, _ in pairs], axis=1)
    p_values = sign_flip_p(differences, draws.enough_for(len(pairs)))
    found = zip(pairs, intervals(differences, draws), p_values, holm(p_values), strict=True)
    return [
        Comparison(
            main=main,
            baseline=model,
            metric=metric,
            split=measured.split,
            difference=interval,
            baseline_value=base,
            p=float(p),
            p_holm=float(adjusted),
            n_users=len(measured.users),
        )
        for (main, model, metric, _, base), interval, p, adjusted in found
    ]


def as_json(comparisons: list[Comparison], cards: Mapping[str, Card]) -> list[dict[str, Any]]:
    """Return the comparisons as JSON values with verdict, family size and both models' cards."""
    return [
        {
            **asdict(each),
            "verdict": each.verdict,
            "family": len(comparisons),
            "test": "sign flips over users, two-sided, Holm over the family",
            "cards": {name: {**cards[name]} for name in (each.main, each.baseline)},
        }
        for each in comparisons
    ]
