"""Ready-made item vectors: a ``.npy`` in order of item; with keys, Parquet or Amazon's ``.b``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays import Floats, Rows, unit_rows
from pipeline.embed.batching import NONE
from pipeline.embed.content import Content
from pipeline.errors import DataError
from pipeline.ids import UNKNOWN, IdMap

NO_VECTOR = "no_vector"
_ROWS_AT_ONCE = 1 << 14
_AMAZON = np.dtype([("key", "S10"), ("vector", "<f4", (4096,))])
"""A record of the picture features that were published with the reviews of 2014."""


@dataclass(frozen=True)
class Ready:
    """The vectors of a file, matched with the items."""

    content: Content
    unknown_keys: int
    """Keys of the file that are not in the catalogue."""


def read_ready(path: Path, name: str, keys: list[str]) -> Ready:
    """Return the vectors of ``data.vectors.<name>``.

    Raises:
        DataError: the file is missing or damaged, of another shape, or no vector is usable.
    """
    if not path.is_file():
        raise DataError(f"data.vectors.{name}: there is no file {path}")
    read = {".npy": _from_array, ".parquet": _from_table, ".b": _from_amazon}.get(path.suffix)
    if read is None:
        raise DataError(f"data.vectors.{name}: {path} must end in .npy, .parquet or .b")
    ready = read(path, name, keys)
    if keys and not _any_usable(ready.content):
        raise DataError(
            f"data.vectors.{name}: {path} has no finite, non-zero vector for any of the "
            f"{len(keys)} items; check the file, or take the modality out of data.vectors"
        )
    return ready


def _from_array(path: Path, name: str, keys: list[str]) -> Ready:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"data.vectors.{name}: {path} is not a whole .npy file: {error}") from error
    numeric = np.issubdtype(vectors.dtype, np.number) and not np.iscomplexobj(vectors)
    if vectors.ndim != 2 or not numeric or vectors.shape[1] == 0:
        raise DataError(
            f"data.vectors.{name}: {path} holds {vectors.dtype} of shape {vectors.shape}; wanted "
            f"numbers of shape ({len(keys)}, width)"
        )
    if len(vectors) != len(keys):
        raise DataError(
            f"data.vectors.{name}: {path} has {len(vectors)} rows, the catalogue {len(keys)} "
            f"items; row i must be item i of tables/items.parquet. Where items were added or left "
            f"out, give a Parquet file with the columns key and vector instead"
        )
    return Ready(Content(vectors, np.arange(len(keys)), {}), 0)


def _from_table(path: Path, name: str, keys: list[str]) -> Ready:
    try:
        table = pq.read_table(path, columns=["key", "vector"])
        vectors = _matrix(table["vector"].combine_chunks())
        own = IdMap.of(table["key"].cast(pa.string()).to_pylist())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"data.vectors.{name}: {path} must hold the columns key (text) and vector (a list of "
            f"numbers, the same count in every row): {error}"
        ) from error
    return _matched(own, np.arange(len(own)), vectors, keys)


def _from_amazon(path: Path, name: str, keys: list[str]) -> Ready:
    """Read ``image_features_*.b``: ten bytes of key, then 4,096 numbers; a key's first stays."""
    size = path.stat().st_size
    if not size or size % _AMAZON.itemsize:
        raise DataError(
            f"data.vectors.{name}: {path} has {size} bytes, no whole number of records of "
            f"{_AMAZON.itemsize} (ten bytes of key, 4096 float32); was its download interrupted?"
        )
    records = np.memmap(path, _AMAZON, "r")
    own, first = np.unique(records["key"], return_index=True)
    named = IdMap.of(key.decode("latin-1") for key in own.tolist())
    return _matched(named, first, records["vector"], keys)


def _matched(own: IdMap, places: Rows, vectors: Floats, keys: list[str]) -> Ready:
    """Return the vectors by item; ``places`` are where the vectors of the file's keys stand."""
    rows = own.rows(keys)
    reasons = {int(item): NO_VECTOR for item in np.flatnonzero(rows == UNKNOWN)}
    at = np.where(rows == UNKNOWN, NONE, places[rows])
    return Ready(Content(vectors, at, reasons), len(own) - (len(keys) - len(reasons)))


def _matrix(column: pa.Array) -> Floats:
    """Return a column of lists as (N, D); a null row is NaN throughout."""
    lengths = set(column.drop_null().value_lengths().to_pylist())
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"vectors have the widths {sorted(lengths)[:5]}")
    matrix = np.full((len(column), lengths.pop()), np.nan, dtype=np.float32)
    flat = column.drop_null().flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    matrix[column.is_valid().to_numpy(zero_copy_only=False)] = flat.reshape(-1, matrix.shape[1])
    return matrix


def _any_usable(content: Content) -> bool:
    rows = content.rows[content.rows != NONE]
    blocks = (rows[at : at + _ROWS_AT_ONCE] for at in range(0, len(rows), _ROWS_AT_ONCE))
    return any(unit_rows(content.vectors[block])[0].any() for block in blocks)
