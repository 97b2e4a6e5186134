"""Arrow arrays as numpy's, by their buffers: most of pyarrow's own ways load pandas to look."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.arrays import Flags, Rows


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; strings of several chunks become large ones."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_string(column.type):
        column = column.cast(pa.large_string())
    return column.combine_chunks()


def valid(array: pa.Array) -> Flags:
    """Return which elements are not null, (N,)."""
    flags = array.buffers()[0]
    if flags is None or not array.null_count:
        return np.ones(len(array), dtype=np.bool_)
    bits = np.unpackbits(np.frombuffer(flags, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(np.bool_)


def numbers(array: pa.Array) -> Any:  # noqa: ANN401 - of any type
    """Return integers or floats as they are stored, (N,); any number where an element is null."""
    kind = np.dtype(array.type.to_pandas_dtype())
    stored = np.frombuffer(array.buffers()[1] or b"", kind)
    found = stored[array.offset : array.offset + len(array)]
    return found


def flags(array: pa.Array) -> Flags:
    """Return booleans, (N,); any where an element is null."""
    bits = np.unpackbits(np.frombuffer(array.buffers()[1] or b"", np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(np.bool_)


def bounds(array: pa.Array) -> Rows:
    """Return where each string or list begins, and where the last ends, (N + 1,)."""
    large = pa.types.is_large_string(array.type) or pa.types.is_large_list(array.type)
    stored: Rows = np.frombuffer(array.buffers()[1] or bytes(8), "i8" if large else "i4")
    return stored[array.offset : array.offset + len(array) + 1]


def strings(texts: Sequence[str]) -> pa.Array:
    """Return strings as Arrow."""
    coded = [text.encode() for text in texts]
    ends = np.cumsum([0, *(len(each) for each in coded)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(coded))]
    return pa.Array.from_buffers(pa.string(), len(coded), buffers)


def mask(kept: Flags) -> pa.Array:
    """Return flags as Arrow."""
    packed = pa.py_buffer(np.packbits(kept, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(kept), [None, packed])
