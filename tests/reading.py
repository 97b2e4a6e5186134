"""Helpers for tests of readers: write raw files, read them whole, compare what came out."""

import gzip
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.etl import readers  # noqa: F401 - registers the formats
from pipeline.etl.records import READERS, Batch

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Read:
    """Everything a reader yielded."""

    batches: list[Batch]
    interactions: Rows
    items: Rows
    rejects: Rows

    @property
    def records(self) -> int:
        return sum(batch.records for batch in self.batches)

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """Line and reason of each reject."""
        return [(row["line"], row["reason"]) for row in self.rejects]

    def item(self, key: str) -> dict[str, object]:
        return next(row for row in self.items if row["key"] == key)

    def pairs(self) -> list[tuple[object, object]]:
        return [(row["user"], row["item"]) for row in self.interactions]


def read(format_: str, **sections) -> Read:
    batches = [*READERS[format_](DataConfig(format=format_, **sections))]
    rows = {
        kind: [row for batch in batches for row in getattr(batch, kind).to_pylist()]
        for kind in ("interactions", "items", "rejects")
    }
    return Read(batches, **rows)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(path: Path, content: str | bytes) -> Path:
    return write(path, gzip.compress(content.encode() if isinstance(content, str) else content))
