"""What was added, changed and deleted since a bundle was made: one immutable state after another.

An item that is sent again gets a row of its own, and its old row is gone: rows never change what
they mean, so that a history that names one stays right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.ids import UNKNOWN
from serving.live.grown import Edges

_NOTHING = np.empty(0, dtype=np.float32)

Fields = Mapping[str, Any]
"""Columns of the items table by name."""


@dataclass(frozen=True)
class Added:
    """An item that the bundle does not hold.

    Shapes:
        vector, fold_in: (D,). content: (V,) each, of length 1.
    """

    key: str
    fields: Fields
    vector: Floats
    fold_in: Floats
    edges: Mapping[str, Edges]
    """By modality."""
    content: Mapping[str, Floats]
    """By modality, for those it has; of length 0 once it is gone."""
    digest: str
    """Of what was sent."""

    @property
    def known(self) -> bool:
        """Return whether anything says what it is like."""
        return bool(self.content)


@dataclass(frozen=True)
class Overlay:
    """The changes to a bundle of so many items.

    Shapes:
        vectors, fold_in: (M, D). gone: sorted rows.
    """

    first: int
    """N, the row of the first added item."""
    vectors: Floats
    fold_in: Floats
    added: tuple[Added, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    """Of every key that was added or deleted; ``UNKNOWN`` for a deleted one."""
    patches: Mapping[int, Fields] = field(default_factory=dict)
    """Changed columns by row."""
    gone: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Rows that are not shown any more."""
    newer: Mapping[int, int] = field(default_factory=dict)
    """The row that took the place of another."""

    @classmethod
    def empty(cls, items: int, width: int) -> "Overlay":
        """Return no change to so many items."""
        nothing = np.empty((0, width), dtype=np.float32)
        return cls(items, nothing, nothing)

    def __bool__(self) -> bool:
        """Return whether anything was changed."""
        return bool(self.added or self.rows or self.patches)

    def item(self, row: int) -> Added | None:
        """Return the added item of a row, None for one of the bundle."""
        return self.added[row - self.first] if row >= self.first else None

    def with_added(self, items: Iterable[tuple[Added, int]]) -> "Overlay":
        """Return the state with further items, each with the row that its key had until now."""
        draft = _Draft(self)
        for item, before in items:
            draft.add(item, before)
        return draft.done()

    def with_patch(self, row: int, fields: Fields) -> "Overlay":
        """Return the state with some columns of an item changed."""
        known = self.patches.get(row, {})
        return replace(self, patches={**self.patches, row: {**known, **fields}})

    def without(self, key: str, row: int) -> "Overlay":
        """Return the state without an item."""
        gone = np.union1d(self.gone, [row])
        added = [*self.added]
        _forget(added, row - self.first)
        return replace(self, rows={**self.rows, key: UNKNOWN}, gone=gone, added=tuple(added))

    def forms(self, rows: Rows) -> Rows:
        """Return rows with those that took their place, sorted."""
        if not self.newer or not len(rows):
            return rows
        found = {*rows.tolist()}
        waiting = [*found]
        while waiting:
            later = self.newer.get(waiting.pop())
            if later is not None and later not in found:
                found.add(later)
                waiting.append(later)
        return np.array(sorted(found), dtype=np.int64)


def _forget(added: list[Added], at: int) -> None:
    """Let go of what an added item that is gone held of its content; where it stood stays."""
    if at >= 0:
        added[at] = replace(added[at], content=dict.fromkeys(added[at].content, _NOTHING))


class _Draft:
    """An overlay to which many items are added at once."""

    def __init__(self, overlay: Overlay) -> None:
        self.overlay = overlay
        self.added = [*overlay.added]
        self.rows, self.newer = dict(overlay.rows), dict(overlay.newer)
        self.gone: list[int] = []

    def add(self, item: Added, before: int) -> None:
        """Add an item whose key had the row ``before``, or ``UNKNOWN``."""
        row = self.overlay.first + len(self.added)
        before = self.rows.get(item.key, before)
        if before != UNKNOWN:
            self.newer[before] = row
            self.gone.append(before)
            _forget(self.added, before - self.overlay.first)
        self.added.append(item)
        self.rows[item.key] = row

    def done(self) -> Overlay:
        """Return the state."""
        fresh = self.added[len(self.overlay.added) :]
        if not fresh:
            return self.overlay
        return replace(
            self.overlay,
            vectors=np.concatenate([self.overlay.vectors, [item.vector for item in fresh]]),
            fold_in=np.concatenate([self.overlay.fold_in, [item.fold_in for item in fresh]]),
            added=tuple(self.added),
            rows=self.rows,
            gone=np.union1d(self.overlay.gone, self.gone).astype(np.int64),
            newer=self.newer,
        )
