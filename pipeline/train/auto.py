"""``model: auto``: recipes that need no tuning, tried in turn; validation decides between them.

Two recipes cover what was measured (docs/log.md): with content, sampled softmax over id embeddings
of ordinary size is better and faster; on bare interactions and item graphs, BPR from almost
nothing under a small coupled decay is. Neither is best everywhere, so both are trained where that
takes minutes; on large data, where BPR would take hours, softmax with a larger batch is trained.
"""

from typing import Any

from pipeline.config import TrainConfig
from pipeline.train.data import TrainingData

AUTO = "auto"

LARGE = 500_000
"""Training interactions from which only the faster recipe is trained."""

SOFTMAX: dict[str, Any] = {
    "loss": "softmax",
    "negatives": 256,
    "init_std": 0.1,
    "weight_decay": 1e-2,
    "epochs": 60,
    "patience": 8,
}
BPR: dict[str, Any] = {
    "heads": 0,
    "gate_rate": 0.0,
    "coupled_decay": 1e-6,
    "weight_decay": 0.0,
    "draw": "users",
    "relation_weights": {"text": 0.9, "image": 0.1, "cooccurrence": 0.5},
    "epochs": 100,
    "evaluate_every": 5,
    "patience": 4,
}


def recipes_of(config: TrainConfig, data: TrainingData) -> dict[str, TrainConfig]:
    """Return the settings to train with, by name: one, or for ``auto`` those to choose between.

    What the configuration sets to another value than the default stands in every recipe.
    """
    return {name: recipe.sized(data.train.nnz) for name, recipe in _recipes(config, data).items()}


def _recipes(config: TrainConfig, data: TrainingData) -> dict[str, TrainConfig]:
    if config.model != AUTO:
        return {config.model: config}
    if data.train.nnz >= LARGE or config.fan_out is not None:
        return {"softmax": _with(config, {**SOFTMAX, "batch_size": 8192})}
    return {"softmax": _with(config, SOFTMAX), "bpr": _with(config, BPR)}


def _with(config: TrainConfig, recipe: dict[str, Any]) -> TrainConfig:
    default = TrainConfig()
    free = {k: v for k, v in recipe.items() if getattr(config, k) == getattr(default, k)}
    return config.model_copy(update={**free, "model": "gat"})
