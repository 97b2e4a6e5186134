"""A bundle as it is now: what the overlay changed, seen through the bundle's own interface."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from pipeline.arrays import Floats, Keys, Rows
from pipeline.ids import IdMap
from pipeline.schema import BRAND, CATEGORIES, DESCRIPTION, IMAGE, KEY, PRICE, TITLE, items_with
from serving.bundle import COLD, NOTHING, WARM, Activity, Bundle
from serving.catalogue import Catalogue, Item
from serving.columns import kind_of
from serving.live.grown import Edges, GrownGraph, GrownIndex, stacked
from serving.live.overlay import Fields, Overlay
from serving.messages import Tier


@dataclass(frozen=True)
class LiveIds:
    """The map of a bundle's keys, with what was added and deleted."""

    base: IdMap
    overlay: Overlay

    def __len__(self) -> int:
        """Return the number of rows, those of deleted items included."""
        return len(self.base) + len(self.overlay.added)

    @property
    def keys(self) -> Keys:
        """Return the key of each row."""
        return np.array([*self.base.keys.tolist(), *(item.key for item in self.overlay.added)])

    def rows(self, keys: Iterable[str]) -> Rows:
        """Return the row of each key, ``UNKNOWN`` where there is no such item any more."""
        listed = list(keys)
        rows = self.base.rows(listed)
        for at, key in enumerate(listed):
            if key in self.overlay.rows:
                rows[at] = self.overlay.rows[key]
        return rows

    def row(self, key: str) -> int:
        """Return the row of one key."""
        return int(self.rows([key])[0])


@dataclass(frozen=True)
class LiveCatalogue(Catalogue):
    """A bundle's catalogue with what was added, changed and deleted."""

    overlay: Overlay
    base: Catalogue

    @classmethod
    def over(cls, base: Catalogue, overlay: Overlay) -> "LiveCatalogue":
        """Return the catalogue as it is now."""
        ids = cast(IdMap, LiveIds(base.ids, overlay))
        bare = cls(base.artifact, base.table, ids, base.opened, overlay, base)
        rows, changed = bare.changes()
        return replace(bare, table=woven(base.table, rows, changed.select(base.table.column_names)))

    def items(self, rows: Rows) -> list[Item]:
        """Return the items of the given rows, in their order."""
        rows = np.asarray(rows)
        of_bundle = np.flatnonzero(rows < self.overlay.first)
        found = dict(zip(of_bundle.tolist(), self.base.items(rows[of_bundle]), strict=True))
        return [self._changed(row, found.get(at)) for at, row in enumerate(rows.tolist())]

    def description(self, row: int) -> str | None:
        """Return an item's description."""
        changed = self._fields(row)
        if DESCRIPTION in changed or row >= self.overlay.first:
            text: str | None = changed.get(DESCRIPTION)
            return text
        return self.base.description(row)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column by its name, as it is now."""
        if name in self.table.column_names:
            return self.table[name]
        rows, changed = self.changes()
        return woven(pa.table({name: self.base.column(name)}), rows, changed.select([name]))[name]

    def whole(self) -> pa.Table:
        """Return every column of every row, as they are now."""
        rows, changed = self.changes()
        return woven(self.base.whole(), rows, changed)

    def search(self, query: str) -> Rows:
        """Return the rows whose title contains ``query`` in any case, or whose key begins so."""
        found = np.setdiff1d(self.base.search(query), self.changed_rows)
        changed = np.setdiff1d(self.changed_rows, self.overlay.gone)
        also = [
            row
            for row, item in zip(changed.tolist(), self.items(changed), strict=True)
            if query.lower() in (item.title or "").lower() or item.key.startswith(query)
        ]
        return np.concatenate([found, also]).astype(np.int64)

    @cached_property
    def changed_rows(self) -> Rows:
        """Return every row that the bundle's own table does not tell of rightly, sorted."""
        first = self.overlay.first
        added = np.arange(first, first + len(self.overlay.added))
        patched = np.array([*self.overlay.patches], dtype=np.int64)
        return np.unique(np.concatenate([added, patched, self.overlay.gone])).astype(np.int64)

    def changes(self) -> tuple[Rows, pa.Table]:
        """Return the rows that were added or changed, and a table of them."""
        rows = self.changed_rows
        rows = rows[(rows >= self.overlay.first) | ~np.isin(rows, self.overlay.gone)]
        listed = [
            {
                KEY: item.key, TITLE: item.title, DESCRIPTION: self.description(row),
                BRAND: item.brand, CATEGORIES: [*item.categories], PRICE: item.price,
                IMAGE: item.image, **self.attributes_of(row),
            }
            for row, item in zip(rows.tolist(), self.items(rows), strict=True)
        ]  # fmt: skip
        return rows, pa.Table.from_pylist(listed, schema=items_with(self.attributes))

    def attributes_of(self, row: int) -> dict[str, Any]:
        """Return an item's attributes, None where it is not known."""
        known = self.base.attributes_of(row) if row < self.overlay.first else {}
        # What was told for another bundle may be of another type by now.
        told = {n: v for n, v in self._fields(row).items() if _fits(v, self.attributes.get(n))}
        return {name: told.get(name, known.get(name)) for name in self.attributes}

    def _fields(self, row: int) -> Fields:
        added = self.overlay.item(row)
        patch = self.overlay.patches.get(row, {})
        return {**added.fields, **patch} if added else patch

    def _changed(self, row: int, item: Item | None) -> Item:
        told = self._fields(row)
        if item is None:
            added = self.overlay.item(row)
            assert added is not None
            item = Item(added.key, None, None, (), None, None)
        if not told:
            return item
        shown = {name: told[name] for name in (TITLE, BRAND, PRICE, IMAGE) if name in told}
        if CATEGORIES in told:
            shown[CATEGORIES] = tuple(told[CATEGORIES] or ())
        return replace(item, **shown)


