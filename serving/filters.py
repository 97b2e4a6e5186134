"""Filters at work: which item rows one leaves, found once and remembered while there is room."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from pipeline.arrays import Flags, Rows
from serving.columns import Columns, FilterError
from serving.grammar import Condition, Filter

__all__ = ["FilterError", "Filters", "Selection", "flags_of_filter"]

Bits = npt.NDArray[np.uint8]

_REMEMBERED_BYTES = 128 << 20
"""Held by the selections of recent filters."""


@dataclass(frozen=True)
class Selection:
    """The items that a filter leaves.

    Shapes:
        flags: (N,). by_popularity: (P,), all items that may be shown to strangers, best first.
    """

    flags: Flags
    by_popularity: Rows
    steps: tuple[tuple[str, int], ...] = ()
    """Each clause in words, and how many items it leaves alone."""

    @cached_property
    def rows(self) -> Rows:
        """Return the rows, sorted."""
        return np.flatnonzero(self.flags)

    @cached_property
    def popular(self) -> Rows:
        """Return the rows among ``by_popularity``, in its order."""
        return self.by_popularity[self.flags[self.by_popularity]]

    @cached_property
    def packed(self) -> Bits:
        """Return the flags as bits, as FAISS reads them."""
        return np.packbits(self.flags, bitorder="little")

    def words(self) -> str:
        """Return which clause leaves how many items."""
        parts = [f"{what} leaves {left:,}" for what, left in self.steps]
        return "; ".join(parts)


@dataclass(frozen=True)
class Filters:
    """Compiles filters for one bundle: a selection is a pure function of bundle and filter."""

    columns: Columns
    count: int
    """N."""
    by_popularity: Callable[[], Rows]
    _known: LRUCache[str, Selection] = field(init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __post_init__(self) -> None:
        """Begin with nothing remembered."""
        # Flags, bits, and at most as many rows of eight bytes, twice.
        known: LRUCache[str, Selection] = LRUCache(
            _REMEMBERED_BYTES, lambda each: len(each.flags) + 16 * int(each.flags.sum())
        )
        object.__setattr__(self, "_known", known)

    def selection(self, wanted: Filter | None) -> Selection | None:
        """Return what a filter leaves; None for one that asks for nothing.

        Raises:
            FilterError: it names a column that there is not, or values of another type.
        """
        if wanted is None or not wanted.conditions():
            return None
        name = wanted.model_dump_json(exclude_defaults=True)
        with self._lock:
            known = self._known.get(name)
        if known is None:
            known = self._compiled(wanted)
            with self._lock:
                if len(known.flags) * 17 < self._known.maxsize:
                    self._known[name] = known
        return known

    def of_rows(self, rows: Rows) -> Selection:
        """Return the selection of exactly these rows."""
        flags = np.zeros(self.count, dtype=np.bool_)
        flags[rows] = True
        return Selection(flags, self.by_popularity())

    def _compiled(self, wanted: Filter) -> Selection:
        steps = []
        for listing, at, clause in wanted.listed():
            held = self._held(clause)
            left = int((~held if listing == "must_not" else held).sum())
            steps.append((f"{listing}[{at}] ({clause.words()})", left))
        flags = flags_of_filter(wanted, self._held)
        return Selection(flags, self.by_popularity(), tuple(steps))

    def _held(self, clause: Condition | Filter) -> Flags:
        if isinstance(clause, Filter):
            if not clause.conditions():
                return np.ones(self.count, dtype=np.bool_)
            return flags_of_filter(clause, self._held)
        if clause.match is not None:
            return self.columns.equal(clause.key, clause.match.values)
        if clause.range is not None:
            return self.columns.within(clause.key, clause.range.bounds)
        null = self.columns.null(clause.key)
        return null if clause.is_null else ~null


def flags_of_filter(wanted: Filter, held: Callable[[Condition | Filter], Flags]) -> Flags:
    """Return which items a filter with at least one clause leaves, (N,)."""
    parts = [held(clause) for clause in wanted.must]
    parts += [~held(clause) for clause in wanted.must_not]
    if wanted.should:
        parts.append(np.logical_or.reduce([held(clause) for clause in wanted.should]))
    flags: Flags = np.logical_and.reduce(parts)
    return flags
