"""What runs that compare measured of one thing, over time."""

from dataclasses import dataclass
from typing import Any

COSTS = (
    "wall_seconds",
    "cpu_seconds",
    "peak_rss_bytes",
    "energy_joules",
    "grams_co2e",
    "gpu_peak_bytes",
)
"""Worse where they are higher."""

QUALITY = ("recall", "ndcg", "precision", "hit", "mrr", "map", "best_validation")
"""Worse where they are lower, at any list length."""


@dataclass(frozen=True)
class Series:
    """The values of one metric of one step, of one machine, one data set and one configuration."""

    environment_id: str | None
    data: str
    config: str
    stage: str
    step: str
    metric: str
    runs: list[str]
    at: list[str]
    values: list[float]

    @property
    def name(self) -> str:
        """Return the metric with its step: ``train/wall_seconds``."""
        return f"{self.step}/{self.metric}"

    def traits(self) -> dict[str, Any]:
        """Return what the runs have in common."""
        return {
            "environment_id": self.environment_id,
            "data": self.data,
            "config": self.config,
            "stage": self.stage,
            "step": self.step,
            "metric": self.metric,
        }


def worse_of(metric: str) -> str | None:
    """Return whether ``higher`` or ``lower`` is worse; None where neither can be said."""
    if metric in COSTS:
        return "higher"
    return "lower" if metric.partition("@")[0] in QUALITY else None
