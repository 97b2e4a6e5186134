"""Read and write the file formats of the artifact contract; nothing here is pickled."""

import json
import os
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

_ALIGNED = 64
_ZIP_HEADER = 30
"""Bytes of a zip member's header before its name; the last four are two lengths."""

_ZIP64_FIELD = 20
_EXTRA, _PADDING = struct.Struct("<HH"), 0xD935
"""A zip extra field begins with its id and length; this id stands for alignment by custom."""


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
    heaviest edge first. The arrays stand uncompressed and aligned, so that they can be mapped.
    """
    csr = sp.csr_matrix(matrix)
    if not ranked:
        csr.sort_indices()
    parts = {
        "indices": csr.indices, "indptr": csr.indptr, "format": np.array(b"csr"),
        "shape": np.array(csr.shape), "data": csr.data, "_is_array": np.array(False),
    }  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in parts.items():
            _write_member(archive, f"{name}.npy", array)


def _write_member(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Write an array to an archive, its values at a multiple of ``_ALIGNED`` bytes.

    An extra field of zip's header holds as many zeros as that takes; readers skip it. Numpy pads
    its own header already.
    """
    told = zipfile.ZipInfo(name)
    assert archive.fp is not None
    begins = archive.fp.tell() + _ZIP_HEADER + len(name) + _ZIP64_FIELD + _EXTRA.size
    zeros = -begins % _ALIGNED
    told.extra = _EXTRA.pack(_PADDING, zeros) + bytes(zeros)
    with archive.open(told, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def read_matrix(path: Path, *, mapped: bool = False) -> sp.csr_matrix:
    """Return the CSR matrix of a scipy ``.npz``, rows in the order in which they were written.

    ``mapped`` leaves it on disk, to be read but not changed: processes share its pages. An archive
    that was not written by ``write_matrix`` is read into memory instead.
    """
    if mapped and (found := _mapped_members(path)):
        shape = tuple(found["shape.npy"].tolist())
        values = (found["data.npy"], found["indices.npy"], found["indptr.npy"])
        return sp.csr_matrix(values, shape=shape, copy=False)
    with path.open("rb") as file:
        return sp.csr_matrix(sp.load_npz(file))


def _mapped_members(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of an archive, mapped; None where they do not stand as they must."""
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for told in archive.infolist():
            file.seek(told.header_offset + _ZIP_HEADER - 4)
            named, extra = struct.unpack("<HH", file.read(4))
            begins = file.seek(named + extra, os.SEEK_CUR)
            if told.compress_type != zipfile.ZIP_STORED or begins % _ALIGNED:
                return None
            found[told.filename] = _mapped_member(path, file)
    return found if found.get("format.npy", np.array(b"")).item() == b"csr" else None


def _mapped_member(path: Path, file: BinaryIO) -> np.ndarray:
    """Return the array whose numpy header ``file`` stands before."""
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet (zstd), deterministic for equal input."""
    pq.write_table(table, path, compression="zstd")


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return the table, or only the named columns, in that order."""
    # Not ``pq.read_table``: it loads pyarrow's data sets, which load pandas.
    with pq.ParquetFile(path) as file:
        table = file.read(columns)
    return table if columns is None else table.select(columns)
