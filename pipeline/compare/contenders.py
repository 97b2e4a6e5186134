"""Sources that are seeds of one contender, and all contenders paired by user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Store
from pipeline.compare.sources import Source, Values, read
from pipeline.errors import ArtifactError, suggest
from pipeline.measure.stats.contrast import Sides
from pipeline.schema import KEY as USER_KEY

HEADLINE = ("recall", "ndcg")
"""Compared at every k where no metric is named; each one more makes all of them harder to show."""
EVERYTHING = "*"
WHOLE = "all"
"""The slice that is the whole split."""

Key = tuple[str, str]
"""Slice and metric."""


@dataclass(frozen=True)
class Contender:
    """One model under one name: a source for each of its seeds."""

    name: str
    sources: list[Source]


@dataclass(frozen=True)
class Asked:
    """Which numbers to compare."""

    split: str | None
    metrics: Sequence[str]
    slices: Sequence[str]
    every_pair: bool = False
    """All pairs; each contender against the first otherwise."""


def contenders(sources: Sequence[Source], *, by_seed: bool) -> list[Contender]:
    """Return the contenders in order of their first source.

    Sources of one given name are one contender; with ``by_seed`` also those that differ in
    nothing but the seed.

    Raises:
        ArtifactError: there is one alone, or a source's config is not known where it must be.
    """
    groups: dict[object, list[Source]] = {}
    for at, source in enumerate(sources):
        key: object = at
        if source.name is not None:
            key = f"name {source.name}"
        elif by_seed:
            key = _made_alike(source)
        groups.setdefault(key, []).append(source)
    if len(groups) < 2:
        raise ArtifactError(
            f"a comparison needs two contenders; found {[s.label for s in sources]} as one. "
            f"Name two reports, or two models of one: report/F:gat report/F:ease"
        )
    grouped = [*groups.values()]
    for group in grouped:
        _must_differ(group)
    names = [group[0].name or group[0].model for group in grouped]
    return [
        Contender(name if names.count(name) == 1 else group[0].label, group)
        for name, group in zip(names, grouped, strict=True)
    ]


def _made_alike(source: Source) -> str:
    if source.config is None:
        raise ArtifactError(
            f"what {source.label} was made from is not in the store, so seeds of it cannot be "
            f"told; say which belong together: old={source.path} old=… new=… new=…"
        )
    return source.config


def _must_differ(group: Sequence[Source]) -> None:
    paths = [(source.path.resolve(), source.model) for source in group]
    if len({*paths}) < len(paths):
        raise ArtifactError(f"{group[0].label} is named twice; seeds of a contender must differ")


def sides_of(
    found: Sequence[Contender], asked: Asked, store: Store
) -> tuple[str, list[Sides], list[str]]:
    """Return the split, what is to be contrasted, and how many users were left out, in words.

    Raises:
        ArtifactError: a metric or slice is not there, or nobody was measured on both sides.
    """
    places = _places([source for each in found for source in each.sources], store)
    read_of = {
        each.name: [
            _moved(read(source, asked.split), places.get(source.tables)) for source in each.sources
        ]
        for each in found
    }
    everything = [values for group in read_of.values() for values in group]
    if len({values.split for values in everything}) > 1:
        raise ArtifactError(f"no split is in all of them; {[v.split for v in everything]}")
    keys = [*_chosen(everything, asked)]
    pairs = [*combinations(found, 2)] if asked.every_pair else [(found[0], b) for b in found[1:]]
    sides: list[Sides] = []
    left: dict[str, int] = {}
    for base, candidate in pairs:
        for key in keys:
            made, out = _paired(candidate.name, base.name, read_of, key)
            sides.append(made)
            if out:
                left[key[0]] = max(out, left.get(key[0], 0))
    return everything[0].split, sides, [_left(part, count) for part, count in left.items()]


def _places(sources: Sequence[Source], store: Store) -> dict[str | None, Rows]:
    """Return where the users of each tables stand among all users; nothing for one tables alone.

    Rows of two tables name other users, who are told by their keys.
    """
    known = [*dict.fromkeys(s.tables for s in sources if s.tables)]
    if len(known) < 2:
        return {}
    bare = [source.label for source in sources if source.tables is None]
    if bare:
        raise ArtifactError(f"whose rows the users of {bare} are is not known; name the report")
    keys = [
        store.open("tables", each).table("users.parquet", [USER_KEY])[USER_KEY].to_numpy()
        for each in known
    ]
    _, places = np.unique(np.concatenate(keys).astype(str), return_inverse=True)
    parts = np.split(places, np.cumsum([len(each) for each in keys])[:-1])
    return dict(zip(known, parts, strict=True))


def _moved(values: Values, places: Rows | None) -> Values:
    """Return values whose users are given by another numbering."""
    if places is None:
        return values
    found = {}
    for key, (users, each) in values.found.items():
        order = np.argsort(places[users])
        found[key] = (places[users][order], each[order])
    return Values(values.split, found)


def _left(part: str, count: int) -> str:
    return f"{count:,} users of slice {part!r} are left out: they were not measured on both sides"


def _chosen(everything: Sequence[Values], asked: Asked) -> Iterator[Key]:
    """Yield the slices and metrics that all have and that are asked for."""
    common = reduce(lambda a, b: [key for key in a if key in b], [[*v.found] for v in everything])
    parts, metrics = ([*dict.fromkeys(key[at] for key in common)] for at in (0, 1))
    _must_be_there("slice", asked.slices, parts)
    _must_be_there("metric", asked.metrics, metrics)
    usual = not asked.metrics
    for part, metric in common:
        if part not in (asked.slices or [WHOLE]) and EVERYTHING not in asked.slices:
            continue
        named = metric in asked.metrics or EVERYTHING in asked.metrics
        if named or (usual and metric.split("@")[0] in HEADLINE):
            yield part, metric


def _must_be_there(what: str, wanted: Sequence[str], known: list[str]) -> None:
    for name in wanted:
        if name != EVERYTHING and name not in known:
            raise ArtifactError(
                f"no {what} {name!r} in all reports{suggest(name, known)}; they share {known}"
            )


def _paired(
    candidate: str, baseline: str, read_of: Mapping[str, list[Values]], key: Key
) -> tuple[Sides, int]:
    """Return two sides with the users that all their seeds share, and how many that leaves out."""
    ours, theirs = ([v.found[key] for v in read_of[name]] for name in (candidate, baseline))
    users = reduce(_shared, [users for users, _ in (*ours, *theirs)])
    if not len(users):
        raise ArtifactError(f"{candidate} and {baseline} share no user of slice {key[0]!r}")
    most = max(len(each) for each, _ in (*ours, *theirs))
    stacked = [np.stack([_of(users, *seed) for seed in side]) for side in (ours, theirs)]
    return Sides(candidate, baseline, key[1], key[0], *stacked), most - len(users)


def _shared(users: Rows, others: Rows) -> Rows:
    same = np.array_equal(users, others)
    return users if same else np.intersect1d(users, others, assume_unique=True)


def _of(wanted: Rows, users: Rows, values: Floats) -> Floats:
    return values if len(wanted) == len(users) else values[np.searchsorted(users, wanted)]
