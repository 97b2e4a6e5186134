"""The heaviest edges between what is shown and what somebody has: edges.c through ctypes.

Needs the native code that is compiled on installing.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.native import library

_LIBRARY = "pipeline._edges"
_TYPES = ["i4", "i4", "f4"]
"""Of bounds, columns and weights."""


@cache
def _library() -> ctypes.CDLL | None:
    native = library(_LIBRARY)
    if native is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    native.heaviest_edges.argtypes = [pointer, number, number, pointer]
    native.heaviest_edges.restype = None
    return native


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

    def heaviest(self, shown: Sequence[Rows], has: Sequence[Rows]) -> tuple[Rows, Floats]:
        """Return the row of its list's owner that the heaviest edge of each shown row leads to.

        Edges count in either direction, and above a weight of 0; of equal ones the lowest row's.

        Shapes:
            shown, has: B lists each, at least one; R rows shown in all; those of ``has`` sorted.
            returns: rows (G, R), -1 for none, and weights.
        """
        bounds = [*accumulate(map(len, shown), initial=0), *accumulate(map(len, has), initial=0)]
        rows = bounds[len(shown)]
        room = np.empty(2 * rows + 2 * len(self.table) * rows, dtype=np.int64)
        work = np.concatenate([bounds, *shown, *has, room], dtype=np.int64, casting="same_kind")
        native = _library()
        assert native is not None
        counts = len(self.table), len(shown)
        native.heaviest_edges(self.table.ctypes.data, *counts, work.ctypes.data)
        at = len(work) - 2 * len(self.table) * rows
        cells = len(self.table) * rows
        owned, weights = work[at : at + cells], work[at + cells :].view(np.float32)[:cells]
        shape = len(self.table), rows
        return owned.reshape(shape), weights.reshape(shape)
