"""Raw records for the etl tests, and a reader that hands over whatever a test prepared."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline import files, measure
from pipeline.config import DataConfig, EtlConfig, RuntimeConfig
from pipeline.etl import stage as etl
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, Batch
from pipeline.job import Job
from pipeline.schema import REJECTS

LOG, SHOP = "log.csv", "shop.csv"


@dataclass
class Raw:
    """What a reader would yield; each part in batches of ``per_batch`` records."""

    interactions: list[tuple] = field(default_factory=list)
    """(user, item, rating, timestamp, split)"""
    items: list[tuple[str, str | None]] = field(default_factory=list)
    """(key, title)"""
    rejects: list[tuple[str, int, str, str]] = field(default_factory=list)
    per_batch: int = 7

    def batches(self):
        for start in range(0, len(self.interactions), self.per_batch):
            part = self.interactions[start : start + self.per_batch]
            rows = [(*row, LOG, start + i + 1) for i, row in enumerate(part)]
            table = as_table(rows, RAW_INTERACTIONS)
            yield Batch(LOG, len(part), interactions=table, bytes_read=10)
        for start in range(0, len(self.items), self.per_batch):
            part = self.items[start : start + self.per_batch]
            rows = [(k, t, *[None] * 5, SHOP, start + i + 1) for i, (k, t) in enumerate(part)]
            yield Batch(SHOP, len(part), items=as_table(rows, RAW_ITEMS))
        for reject in self.rejects:
            yield Batch(reject[0], 1, rejects=as_table([reject], REJECTS))


def as_table(rows, schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, r, strict=True)) for r in rows], schema)


@contextmanager
def reading(monkeypatch, raw: Raw):
    """Within the block every format is read as ``raw``."""
    with monkeypatch.context() as patch:
        patch.setattr(etl, "reader", lambda name: lambda data: raw.batches())
        yield


@dataclass(frozen=True)
class Result:
    """A tables artifact in memory."""

    into: Path
    report: dict

    def rows(self, name: str) -> list[dict]:
        return files.read_table(self.into / f"{name}.parquet").to_pylist()

    def keys(self, name: str) -> list[str]:
        return [row["key"] for row in self.rows(name)]

    def interactions(self) -> list[tuple]:
        """(user key, item key, weight, timestamp, split), in the order of the file."""
        users, items = self.keys("users"), self.keys("items")
        return [
            (users[r["user"]], items[r["item"]], r["weight"], r["timestamp"], r["split"])
            for r in self.rows("interactions")
        ]

    def rejects(self) -> list[tuple]:
        return [tuple(row.values()) for row in self.rows("rejects")]


def run(folder: Path, data: DataConfig | None = None, *, threads=1, memory="300MB", **config):
    """Run the stage in ``folder`` and return its result."""
    into, scratch = folder / "into", folder / "scratch"
    into.mkdir(parents=True)
    with measure.task("etl") as task:
        job = Job(
            config=EtlConfig(**config), data=data or DataConfig(format="table"), inputs={},
            into=into, scratch=scratch, task=task, threads=threads,
            runtime=RuntimeConfig(memory_limit=memory),
        )  # fmt: skip
        report = etl.run(job)
    return Result(into, report)
