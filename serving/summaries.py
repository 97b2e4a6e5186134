"""Items as lists show them, as plain dictionaries: read straight from Arrow's buffers and kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.arrays import Flags, Floats, Rows
from pipeline.schema import IMAGE, KEY, PRICE, TITLE
from serving import buffers
from serving.messages import Tier

Plain = dict[str, Any]
"""A message before it is one: what is sent, without the cost of checking ourselves."""

Picture = Callable[[str, str | None], str | None]
"""Where the picture of an item is shown from: its key and what the catalogue names, to a link."""

_KEPT = 50_000
"""Summaries that are remembered; a shop's best sellers are most of what it shows."""


def stored_picture(key: str, image: str | None) -> str | None:
    """Return the picture as the catalogue names it."""
    return image


@dataclass(frozen=True)
class Texts:
    """A column of strings, read without making one Arrow scalar.

    Shapes:
        bounds: (N + 1,). valid: (N,); None where every item has a string.
    """

    bounds: Rows
    data: memoryview
    valid: Flags | None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Texts":
        """Return a column of strings."""
        array = buffers.whole(column)
        known = buffers.valid(array) if array.null_count else None
        return cls(buffers.bounds(array), memoryview(array.buffers()[2] or b""), known)

    def at(self, rows: Rows) -> list[str | None]:
        """Return the strings of rows; None for null and for an empty one."""
        data, starts, ends = self.data, self.bounds[rows].tolist(), self.bounds[rows + 1].tolist()
        texts = [
            str(data[start:end], "utf-8") if end > start else None
            for start, end in zip(starts, ends, strict=True)
        ]
        if self.valid is None:
            return texts
        known = self.valid[rows].tolist()
        return [text if there else None for text, there in zip(texts, known, strict=True)]


@dataclass(frozen=True)
class Summaries:
    """What lists show of each item.

    Shapes:
        tiers: N of them, by row.
    """

    table: pa.Table
    tiers: Sequence[Tier]
    picture: Picture = stored_picture
    _kept: dict[int, Plain] = field(default_factory=dict, repr=False, compare=False)

    def of(self, rows: Rows) -> list[Plain]:
        """Return the fields of an ``ItemSummary`` for each row; not to be changed."""
        # Other threads may empty what is kept at any time; ``found`` is ours.
        kept, listed = self._kept, rows.tolist()
        found = {row: kept.get(row) for row in listed}
        lacking = [row for row, known in found.items() if known is None]
        if lacking:
            read = dict(zip(lacking, self._read(np.array(lacking)), strict=True))
            if len(kept) > _KEPT:
                kept.clear()
            kept.update(read)
            found.update(read)
        return [each for row in listed if (each := found[row]) is not None]

    def names(self, rows: Rows) -> list[tuple[str, str | None]]:
        """Return key and title of each row."""
        return [(each["id"], each["title"]) for each in self.of(rows)]

    def _read(self, rows: Rows) -> list[Plain]:
        keys, titles, images = (column.at(rows) for column in self._texts)
        prices, tiers, picture = self._prices[rows].tolist(), self.tiers, self.picture
        return [
            {
                "id": key or "",
                "title": title,
                "image": picture(key or "", image),
                "price": None if price != price else price,
                "tier": tiers[row],
            }
            for key, title, image, price, row in zip(
                keys, titles, images, prices, rows.tolist(), strict=True
            )
        ]

    @cached_property
    def _texts(self) -> list[Texts]:
        return [Texts.of(self.table[name]) for name in (KEY, TITLE, IMAGE)]

    @cached_property
    def _prices(self) -> Floats:
        """Return the prices as the short decimals that they stand for, NaN where not known."""
        array = buffers.whole(self.table[PRICE].cast(pa.float32()))
        return decimals(np.where(buffers.valid(array), buffers.numbers(array), np.float32(np.nan)))


def decimals(stored: Floats) -> Floats:
    """Return float32 numbers as the short decimals that they stand for; NaN if not finite."""
    exact = stored.astype(np.float64)
    exact[~np.isfinite(exact)] = np.nan
    short = np.round(exact, 2)
    other = np.flatnonzero((short.astype(np.float32) != stored) & ~np.isnan(exact))
    for place in other.tolist():
        short[place] = float(np.format_float_positional(stored[place]))
    return short
