"""Read and write the file formats of the artifact contract; nothing here is pickled."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - JSON is any value
    """Write ``value`` as canonical, readable JSON (sorted keys, NaN refused)."""
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is any value
    """Return the parsed JSON file."""
    return json.loads(path.read_text())


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON Lines, one record a line."""
    path.write_text("".join(json.dumps(r, sort_keys=True, allow_nan=False) + "\n" for r in records))


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record to a JSON Lines file, on a line of its own whatever stands before it."""
    with path.open("ab+") as file:
        file.seek(max(0, file.tell() - 1))
        torn = file.read(1) not in (b"", b"\n")
        line = json.dumps(record, sort_keys=True, allow_nan=False)
        file.write(("\n" * torn + line + "\n").encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``, C order."""
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def read_array(path: Path, *, mapped: bool = True) -> np.ndarray:
    """Return the array, memory-mapped read-only by default."""
    array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array


def write_matrix(path: Path, matrix: sp.csr_matrix, *, ranked: bool = False) -> None:
    """Write a CSR matrix as scipy ``.npz`` with int32 indices where they fit.

    Rows are sorted by column; ``ranked`` keeps their order, which item graphs use to hold the
    heaviest edge first.
    """
    csr = sp.csr_matrix(matrix)
    if not ranked:
        csr.sort_indices()
    sp.save_npz(path, csr, compressed=False)


def read_matrix(path: Path) -> sp.csr_matrix:
    """Return the CSR matrix of a scipy ``.npz``, rows in the order in which they were written."""
    with path.open("rb") as file:
        return sp.csr_matrix(sp.load_npz(file))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet (zstd), deterministic for equal input."""
    pq.write_table(table, path, compression="zstd")


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return the table, or only the named columns, in that order."""
    # Not ``pq.read_table``: it loads pyarrow's data sets, which load pandas.
    with pq.ParquetFile(path) as file:
        table = file.read(columns)
    return table if columns is None else table.select(columns)
