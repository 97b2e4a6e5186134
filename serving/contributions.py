"""Why a score is what it is: parts that add up to it, and how much comes over which relation.

A score by vectors is linear in the user's vector, and that is a sum: each item that was folded in
gives ``fold_in . item / sqrt(n)``. A trained vector u is split into ``s * fold-in of the items``
and what is orthogonal to that, called taste; s is the least-squares scale. Scores of the second
stage are split by integrated gradients (Sundararajan et al., 2017), which add up by construction;
the integral of a network with one hidden layer is closed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.ids import UNKNOWN
from pipeline.ranking import Space
from serving.asker import Asker
from serving.bundle import Bundle
from serving.reasons import Lists, connected
from serving.summaries import Plain, Summaries

MODEL = "model"
_LEAST = 1e-12


@dataclass(frozen=True)
class Source:
    """One thing that adds to a user's vector.

    Shapes:
        vector: (D,).
    """

    kind: str
    row: int
    vector: Floats


def sources(space: Space, asker: Asker) -> list[Source]:
    """Return what a user's vector is the sum of; float64, so that sums are exact enough.

    Shapes:
        returns: vectors (D,) that add up to ``asker.vector``.
    """
    seen, new, examples = asker.seen, asker.new, asker.examples
    count = max(1, len(seen) + len(new) + (0 if examples is None else len(examples)))
    scale, fold_in = 1 / np.sqrt(count), space.fold_in
    found = [Source("item", row, fold_in[row] * np.float64(scale)) for row in new.tolist()]
    if space.trained(asker.row, seen):
        share = np.sqrt(len(seen)) * scale
        found += _trained(np.asarray(space.user_vectors[asker.row]) * share, fold_in, seen)
    else:
        found += [Source("item", row, fold_in[row] * np.float64(scale)) for row in seen.tolist()]
    if examples is not None:
        for kind, rows, sign in (
            ("item", examples.positives, scale),
            ("negative", examples.negatives, -scale),
        ):
            found += [Source(kind, row, fold_in[row] * np.float64(sign)) for row in rows.tolist()]
        for vectors, sign in ((examples.towards, scale), (examples.away, -scale)):
            found += [Source("vector", UNKNOWN, each * np.float64(sign)) for each in vectors]
    return found


def _trained(vector: Floats, fold_in: Floats, seen: Rows) -> list[Source]:
    """Return a trained vector as the projection on its items' fold-in, and the rest."""
    rows = fold_in[seen].astype(np.float64)
    total = rows.sum(axis=0)
    scale = float(vector @ total) / max(float(total @ total), _LEAST)
    parts = [
        Source("item", row, each * scale) for row, each in zip(seen.tolist(), rows, strict=True)
    ]
    return [*parts, Source("taste", UNKNOWN, vector - scale * total)]


@dataclass(frozen=True)
class Contributions:
    """Splits scores of one bundle's vectors."""

    bundle: Bundle
    summaries: Summaries

    def by_vectors(self, asker: Asker, shown: Rows) -> list[list[Plain]]:
        """Return the parts of each shown item's score, largest first.

        A part over an item is divided among the edges that connect the two, each by its weight as
        a share of the shown item's heaviest in that relation; without an edge it is the model's.
        """
        found = sources(self.bundle.space, asker)
        if not found or not len(shown):
            return [[] for _ in shown]
        # (shown, sources)
        values = self.bundle.item_vectors[shown] @ np.stack([each.vector for each in found]).T
        edges = self._edges(shown, asker.liked)
        return [
            self._parts(found, values[place], edges[row])
            for place, row in enumerate(shown.tolist())
        ]

    def _parts(
        self, found: Sequence[Source], values: Floats, edges: dict[int, dict[str, float]]
    ) -> list[Plain]:
        rows = np.array([each.row for each in found])
        named = iter(self.summaries.names(rows[rows != UNKNOWN]))
        parts = []
        for each, value in zip(found, values.tolist(), strict=True):
            key, title = (None, None) if each.row == UNKNOWN else next(named)
            over = edges.get(each.row, {}) if each.kind == "item" else {}
            whole = sum(over.values())
            for relation, weight in over.items() or ((MODEL, whole),):
                share = weight / whole if whole else 1.0
                parts.append(_part(each.kind, relation, value * share, key, title))
        return sorted(parts, key=lambda part: -abs(part["value"]))

    def _edges(self, shown: Rows, has: Rows) -> dict[int, dict[int, dict[str, float]]]:
        """Return weight by relation by owned row by shown row, heaviest of an item at 1."""
        found: dict[int, dict[int, dict[str, float]]] = defaultdict(dict)
        for relation, graph in self.bundle.graphs.items():
            _, items, owned, weights = connected(graph, Lists([shown], [has]))
            heaviest: dict[int, float] = defaultdict(float)
            for item, weight in zip(items.tolist(), weights.tolist(), strict=True):
                heaviest[item] = max(heaviest[item], weight)
            for item, own, weight in zip(
                items.tolist(), owned.tolist(), weights.tolist(), strict=True
            ):
                over = found[item].setdefault(own, {})
                over[relation] = max(over.get(relation, 0.0), weight / heaviest[item])
        return found


def by_features(names: Sequence[str], values: Floats, base: float) -> list[Plain]:
    """Return the parts of a score of the second stage, largest first.

    Shapes:
        values: (F,).
    """
    parts = [
        _part("feature", name, value)
        for name, value in zip(names, values.tolist(), strict=True)
        if value
    ]
    return [*sorted(parts, key=lambda part: -abs(part["value"])), _part("base", MODEL, base)]


def shares(parts: Sequence[Plain]) -> list[Plain]:
    """Return which relations speak for an item: their parts above zero, over all of those."""
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        if part["value"] > 0 and part["source"] != "base":
            total[part["relation"]] += part["value"]
    whole = sum(total.values())
    found = [{"relation": name, "share": value / whole} for name, value in total.items()]
    return sorted(found, key=lambda each: -float(str(each["share"])))


def by_popularity(takers: float) -> list[Plain]:
    """Return the one part of a popular item's score."""
    return [_part("popularity", "popular", takers)]


def _part(
    source: str, relation: str, value: float, item: str | None = None, title: str | None = None
) -> Plain:
    return {
        "source": source, "relation": relation, "value": value, "item": item, "title": title,
    }  # fmt: skip
