"""One modality of every item: unit vectors where present, zero where not, and why not."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import files
from pipeline.arrays import Flags, Floats, Rows, unit_rows
from pipeline.embed.batching import NONE

BIG_BYTES = 2 << 30
"""Float32 vectors above this are kept as float16."""
NOT_FINITE, ZERO_VECTOR = "not_finite", "zero_vector"
_ROWS_AT_ONCE = 1 << 14

MISSING = pa.schema([("item", pa.int32()), ("key", pa.string()), ("reason", pa.string())])
"""One row per item that lacks the modality."""


@dataclass(frozen=True)
class Content:
    """Vectors of distinct inputs, and which of them each item has.

    Shapes:
        vectors: (M, D), any scale. rows: (N,), a row of ``vectors`` or -1.
    """

    vectors: Floats
    rows: Rows
    reasons: Mapping[int, str]
    """Item to reason, at least for every item whose row is -1."""


@dataclass(frozen=True)
class Written:
    """What the files of a modality hold."""

    present: int
    missing: Mapping[str, int]
    """Items by reason."""
    width: int | None
    dtype: str | None


def write_modality(folder: Path, name: str, content: Content, keys: list[str]) -> Written:
    """Write a modality's files and return what is in them.

    Vectors and mask are left out where no item has the modality; the list of the missing stays.
    """
    n, width = len(content.rows), int(content.vectors.shape[1])
    dtype = np.dtype(np.float16 if n * width * 4 > BIG_BYTES else np.float32)
    reasons, present = dict(content.reasons), np.zeros(n, dtype=bool)
    with _replacing(folder / f"{name}.npy") as draft:
        # Plain writes: through a memory map, a full disk would end the process without a word.
        with draft.open("wb") as out:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (n, width)}
            np.lib.format.write_array_header_1_0(out, header)
            for start in range(0, n, _ROWS_AT_ONCE):
                block = slice(start, min(n, start + _ROWS_AT_ONCE))
                vectors, present[block] = _block(content, block, reasons)
                out.write(vectors.astype(dtype).tobytes())
    if present.any():
        with _replacing(folder / f"{name}_present.npy") as draft:
            np.save(draft, present, allow_pickle=False)
    else:
        (folder / f"{name}.npy").unlink()
    write_missing(folder, name, reasons, keys)
    missing = dict(sorted(Counter(reasons.values()).items()))
    some = bool(present.any())
    return Written(
        int(present.sum()), missing, width if some else None, str(dtype) if some else None
    )


def _block(content: Content, block: slice, reasons: dict[int, str]) -> tuple[Floats, Flags]:
    rows = content.rows[block]
    has = rows != NONE
    vectors = np.zeros((len(rows), content.vectors.shape[1]), dtype=np.float32)
    unit, not_finite, zero = unit_rows(content.vectors[rows[has]])
    vectors[has] = unit
    at = np.flatnonzero(has)
    for place in at[not_finite]:
        reasons.setdefault(block.start + int(place), NOT_FINITE)
    for place in at[zero]:
        reasons.setdefault(block.start + int(place), ZERO_VECTOR)
    lacks = [place for place in range(len(rows)) if block.start + place in reasons]
    vectors[lacks], has[lacks] = 0, False
    return vectors, has


def write_missing(folder: Path, name: str, reasons: Mapping[int, str], keys: list[str]) -> None:
    """Write ``<name>_missing.parquet``, in order of item."""
    items = sorted(reasons)
    columns = [items, [keys[item] for item in items], [reasons[item] for item in items]]
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, MISSING, strict=True)], schema=MISSING
    )
    with _replacing(folder / f"{name}_missing.parquet") as draft:
        files.write_table(draft, table)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a draft that takes the place of ``path``: a file once linked is never written to."""
    draft = path.with_name(f"draft-{path.name}")
    yield draft
    draft.replace(path)
