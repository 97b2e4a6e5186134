"""Per-user values of every model on one split, and the numbers that go into the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.arrays import Floats, Rows
from pipeline.crew import Crew
from pipeline.evaluate.exposure import exposure_metrics
from pipeline.evaluate.lists import Shown
from pipeline.evaluate.metrics import KERNELS, Metric
from pipeline.evaluate.popularity import popularity_metrics
from pipeline.likeness import Likeness, mean_distances_at
from pipeline.measure.stats.bootstrap import intervals
from pipeline.measure.stats.draws import Draws

Values = Mapping[str, Floats]
"""Metric to (B,) per-user values."""
Card = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """What every model scores with the same users.

    Shapes:
        users: (B,).
    """

    name: str
    """Of the slice; ``all`` for the whole split."""
    split: str
    users: Rows
    values: Mapping[str, Values]
    """By model."""

    def columns(self) -> Iterator[tuple[str, str, Floats]]:
        """Yield (model, metric, values (B,))."""
        for model, values in self.values.items():
            for metric, each in values.items():
                yield model, metric, each

    def numbers(self, cards: Mapping[str, Card], draws: Draws) -> list[dict[str, Any]]:
        """Return each model's mean of each metric with its interval and protocol card."""
        columns = [*self.columns()]
        stacked = np.stack([values for *_, values in columns], axis=1)
        return [
            {
                **{"model": model, "metric": metric, "split": self.split, "slice": self.name},
                **{"value": found.value, "low": found.low, "high": found.high},
                "n_users": len(self.users),
                "card": _card_of(cards[model], metric, draws),
            }
            for (model, metric, _), found in zip(columns, intervals(stacked, draws), strict=True)
        ]


DISTANCE = "intra_list_distance"


def measure_all(
    shown: Mapping[str, Shown],
    ks: Sequence[int],
    likeness: Likeness | None,
    crew: Crew | None = None,
) -> Measured:
    """Return every model's per-user metrics over a whole split."""
    wanted = [Metric(name, k) for name in KERNELS for k in ks]
    values = {
        model: {
            **each.metrics(wanted),
            **popularity_metrics(each, ks),
            **({} if likeness is None else _distances(each, ks, likeness, crew)),
        }
        for model, each in shown.items()
    }
    subject = next(iter(shown.values())).subject
    return Measured("all", subject.split, subject.users, values)


def _distances(
    shown: Shown, ks: Sequence[int], likeness: Likeness, crew: Crew | None
) -> dict[str, Floats]:
    rising = sorted(ks)
    found = mean_distances_at(likeness, shown.items, rising, crew)
    return {f"{DISTANCE}@{k}": found[rising.index(k)] for k in ks}


def exposure_numbers(
    shown: Mapping[str, Shown], ks: Sequence[int], cards: Mapping[str, Card]
) -> list[dict[str, Any]]:
    """Return each model's numbers of all lists together: catalogue coverage and Gini."""
    values = {model: exposure_metrics(each, ks) for model, each in shown.items()}
    subject = next(iter(shown.values())).subject
    empty = Measured("all", subject.split, subject.users, {})
    return plain_numbers(empty, values, cards)


def plain_numbers(
    measured: Measured, values: Mapping[str, Mapping[str, float]], cards: Mapping[str, Card]
) -> list[dict[str, Any]]:
    """Return numbers by model that are no means over users, so have no interval."""
    return [
        {
            **{"model": model, "metric": metric, "split": measured.split, "slice": measured.name},
            **{"value": value, "low": None, "high": None},
            "n_users": len(measured.users),
            "card": _card_of(cards[model], metric, None),
        }
        for model, each in values.items()
        for metric, value in each.items()
    ]


def _card_of(card: Card, metric: str, draws: Draws | None) -> dict[str, Any]:
    how = f"95 % percentile bootstrap over users, {draws.resamples} resamples" if draws else None
    return {**card, "k": int(metric.split("@")[1]), "interval": how}


class PerUserFile:
    """Writes ``per_user.parquet`` part by part, so that memory holds one model's values."""

    def __init__(self, path: Path) -> None:
        """Start the file at ``path``."""
        self._writer = pq.ParquetWriter(path, schema.PER_USER, compression="zstd")

    def __enter__(self) -> "PerUserFile":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the file."""
        self._writer.close()

    def add(self, measured: Measured) -> None:
        """Append every value of ``measured``, one row group a model."""
        for model, values in measured.values.items():
            self._writer.write_table(_long(measured, model, values))


def _long(measured: Measured, model: str, values: Values) -> pa.Table:
    n, names = len(measured.users), [*values]
    same = {"model": model, "split": measured.split, "slice": measured.name}
    metric = pa.DictionaryArray.from_arrays(np.repeat(np.arange(len(names)), n), names)
    columns = {
        **{name: pa.repeat(value, n * len(names)) for name, value in same.items()},
        schema.USER: np.tile(measured.users, len(names)),
        "metric": metric.cast(pa.string()),
        "value": np.concatenate([np.empty(0), *values.values()]),
    }
    return schema.conform(pa.table(columns), schema.PER_USER, "per_user.parquet")
