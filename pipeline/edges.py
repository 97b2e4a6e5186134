"""The heaviest edges between what is shown and what somebody has: edges.c through ctypes.

Needs the native code that is compiled on installing.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows

_LIBRARY = "pipeline._edges"
_TYPES = ["i4", "i4", "f4"]
"""Of bounds, columns and weights."""


@cache
def _library() -> ctypes.CDLL | None:
    spec = find_spec(_LIBRARY)
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.heaviest_edges.argtypes = [pointer, number, number, *[pointer] * 6]
    library.heaviest_edges.restype = None
    return library


@dataclass(frozen=True)
class Packed:
    """Lists of rows end to end.

    Shapes:
        rows: (R,) int64. bounds: (B + 1,).
    """

    rows: Rows
    bounds: Rows

    @classmethod
    def of(cls, lists: Sequence[Rows]) -> "Packed":
        """Return lists packed; at least one."""
        bounds = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(rows) for rows in lists], out=bounds[1:])
        rows = np.concatenate(lists) if len(lists) > 1 else lists[0]
        return cls(np.ascontiguousarray(rows, dtype=np.int64), bounds)


@dataclass(frozen=True)
class Edges:
    """The edges of several graphs, where the native code can read them.

    Shapes:
        graphs: G of CSR (N, N). table: (G, 4), as the native code has them.
    """

    graphs: Sequence[sp.csr_matrix]
    table: Rows

    @classmethod
    def of(cls, graphs: Sequence[sp.csr_matrix]) -> "Edges | None":
        """Return the edges of graphs; None where one is of other types, or nothing compiled."""
        table = np.empty((len(graphs), 4), dtype=np.int64)
        for row, graph in zip(table, graphs, strict=True):
            arrays = (graph.indptr, graph.indices, graph.data)
            if [array.dtype for array in arrays] != _TYPES:
                return None
            row[:] = graph.shape[0], *(array.ctypes.data for array in arrays)
        return None if _library() is None else cls(graphs, table)

    def heaviest(self, shown: Packed, has: Packed) -> tuple[Rows, Floats]:
        """Return the row of its list's owner that the heaviest edge of each shown row leads to.

        Edges count in either direction, and above a weight of 0; of equal ones the lowest row's.

        Shapes:
            shown, has: B lists each, of sorted rows. returns: rows (G, R), -1 for none; weights.
        """
        shape = len(self.table), len(shown.rows)
        owned, weights = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        library = _library()
        assert library is not None
        arrays = (shown.rows, shown.bounds, has.rows, has.bounds, owned, weights)
        places = [array.ctypes.data for array in arrays]
        counts = len(self.table), len(shown.bounds) - 1
        library.heaviest_edges(self.table.ctypes.data, *counts, *places)
        return owned, weights
