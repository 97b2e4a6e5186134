"""What an item says about itself: its fields joined into one text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.errors import ConfigError, suggest

_SPACE = re.compile(r"\s+")
_SENTENCE_ENDS = (".", "!", "?", ":", ";", "…")
_WORD = re.compile(r"\w")
_ROWS_AT_ONCE = 10_000


def compose_text(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Return the item's fields as sentences in order; lists are joined by commas.

    Empty where no field holds a letter or a digit.
    """
    parts = [part for part in (_flat(row.get(field)) for field in fields) if part]
    text = " ".join(p if p.endswith(_SENTENCE_ENDS) else f"{p}." for p in parts)
    return text if _WORD.search(text) else ""


def _flat(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(part for part in map(_flat, value) if part)
    return _SPACE.sub(" ", str(value)).strip()


def texts_of(items: pa.Table, fields: Sequence[str]) -> Iterator[str]:
    """Yield the text of each item, in order of row.

    Raises:
        ConfigError: a field is not a column of the items table.
    """
    for field in fields:
        if field not in items.column_names:
            hint = suggest(field, items.column_names)
            raise ConfigError(
                f"embed.text.fields names {field!r}, which items do not have{hint}; "
                f"they have {items.column_names}"
            )
    for batch in items.select(list(fields)).to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield compose_text(row, fields)