def _fits(value: Any, kind: str | None) -> bool:  # noqa: ANN401 - any column's value
    return kind is not None and (value is None or kind_of(value) == kind)


def woven(table: pa.Table, rows: Rows, changed: pa.Table) -> pa.Table:
    """Return a table with some rows in the place of its own, or behind them; nothing is copied.

    Shapes:
        rows: (C,) sorted, those behind the table's own without a gap. changed: C rows.
    """
    parts, start = [], 0
    for at, row in enumerate(rows.tolist()):
        if row > start:
            parts.append(table.slice(start, row - start))
        parts.append(changed.slice(at, 1))
        start = row + 1
    return pa.concat_tables([*parts, table.slice(start)])


@dataclass(frozen=True)
class LiveBundle(Bundle):
    """A bundle seen through an overlay; every array has the added items behind its own."""

    base: Bundle | None = None
    overlay: Overlay = field(default_factory=lambda: Overlay.empty(0, 0))
    activities: Mapping[str, Activity] = field(default_factory=dict)
    """What users did since the bundle was made, by key; grows while the bundle is in use."""

    @classmethod
    def over(
        cls, base: Bundle, overlay: Overlay, activities: Mapping[str, Activity]
    ) -> "LiveBundle":
        """Return the bundle as it is now."""
        own = {each.name: getattr(base, each.name) for each in fields(base)}
        if overlay:
            own["catalogue"] = LiveCatalogue.over(base.catalogue, overlay)
            own["popular"] = base.popular[~np.isin(base.popular, overlay.gone)]
        if overlay.added:
            own |= _with_added(base, overlay)
        return cls(**own, base=base, overlay=overlay, activities=activities)

    @cached_property
    def takers(self) -> Rows:
        """Return how many users have each item: none an added one, until a bundle holds it."""
        more = np.zeros(len(self.overlay.added), dtype=np.int64)
        return np.concatenate([self._base.takers, more])

    @cached_property
    def by_popularity(self) -> Rows:
        """Return the popular items that are still shown."""
        return self._base.by_popularity[~np.isin(self._base.by_popularity, self.gone)]

    @cached_property
    def lengths(self) -> Floats:
        """Return the length of each item vector."""
        more = np.linalg.norm(self.overlay.vectors, axis=1).astype(np.float32)
        return np.concatenate([self._base.lengths, more])

    @property
    def gone(self) -> Rows:
        """Return the rows that are not shown any more."""
        return self.overlay.gone

    def forms(self, rows: Rows) -> Rows:
        """Return rows with those that took their place."""
        return self.overlay.forms(rows)

    def activity_of(self, user: str | None) -> Activity:
        """Return what a user did since the bundle was made, as far as this state knows items."""
        found = self.activities.get(user, NOTHING) if user is not None else NOTHING
        return found.below(len(self.catalogue))

    def is_active(self, user: str | None) -> bool:
        """Return whether a user did anything since the bundle was made."""
        return user in self.activities

    @property
    def added_vectors(self) -> Floats:
        """Return the vectors of the items that were added since."""
        return self.overlay.vectors

    @cached_property
    def tiers(self) -> list[Tier]:
        """Return for each item hot, warm or cold."""
        return [*self._base.tiers, *(self.tier(self.overlay.first + at) for at in self._added)]

    def tier(self, item: int) -> Tier:
        """Return hot, warm or cold."""
        added = self.overlay.item(item)
        if added is None:
            return self._base.tier(item)
        return WARM if added.known else COLD

    @property
    def _added(self) -> range:
        return range(len(self.overlay.added))

    @property
    def _base(self) -> Bundle:
        assert self.base is not None
        return self.base


def _with_added(base: Bundle, overlay: Overlay) -> dict[str, Any]:
    """Return the parts of a bundle that have a row for each item, with the added ones."""
    return {
        "index": GrownIndex(base.index, overlay.vectors),
        "item_vectors": stacked(base.item_vectors, overlay.vectors),
        "fold_in": stacked(base.fold_in, overlay.fold_in),
        "hot": np.concatenate([base.hot, np.zeros(len(overlay.added), dtype=bool)]),
        "graphs": _grown(base.graphs, overlay),
    }


def _grown(graphs: Mapping[str, sp.csr_matrix], overlay: Overlay) -> dict[str, sp.csr_matrix]:
    nothing = Edges()

    def grown(relation: str, graph: sp.csr_matrix) -> Any:  # noqa: ANN401 - stands for a matrix
        """Return a relation's graph with the edges of added items."""
        of_all = [item.edges.get(relation, nothing) for item in overlay.added]
        return GrownGraph(graph, of_all)

    return {relation: grown(relation, graph) for relation, graph in graphs.items()}
