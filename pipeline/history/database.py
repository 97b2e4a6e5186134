"""The files of rows, and what is asked of them through DuckDB."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import Store
from pipeline.errors import ArtifactError, PlotpointeError
from pipeline.history.rows import BEFORE, Row, rows_of, rows_of_artifact
from pipeline.history.series import Series
from pipeline.runs.listing import all_runs, find
from pipeline.schema import KINDS

FOLDER = "history"
SCHEMA = pa.schema(
    [(name, pa.float64() if name == "value" else pa.string()) for name in Row._fields]
)
_SAME = ("environment_id", "data", "config", "stage", "step", "metric")
"""What the runs of one series have in common."""


def append(store: Store, run_id: str) -> None:
    """Add the rows of a run that has ended; a history that cannot be written stops nothing."""
    with suppress(PlotpointeError, OSError, ValueError, KeyError):
        _write(store, run_id, rows_of(find(store, run_id)))


def rebuild(store: Store) -> int:
    """Make all files again from the records of runs, and from manifests where there is none.

    Returns:
        How many files were written.
    """
    runs = all_runs(store)
    made = {
        (step["kind"], step["fingerprint"])
        for run in runs
        for step in run.get("steps", {}).values()
        if step["made"]
    }
    wanted = {run["run_id"]: rows_of(run) for run in runs}
    for kind in KINDS:
        for artifact in store.all(kind):
            if (artifact.kind, artifact.fingerprint) not in made:
                wanted[BEFORE + artifact.fingerprint] = rows_of_artifact(artifact, store)
    written = {_write(store, name, rows) for name, rows in wanted.items()}
    for path in {*_files(store)} - written:
        path.unlink()
    return len(written - {None})


def _write(store: Store, name: str, rows: Iterable[Row]) -> Path | None:
    """Write a run's rows in one step; a run that measured nothing has no file."""
    columns = [*zip(*rows, strict=True)]
    if not columns:
        return None
    folder = store.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    draft = folder / f".{name}.{os.getpid()}.draft"
    table = pa.table([pa.array(c) for c in columns], names=[*Row._fields]).cast(SCHEMA)
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)
    return path


def _files(store: Store) -> list[Path]:
    return sorted((store.root / FOLDER).glob("*.parquet"))


def ask(store: Store, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query over the view ``facts``.

    Raises:
        ArtifactError: there is no history yet.
    """
    import duckdb

    files = _files(store)
    if not files:
        raise ArtifactError(
            f"{store.root} has no history yet: each plotpointe run adds to it, and plotpointe "
            f"history rebuild makes it from what the store holds"
        )
    with duckdb.connect() as database:
        database.read_parquet([str(path) for path in files]).create_view("facts")
        found: list[tuple[Any, ...]] = database.execute(query, [*values]).fetchall()
    return found


def series(
    store: Store, metric: str | None = None, *, stage: str | None = None, since: str | None = None
) -> list[Series]:
    """Return what was measured again and again, oldest first, one series for each that compares.

    Runs compare where machine, data, settings and step are the same; seeds and code may differ.

    Raises:
        ArtifactError: there is no history yet.
    """
    same, order = ", ".join(_SAME), 'ORDER BY "at", run_id'
    query = (
        f'SELECT {same}, list(run_id {order}), list("at" {order}), list(value {order}) FROM facts '
        f"WHERE ($1 IS NULL OR metric = $1) AND ($2 IS NULL OR stage = $2 OR step = $2) "
        f'AND ($3 IS NULL OR "at" >= $3) GROUP BY {same} ORDER BY {same}'
    )
    return [Series(*row) for row in ask(store, query, [metric, stage, since])]


def metrics(store: Store) -> list[str]:
    """Return the names of all metrics of the history."""
    return [name for (name,) in ask(store, "SELECT DISTINCT metric FROM facts ORDER BY metric")]
