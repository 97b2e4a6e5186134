"""Raw records for the etl tests, and a reader that hands over whatever a test prepared."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from pipeline import files, measure
from pipeline.config import DataConfig, EtlConfig, RuntimeConfig, SplitConfig
from pipeline.etl import stage as etl
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, Batch
from pipeline.etl.splits import Row, split_query
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
            rows = [(k, t, *[None] * 6, SHOP, start + i + 1) for i, (k, t) in enumerate(part)]
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


def split_in_sql(rows: list[Row], config: SplitConfig) -> list[int]:
    """Return each row's split by the query, in the order of ``rows``."""
    users = {user: n for n, user in enumerate(dict.fromkeys(r.user for r in rows))}
    items = {item: n for n, item in enumerate(dict.fromkeys(r.item for r in rows))}
    columns = {
        "user_key": [r.user for r in rows], "item_key": [r.item for r in rows],
        "user": [users[r.user] for r in rows], "item": [items[r.item] for r in rows],
        "timestamp": pa.array([r.timestamp for r in rows], pa.int64()),
        "seq": [r.seq for r in rows], "label": pa.array([r.label for r in rows], pa.int8()),
    }  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("given", pa.table(columns))
        connection.execute("CREATE TABLE cleaned AS FROM given")
        found = dict(connection.execute(split_query(connection, config)).fetchall())
    return [found[row.seq] for row in rows]


def crowd(n: int):
    """Batches of n interactions of many users with many items, and of the items' texts."""
    chance = np.random.default_rng(0)
    step, users, items = 20_000, n // 8, n // 20
    for start in range(0, n, step):
        size = min(step, n - start)
        columns = {
            "user": [f"A{u:012d}" for u in (users * chance.random(size) ** 2).astype(int)],
            "item": [f"B{i:08d}" for i in (items * chance.random(size) ** 3).astype(int)],
            "rating": chance.integers(1, 6, size).astype(np.float32),
            "timestamp": chance.integers(10**9, 14 * 10**8, size) // 86_400 * 86_400,
            "split": pa.nulls(size, pa.int8()), "source": [LOG] * size,
            "line": np.arange(start, start + size),
        }  # fmt: skip
        yield Batch(LOG, size, interactions=pa.table(columns, schema=RAW_INTERACTIONS))
    for start in range(0, items, step):
        rows = [
            (f"B{i:08d}", f"Title {i}", f"words of item {i} " * 50, *[None] * 5, SHOP, i)
            for i in range(start, min(items, start + step))
        ]
        yield Batch(SHOP, len(rows), items=as_table(rows, RAW_ITEMS))
