"""What models and reports promise."""

from collections.abc import Iterator

import numpy as np

from pipeline.artifacts import Artifact
from pipeline.interactions import shape_of
from pipeline.promises import newcomers
from pipeline.promises.check import Check, equal, finite, input_of, none

_UNIT_RANGE = (
    *("recall", "ndcg", "precision", "map", "mrr", "hit", "coverage", "gini"),
    *("popularity_percentile", "popularity_divergence_bits", "exposure_share", "hit_share"),
)
"""Metrics between 0 and 1; others only have to be finite."""

_CARD = ("split", "candidates", "mask", "k", "seed")


def model(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of a model artifact."""
    arrays = [n for n in ("user_vectors.npy", "item_vectors.npy", "fold_in.npy") if artifact.has(n)]
    for name in arrays:
        yield finite(name, artifact.array(name))
    yield from newcomers.checks(artifact)
    ranks = {"user_vectors.npy", "item_vectors.npy"} <= {*arrays} or artifact.has("item_item.npz")
    yield Check("the model", "holds vectors or item-item weights", ranks, str(arrays))
    shapes = {name: artifact.array(name).shape for name in arrays}
    widths = {shape[1:] for shape in shapes.values()}
    yield Check("the vectors", "have one width", len(widths) <= 1, str(shapes))
    tables = input_of(artifact, "tables")
    if tables is not None:
        users, items = shape_of(tables)
        for name, shape in shapes.items():
            wanted = users if name == "user_vectors.npy" else items
            yield equal(name, "has a row for each of the tables", shape[0], wanted)
    if artifact.has("item_item.npz"):
        weights = artifact.matrix("item_item.npz", mapped=True)
        yield finite("item_item.npz", weights.data)
        yield equal("item_item.npz", "is square", weights.shape[0], weights.shape[1])


def report(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of a report artifact."""
    name = "per_user.parquet"
    table = artifact.table(name, ["metric", "value"])
    metrics = table["metric"].combine_chunks().dictionary_encode()
    values = table["value"].to_numpy()
    yield finite(name, values)
    bounded = np.array([_is_bounded(str(m)) for m in metrics.dictionary], dtype=bool)
    in_range = (values >= 0) & (values <= 1)
    of_row = bounded[metrics.indices.to_numpy()] if len(bounded) else np.zeros(0, dtype=bool)
    yield none(name, "shares are between 0 and 1", of_row & ~in_range)
    yield from _means(artifact)


def _means(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of the headline numbers: each in range, in its interval, with its card."""
    numbers = artifact.json("metrics.json")
    listed = numbers if isinstance(numbers, list) else []
    values = np.array([float(n["value"]) for n in listed])
    yield finite("metrics.json", values)
    bounded = np.array([_is_bounded(n["metric"]) for n in listed], dtype=bool)
    wrong = bounded & ~((values >= 0) & (values <= 1))
    yield none("metrics.json", "shares are between 0 and 1", wrong)
    without = [n["metric"] for n in listed if not {*_CARD} <= {*n.get("card", {})}]
    rule = f"each number has a card with {', '.join(_CARD)}"
    yield Check("metrics.json", rule, not without, str(sorted({*without})))


def _is_bounded(metric: str) -> bool:
    return metric.split("@")[0] in _UNIT_RANGE
