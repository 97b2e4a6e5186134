"""The etl stage: raw files to tables."""

import importlib
from typing import Any

from pipeline import files
from pipeline.config import DataConfig, EtlConfig
from pipeline.errors import ConfigError
from pipeline.etl import clean, quality
from pipeline.etl.database import workspace
from pipeline.etl.records import READERS, Reader
from pipeline.etl.splits import shares, split_query
from pipeline.etl.staging import Staged, stage
from pipeline.job import Facts, Job

_REGISTERING = ("pipeline.etl.readers", "pipeline.etl.demo")
"""Packages whose import fills ``READERS``."""

_ARRAYS = (".npy", ".npz")


def run(job: Job[EtlConfig]) -> Facts:
    """Fill the tables artifact from raw files and return the quality report.

    Raises:
        DataError: unreadable, too dirty or empty input, or input that lacks what the split needs.
    """
    staged = _stage(job)
    limit = job.runtime.memory_limit
    with workspace(staged.folder, limit, job.threads) as connection:
        report = _clean(job, connection, staged)
    files.write_json(job.into / "quality.json", report)
    return report


def _stage(job: Job[EtlConfig]) -> Staged:
    if job.data.attributes and job.data.format != "table":
        raise ConfigError(
            f"data.attributes are read from tables alone, and data.format is {job.data.format}; "
            f"take format: table with the items' file, or leave them out"
        )
    read = reader(job.data.format)
    with job.task.progress("read", total=_bytes(job.data), unit="bytes") as bar:
        return stage(read(job.data), job.scratch / "staging", bar.advance)


def reader(name: str) -> Reader:
    """Return the reader of a format, after importing whoever registers one."""
    for package in _REGISTERING:
        importlib.import_module(package)
    return READERS[name]


def _bytes(data: DataConfig) -> int | None:
    """Return the size of the raw files that are read, None if that is not known."""
    paths = [p for p in (data.interactions, data.items) if p]
    if data.folder and data.folder.is_dir():
        paths += [p for p in data.folder.iterdir() if p.is_file() and p.suffix not in _ARRAYS]
    return sum(p.stat().st_size for p in paths if p.is_file()) or None


def _clean(job: Job[EtlConfig], connection: Any, staged: Staged) -> dict[str, Any]:  # noqa: ANN401
    config = job.config
    with job.task.progress("clean", total=5, unit="steps") as bar:
        clean.load(connection, staged)
        rounds = clean.judge(connection, config)
        bar.advance(note="rows")
        clean.number(connection, dense=job.data.format == "mmrec")
        clean.collect_rejects(connection)
        bar.advance(note="quality")
        report = quality.accounts(connection, staged.read) | quality.describe(connection)
        quality.refuse_dirty(connection, report, config.max_reject_share)
        bar.advance(note="split")
        divided = clean.divide(connection, split_query(connection, config.split))
        counts = shares(divided, config.split)
        report["split"] = quality.split_report(connection, config.split.rule, counts)
        bar.advance(note="tables")
        clean.write_tables(connection, job.into, job.data.attributes)
        bar.advance(note="")
    return report | {"core_rounds": rounds}
