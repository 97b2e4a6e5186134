"""What two versions of data, or training data and served traffic, are compared by."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.arrays import Floats
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError
from pipeline.measure import drift
from pipeline.measure.drift import Drift

SEGMENTS = "segments"
"""Folder of the service's feedback as Parquet, in its state folder."""
_COMMON = 20
"""Categories that are told apart; the others are one."""
_GROUPS = 10
_UNKNOWN = "not in the reference"


@dataclass(frozen=True)
class Inputs:
    """One version of data, by feature."""

    name: str
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, Counter[str]] = field(default_factory=dict)
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    """Interactions by the item's key."""


def open_inputs(store: Store, which: str) -> Inputs:
    """Return what ``tables[/F]``, ``embeddings[/F]`` or a service's state folder holds.

    Raises:
        ArtifactError: it is none of them.
    """
    path = Path(which)
    if (path / SEGMENTS).is_dir():
        return _traffic(path)
    kind, _, fingerprint = which.partition("/")
    if kind not in ("tables", "embeddings"):
        raise ArtifactError(
            f"{which!r} is neither tables[/FINGERPRINT], embeddings[/FINGERPRINT] nor a state "
            f"folder with {SEGMENTS}/"
        )
    newest = next(reversed(store.all(kind)), None)
    promoted = fingerprint or store.current(kind)
    if promoted is None and newest is None:
        raise ArtifactError(f"{store.root} holds no {kind}; make them: plotpointe run CONFIG")
    artifact = store.open(kind, promoted or (newest.fingerprint if newest else None))
    return _tables(artifact) if kind == "tables" else _embeddings(artifact)


def drifts(before: Inputs, now: Inputs) -> list[Drift]:
    """Return every feature that both have, judged together.

    Raises:
        ArtifactError: they have nothing in common.
    """
    found = [*_each(before, now)]
    if not found:
        raise ArtifactError(f"{before.name} and {now.name} have no feature in common")
    return drift.judged(found)


def _each(before: Inputs, now: Inputs) -> Iterator[Drift]:
    for name in [name for name in before.numbers if name in now.numbers]:
        yield drift.of_numbers(name, before.numbers[name], now.numbers[name])
    for name in [name for name in before.categories if name in now.categories]:
        yield drift.of_categories(name, *common(before.categories[name], now.categories[name]))
    for name in [name for name in before.vectors if name in now.vectors]:
        yield drift.of_vectors(name, before.vectors[name], now.vectors[name])
    if before.taken and now.taken:
        groups = popularity_groups(before.taken)
        yield drift.of_categories(
            "popularity (tenths of the reference's interactions)",
            _by_group(before.taken, groups), _by_group(now.taken, groups),
        )  # fmt: skip


def popularity_groups(taken: Mapping[str, int]) -> dict[str, str]:
    """Return each item's tenth: those taken most hold the first tenth of all interactions."""
    ordered = sorted(taken, key=lambda key: (-taken[key], key))
    counts = np.array([taken[key] for key in ordered], dtype=np.float64)
    before = (np.cumsum(counts) - counts) / counts.sum()
    tenth = np.minimum(_GROUPS, 1 + np.floor(_GROUPS * before)).astype(int)
    return {key: f"{each:02d}" for key, each in zip(ordered, tenth, strict=True)}


def _by_group(taken: Mapping[str, int], groups: Mapping[str, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, count in taken.items():
        found[groups.get(key, _UNKNOWN)] += count
    return found


def _tables(artifact: Artifact) -> Inputs:
    items = artifact.table("items.parquet")
    log = artifact.table("interactions.parquet")
    rows = log[schema.ITEM].to_numpy()
    keys = items[schema.KEY].to_pylist()
    per_item = np.bincount(rows, minlength=len(keys))
    per_user = np.bincount(log[schema.USER].to_numpy())
    lengths = (pc.utf8_length(items[name]).fill_null(0) for name in _TEXTS)
    numbers = {
        "weight": log[schema.WEIGHT].to_numpy(),
        "price": _floats(items[schema.PRICE]),
        **{f"length of {n}": _floats(each) for n, each in zip(_TEXTS, lengths, strict=True)},
        "categories of an item": _floats(pc.list_value_length(items[schema.CATEGORIES])),
        "interactions of a user": per_user[per_user > 0].astype(np.float64),
        "interactions of an item": per_item[per_item > 0].astype(np.float64),
    }
    there = {name: each for name, each in numbers.items() if np.isfinite(each).any()}
    shown = Counter("yes" if path else "no" for path in items[schema.IMAGE].to_pylist())
    brands = Counter(str(brand) for brand in items[schema.BRAND].to_pylist() if brand)
    categories = {"has a picture": shown, **({"brand": brands} if brands else {})}
    taken = Counter({keys[row]: int(per_item[row]) for row in np.flatnonzero(per_item)})
    return Inputs(f"tables {artifact.fingerprint}", there, categories, taken=taken)


_TEXTS = (schema.TITLE, schema.DESCRIPTION)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _embeddings(artifact: Artifact) -> Inputs:
    vectors = {}
    for modality in artifact.modalities("_present.npy"):
        present = np.flatnonzero(artifact.array(f"{modality}_present.npy"))
        if len(present):
            vectors[f"{modality} vectors"] = np.asarray(artifact.array(f"{modality}.npy")[present])
    return Inputs(f"embeddings {artifact.fingerprint}", vectors=vectors)


def _traffic(state: Path) -> Inputs:
    """Return what users took in the service, from the closed files of its feedback.

    How much a user does is not compared: that depends on how long one looks.
    """
    paths = sorted((state / SEGMENTS).glob("*.parquet"))
    if not paths:
        raise ArtifactError(f"{state / SEGMENTS} holds no closed file of feedback yet")
    events = pa.concat_tables([pq.read_table(p, columns=["item_id", "event_type"]) for p in paths])
    done = events.filter(pc.not_equal(events["event_type"], "impression"))
    return Inputs(f"traffic of {state}", taken=Counter(done["item_id"].to_pylist()))


def common(counts: Counter[str], others: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """Return two counts of the categories most frequent in the first; the rest are one."""
    kept = {name for name, _ in counts.most_common(_COMMON)}
    sides = []
    for side in (counts, others):
        told = Counter({name: side[name] for name in kept if side[name]})
        told["others"] = sum(side.values()) - sum(told.values())
        sides.append(told)
    return sides[0], sides[1]
