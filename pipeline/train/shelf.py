"""Where the inputs of training lie: in memory, or on disk, mapped, read where they are touched."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipeline import files
from pipeline.arrays import Flags, Floats, Rows
from pipeline.models import Edges, Relation
from pipeline.train.active import edges_of

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Shelf:
    """Makes tensors of arrays: in memory without a folder, else over files in it.

    Files are written anew each time, under another name first, so that a killed run leaves no half
    of one. Patterns on disk have int32 indices; mapped pages are shared, and never written to.
    """

    folder: Path | None = None

    def edges(self, name: str, matrix: sp.csr_matrix) -> Edges:
        """Return the pattern of a CSR matrix with sorted rows, and of its transpose."""
        if self.folder is None:
            return edges_of(matrix)
        order = np.arange(matrix.nnz, dtype=matrix.indices.dtype)
        turned = sp.csr_matrix((order, matrix.indices, matrix.indptr), matrix.shape).tocsc()
        arrays = {
            "indptr": matrix.indptr.astype(np.int64),
            "indices": matrix.indices,
            "transposed_indptr": turned.indptr.astype(np.int64),
            "transposed_indices": turned.indices,
            "permutation": turned.data,
        }
        mapped = {field: self._mapped(f"{name}_{field}", a) for field, a in arrays.items()}
        return Edges(**mapped, shape=(matrix.shape[0], matrix.shape[1]))

    def relation(self, name: str, matrix: sp.csr_matrix) -> Relation:
        """Return the weighted edges of a CSR matrix with sorted rows."""
        edges = self.edges(name, matrix)
        if self.folder is None:
            return Relation(edges, torch.from_numpy(matrix.data))
        return Relation(edges, self._mapped(f"{name}_weights", matrix.data))

    def vectors(self, name: str, array: Floats, rows: Rows | None = None) -> Tensor:
        """Return the vectors of some rows, or of all: float32 in memory, of their own type mapped.

        Shapes:
            array: (N, width). rows: (n,). returns: (n, width).
        """
        if self.folder is None:
            return torch.from_numpy(np.array(array if rows is None else array[rows], np.float32))
        if rows is None and isinstance(array, np.memmap):
            return _over(Path(str(array.filename)))
        rows = np.arange(len(array)) if rows is None else rows
        draft = self.folder / f"{name}.draft.npy"
        shape = len(rows), array.shape[1]
        into = np.lib.format.open_memmap(draft, mode="w+", dtype=array.dtype, shape=shape)
        for start in range(0, len(rows), _BLOCK):
            into[start : start + _BLOCK] = array[rows[start : start + _BLOCK]]
        into.flush()
        return self._kept(draft, name)

    def flags(self, array: Flags, rows: Rows | None = None) -> Tensor:
        """Return the flags of some rows, or of all, in memory: (n,) bool."""
        return torch.from_numpy(np.array(array if rows is None else array[rows], dtype=bool))

    def _mapped(self, name: str, array: Floats | Rows) -> Tensor:
        assert self.folder is not None
        draft = self.folder / f"{name}.draft.npy"
        files.write_array(draft, array)
        return self._kept(draft, name)

    def _kept(self, draft: Path, name: str) -> Tensor:
        assert self.folder is not None
        return _over(draft.replace(self.folder / f"{name}.npy"))


def _over(path: Path) -> Tensor:
    """Return a tensor over a file; written to, it would change in this process alone."""
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
