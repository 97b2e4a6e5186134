"""``plotpointe init``: looks at somebody's own files and writes a configuration to review."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.detect import data_of
from pipeline.etl.readers.batches import Format
from pipeline.etl.readers.tabular import Table, open_table
from pipeline.etl.records import READERS, Batch
from pipeline.etl.roles import Role, Sampled, interaction_roles, item_roles

SHOWN = 5
"""Rows of a sample."""

_LOOKED_AT = 20_000
_WIDEST_CELL = 40
_MANY_REJECTS = 0.05
_TEXTS = ("title", "description", "brand", "categories")
_RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"}


@dataclass(frozen=True)
class Sample:
    """The first rows of a file as its reader understands them."""

    path: Path
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Guess:
    """What was found out; ``yaml`` writes it down."""

    data: DataConfig
    roles: Mapping[str, Role]
    """Our column to theirs, for format ``table``."""
    doubts: list[str]
    """What the user should check, in words."""
    samples: list[Sample]
    filled: frozenset[str]
    """Our columns that hold something in the samples."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """A raw value of each column of theirs."""

    def yaml(self, base: Path) -> str:
        """Return a commented configuration, with paths relative to the folder ``base``."""
        source = self.data.interactions or self.data.folder
        name = re.sub(r"\W+", "-", source.name.split(".")[0]).strip("-") if source else ""
        lines = [
            "# Written by plotpointe init; please review, above all what says CHECK.",
            *(f"# CHECK: {_one_line(doubt)}" for doubt in self.doubts),
            f"name: {_scalar(name or 'own-data')}",
            "",
            *_data_lines(self, base),
            "",
            *_etl_lines(self),
            "",
            *_embed_lines(self),
            "",
            *_TRAIN_LINES,
        ]
        return "\n".join(lines) + "\n"


def guess(interactions: Path, items: Path | None = None, images: Path | None = None) -> Guess:
    """Return what these files seem to be: their format, and the role of every column.

    Args:
        interactions: The log, or the folder of a known data set.
        items: The catalogue, if there is one.
        images: The folder of pictures, if there is one.

    Raises:
        DataError: a file is missing, empty, or nothing can be made of it.
    """
    data = data_of(interactions, items, images)
    roles: dict[str, Role] = {}
    examples: dict[str, str] = {}
    doubts: list[str] = []
    if data.format == "table":
        roles, examples = _roles(data, doubts)
        data = data.model_copy(update={"columns": {o: r.column for o, r in roles.items()}})
    previews = [*_previews(data, doubts)]
    filled = {name for _, table in previews for name in table.column_names if _any(table[name])}
    if len(previews) == 2:
        _compare(previews[0][1], previews[1][1], doubts)
    samples = [_sample(path, table) for path, table in previews]
    return Guess(data, roles, doubts, samples, frozenset(filled), examples)


def _roles(data: DataConfig, doubts: list[str]) -> tuple[dict[str, Role], dict[str, str]]:
    """Return the roles of a log's and a catalogue's columns, and an example of each column."""
    assert data.interactions is not None
    log_table = open_table(data.interactions)
    _must_be_headed(log_table)
    log = Sampled(log_table.columns, log_table.sample(_LOOKED_AT))
    catalogue = _catalogue(data)
    roles = interaction_roles(log, catalogue.identifiers())
    for ours in ("user", "item"):
        if ours not in roles:
            raise DataError(
                f"{data.interactions}: no column of {[*log.names]} looks like the {ours}; a log "
                f"needs a column of users and one of items"
            )
    if catalogue.names:
        roles |= item_roles(catalogue, log.keys(roles["item"].column))
    doubts += [f"{o} is {r.column!r}: {r.reason}" for o, r in roles.items() if not r.sure]
    return roles, _examples(catalogue) | _examples(log)


def _catalogue(data: DataConfig) -> Sampled:
    if data.items is None:
        return Sampled([], [])
    table = open_table(data.items)
    _must_be_headed(table)
    return Sampled(table.columns, table.sample(_LOOKED_AT))


def _must_be_headed(table: Table) -> None:
    """Refuse a text whose first line is data: the columns need names."""
    if table.kind == "text" and any(re.fullmatch(r"-?\d+(\.\d+)?", c) for c in table.columns):
        example = table.dialect.delimiter.join(("user", "item", "rating"))
        raise DataError(
            f"{table.path} has no header: its first line is {table.columns}. Put a line of column "
            f"names before it, for example {example}"
        )


def _examples(table: Sampled) -> dict[str, str]:
    firsts = ((name, table.cells(name)[:1]) for name in table.names)
    return {name: _cut(cells[0]) for name, cells in firsts if cells}


def _previews(data: DataConfig, doubts: list[str]) -> Iterator[tuple[Path, pa.Table]]:
    """Yield the path and the first batch of the interactions, then of the items if any."""
    reader = READERS[data.format]
    assert isinstance(reader, Format)
    for read, kind, named in (
        (reader.interactions, "interactions", data.interactions),
        (reader.items, "items", data.items or data.images),
    ):
        batch = next(read(data), None)
        if batch is None:
            continue
        _doubt_rejects(batch, doubts)
        folder = data.folder or Path()
        yield named or folder / batch.source, getattr(batch, kind)


def _doubt_rejects(batch: Batch, doubts: list[str]) -> None:
    rejected = len(batch.rejects)
    if rejected > _MANY_REJECTS * batch.records:
        reasons = sorted(set(batch.rejects["reason"].to_pylist()))
        first = batch.rejects["line"][0].as_py()
        doubts.append(
            f"{rejected} of the first {batch.records} records of {batch.source} are not usable "
            f"({', '.join(reasons)}), the first in line {first}"
        )


def _compare(log: pa.Table, items: pa.Table, doubts: list[str]) -> None:
    """Doubt that log and catalogue belong together where no item of the one is in the other."""
    if len(items) and not set(log["item"].to_pylist()) & set(items["key"].to_pylist()):
        doubts.append("no item of the first interactions is among the first items of the catalogue")


def _any(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count < len(column))


def _sample(path: Path, table: pa.Table) -> Sample:
    columns = [n for n in table.column_names if n not in ("source", "line") and _any(table[n])]
    rows = table.slice(0, SHOWN).select(columns).to_pylist()
    return Sample(path, columns, [[_cut(row[name]) for name in columns] for row in rows])


def _cut(cell: Any) -> str:  # noqa: ANN401 - any cell
    text = "" if cell is None else ", ".join(cell) if isinstance(cell, list) else str(cell)
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…"


def _data_lines(found: Guess, base: Path) -> Iterator[str]:
    data = found.data
    yield "data:"
    yield f"  format: {data.format}"
    for name in ("folder", "interactions", "items", "images"):
        path = getattr(data, name)
        if path is not None:
            yield f"  {name}: {_scalar(os.path.relpath(path.resolve(), base.resolve()))}"
    if not found.roles:
        return
    yield "  columns:  # ours: yours"
    for ours, role in found.roles.items():
        check = "" if role.sure else "CHECK: "
        example = json.dumps(found.examples.get(role.column, ""), ensure_ascii=False)
        yield f"    {ours}: {_scalar(role.column)}  # {check}{role.reason}; such as {example}"


def _etl_lines(found: Guess) -> Iterator[str]:
    yield "etl:"
    if "rating" in found.filled:
        yield "  # min_rating: 4  # count only what was rated so or better; all counts without it"
    if "split" in found.filled:
        yield "  split: {rule: label}  # the file's own division"
    elif "timestamp" in found.filled:
        yield "  split: {rule: global-time}  # train on the past; or leave-last-out, random"
    else:
        yield "  split: {rule: random}  # no times were found, which global-time would need"


def _embed_lines(found: Guess) -> Iterator[str]:
    yield "embed:"
    if found.filled.isdisjoint(_TEXTS):
        yield "  text: null  # no column of text was found"
    elif found.data.format == "mmrec":
        yield "  text: null  # the titles are identifiers"
    else:
        yield "  text: {encoder: minilm}"
    if "image" in found.filled:
        yield "  image: {encoder: efficientnet-lite0}"
    else:
        yield "  image: null  # no pictures were found"


_TRAIN_LINES = (
    "# What did best on catalogues with text and pictures (docs/log.md), and who to compare with.",
    "train: {model: gat, loss: softmax, negatives: 256, init_std: 0.1, weight_decay: 1.0e-2, "
    "epochs: 60, patience: 8}",
    "baselines:",
    "  popularity: {model: popularity}",
    "  item_knn: {model: item_knn}",
)


def _scalar(text: str) -> str:
    """Return a string as YAML, quoted where it must be."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text) and text.lower() not in _RESERVED:
        return text
    written: str = yaml.safe_dump(text, allow_unicode=True, width=10**6, default_style='"')
    return written.strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
