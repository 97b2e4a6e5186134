"""What an amount of work costs here: coefficients fitted to runs, times what the probe measured.

``coefficients.json`` is the one place where they stand. Fit them again after a stage changed:
``python -m benchmarks.planner_accuracy --refit``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config import (
    EmbedConfig,
    EtlConfig,
    EvaluateConfig,
    GraphConfig,
    IndexConfig,
    RankConfig,
    TrainConfig,
)
from pipeline.measure.rates import Rates
from pipeline.planner import work, work_train
from pipeline.planner.scene import Scene
from pipeline.planner.work import Amount, Work
from pipeline.sections import Section

COEFFICIENTS = Path(__file__).with_name("coefficients.json")

_WORKS: Mapping[type[Section], Callable[..., Work]] = {
    EtlConfig: work.work_of_etl,
    EmbedConfig: work.work_of_embed,
    GraphConfig: work.work_of_graph,
    TrainConfig: work_train.work_of_train,
    RankConfig: work.work_of_rank,
    EvaluateConfig: work.work_of_evaluate,
    IndexConfig: work.work_of_index,
}
_STAGES = {
    EtlConfig: "etl",
    EmbedConfig: "embed",
    GraphConfig: "graph",
    RankConfig: "rank",
    EvaluateConfig: "evaluate",
    IndexConfig: "index",
}
_THREADED = {
    "train": ("gemm", "gather", "copy"),
    "evaluate": ("gemm", "gather", "copy"),
    "train:item_knn": ("gemm",),
}
"""Rates at which a stage works with all its threads; others do so in matrix products alone."""
_EFFICIENCY = 0.85
"""Of each further thread."""


@dataclass(frozen=True)
class Coefficients:
    """What one unit of each amount costs in one stage, or in training one model."""

    start: float
    """Turns of plain Python that importing and opening take."""
    base: float
    """Bytes that the program itself takes."""
    time: Mapping[str, float]
    memory: Mapping[str, float]
    others: Mapping[str, float]
    """Of amounts that no run had yet, by rate; ``memory`` for those of memory."""


@dataclass(frozen=True)
class Cost:
    """What a step takes by the formula."""

    seconds: float
    cpu_seconds: float
    memory: float
    """Bytes at the peak."""


def work_of(section: Section, scene: Scene) -> Work:
    """Return the work of a stage with these settings on this scene."""
    return _WORKS[type(section)](section, scene)


def key_of(section: Section) -> str:
    """Return the name under which a stage's coefficients stand, a model's own in training."""
    if isinstance(section, TrainConfig):
        return f"train:{'gat' if section.model == 'auto' else section.model}"
    return _STAGES[type(section)]


def cost_of(section: Section, scene: Scene, rates: Rates) -> Cost:
    """Return what a step takes by the formula alone."""
    done, key = work_of(section, scene), key_of(section)
    prices = coefficients(key)
    threaded = _THREADED.get(key, _THREADED.get(key.split(":")[0], ("gemm",)))
    fast = 1 + _EFFICIENCY * (scene.threads - 1)
    cpu = wall = prices.start / rates.python
    for name, amount in done.time.items():
        took = price(prices, name, amount) * amount.count / getattr(rates, amount.rate)
        cpu += took
        wall += took / fast if amount.rate in threaded else took
    held = sum(
        prices.memory.get(name, prices.others["memory"]) * size
        for name, size in done.memory.items()
    )
    return Cost(wall, cpu, prices.base + held)


def price(prices: Coefficients, name: str, amount: Amount) -> float:
    """Return what a unit of an amount costs."""
    return prices.time.get(name, prices.others[amount.rate])


def coefficients(key: str) -> Coefficients:
    """Return the coefficients of a stage or a model; of a model never fitted, those of training."""
    table = _table()
    found = table["stages"].get(key) or table["stages"][key.split(":")[0]]
    return Coefficients(**found, others=table["others"])


@cache
def _table() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(COEFFICIENTS.read_text())
    return read
