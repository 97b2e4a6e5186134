"""Item columns as arrays that filters and caps can look at; nothing here loads pandas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.errors import DataError, suggest
from pipeline.schema import CATEGORIES, KEY
from serving import buffers

Value = bool | int | float | str

_ALIASES = {"category": CATEGORIES, "id": KEY}
_BOUNDS: dict[str, Callable[[Floats, Any], Flags]] = {
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
}


class FilterError(DataError):
    """A filter or a cap asks for what no column of the catalogue can tell."""


@dataclass(frozen=True)
class Coded:
    """A column of strings, or of lists of strings, as numbers of its distinct values.

    Shapes:
        items, codes: (E,), one entry for each string of each item. values: G distinct ones.
    """

    count: int
    """N."""
    items: Rows
    codes: Rows
    values: pa.Array

    def holding(self, wanted: Sequence[str]) -> Flags:
        """Return which items hold one of the strings.

        Shapes:
            returns: (N,).
        """
        found = pc.is_in(self.values, value_set=buffers.strings(wanted).cast(self.values.type))
        held = np.zeros(self.count, dtype=np.bool_)
        held[self.items[buffers.flags(found)[self.codes]]] = True
        return held

    def last(self) -> "Coded":
        """Return each item's last value alone: the most specific of a path."""
        ends = np.append(self.items[1:] != self.items[:-1], True)[: len(self.items)]
        return Coded(self.count, self.items[ends], self.codes[ends], self.values)

    def labels(self) -> sp.csr_matrix:
        """Return which item has which value: CSR (N, G) of ones."""
        shape = (self.count, len(self.values))
        ones = np.ones(len(self.items), dtype=np.float32)
        matrix = sp.csr_matrix((ones, (self.items, self.codes)), shape=shape)
        matrix.data[:] = 1
        return matrix


@dataclass(frozen=True)
class Columns:
    """Columns by name, each read on its first use and then kept."""

    read: Callable[[str], pa.ChunkedArray]
    names: Sequence[str]
    _coded: dict[str, Coded] = field(default_factory=dict, repr=False)
    _numbers: dict[str, Floats] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def named(self, key: str) -> str:
        """Return the column that a key of a request names.

        Raises:
            FilterError: there is none.
        """
        name = _ALIASES.get(key, key)
        if name not in self.names:
            known = sorted({*self.names, *_ALIASES})
            raise FilterError(
                f"the catalogue has no column {key!r}{suggest(key, known)}; it has {known}"
            )
        return name

    def equal(self, key: str, values: Sequence[Value]) -> Flags:
        """Return which items hold one of the values, (N,); null never does.

        Raises:
            FilterError: no such column, or values of another type.
        """
        name = self.named(key)
        kind = self.kind(name)
        for value in values:
            if kind_of(value) != kind:
                raise FilterError(f"{key} holds a {kind}; it cannot be compared with {value!r}")
        if kind == "text":
            return self.coded(name).holding([str(value) for value in values])
        numbers = self._number(name)
        return np.isin(numbers, np.array(values, dtype=numbers.dtype))

    def within(self, key: str, bounds: dict[str, int | float]) -> Flags:
        """Return which items lie within ``gt``, ``gte``, ``lt`` and ``lte``, (N,).

        Raises:
            FilterError: no such column, or it holds no numbers.
        """
        name = self.named(key)
        if self.kind(name) != "number":
            raise FilterError(f"{key} holds no numbers, so it has no range; match a value")
        numbers = self._number(name)
        held = np.ones(len(numbers), dtype=np.bool_)
        for bound, value in bounds.items():
            # In the column's own precision: a price of 19.99 is at most 19.99.
            held &= _BOUNDS[bound](numbers, numbers.dtype.type(value))
        return held

    def null(self, key: str) -> Flags:
        """Return which items hold nothing, (N,); an empty list and NaN are nothing.

        Raises:
            FilterError: no such column.
        """
        name = self.named(key)
        if self.kind(name) != "text":
            return np.isnan(self._number(name))
        coded = self.coded(name)
        empty = np.ones(coded.count, dtype=np.bool_)
        empty[coded.items] = False
        return empty

    def kind(self, name: str) -> str:
        """Return ``text``, ``truth`` or ``number``.

        Raises:
            FilterError: the column holds something else.
        """
        held = self.read(name).type
        inner = held.value_type if _is_list(held) or pa.types.is_dictionary(held) else held
        if pa.types.is_string(inner) or pa.types.is_large_string(inner):
            return "text"
        if not _is_list(held) and pa.types.is_boolean(held):
            return "truth"
        if not _is_list(held) and (pa.types.is_integer(held) or pa.types.is_floating(held)):
            return "number"
        raise FilterError(f"the column {name} holds {held}, which no filter can look at")

    def coded(self, name: str) -> Coded:
        """Return a column of strings or of lists of strings, by numbers of its values."""
        with self._lock:
            if name not in self._coded:
                self._coded[name] = _coded(self.read(name))
            return self._coded[name]

    def _number(self, name: str) -> Floats:
        with self._lock:
            if name not in self._numbers:
                self._numbers[name] = _numbers(self.read(name))
            return self._numbers[name]


def kind_of(value: Value) -> str:
    """Return ``text``, ``truth`` or ``number``."""
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _coded(column: pa.ChunkedArray) -> Coded:
    array = buffers.whole(column)
    items, texts = np.arange(len(array)), array
    if _is_list(array.type):
        # Flattening leaves out what stands below a null list; the bounds alone would not.
        lengths = np.where(buffers.valid(array), np.diff(buffers.bounds(array)), 0)
        items, texts = np.repeat(items, lengths), array.flatten()
    if pa.types.is_dictionary(texts.type):
        texts = texts.cast(texts.type.value_type)
    there = buffers.valid(texts) & (np.diff(buffers.bounds(texts)) > 0)
    coded = texts.filter(buffers.mask(there)).dictionary_encode()
    codes = buffers.numbers(coded.indices)
    return Coded(len(array), items[there].astype(np.int32), codes, coded.dictionary)


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Return numbers (N,), NaN where there is none; floats keep their precision."""
    array = buffers.whole(column)
    is_truth = pa.types.is_boolean(array.type)
    values = buffers.flags(array) if is_truth else buffers.numbers(array)
    found: Floats = np.array(
        values, dtype=values.dtype if pa.types.is_floating(array.type) else np.float64
    )
    found[~buffers.valid(array)] = np.nan
    return found
