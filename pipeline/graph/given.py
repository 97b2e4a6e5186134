"""Ready-made item graphs: read, checked and cut to the same shape as our own."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp

from pipeline import files
from pipeline.errors import DataError
from pipeline.graph.ranked import strongest


def read_graph(path: Path, n_items: int, k: int) -> sp.csr_matrix:
    """Return a ready-made graph as a ranked one: no self-loops, at most k edges an item.

    Shapes:
        returns: CSR (n_items, n_items) float32, weights falling in a row.

    Raises:
        DataError: not a scipy matrix, of another shape, or with weights that are not finite.
    """
    try:
        matrix = sp.csr_matrix(files.read_matrix(path), dtype=np.float32)
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise DataError(
            f"graph {path} is not a scipy sparse .npz: {error}. Write it with "
            f"scipy.sparse.save_npz, or leave it out of data.graphs"
        ) from None
    if matrix.shape != (n_items, n_items):
        raise DataError(
            f"graph {path} has the shape {matrix.shape}; row = item is wanted, so "
            f"{(n_items, n_items)}. Make it again for these items, or leave it out of data.graphs"
        )
    if not np.isfinite(matrix.data).all():
        wrong = int((~np.isfinite(matrix.data)).sum())
        raise DataError(f"graph {path} has {wrong} weights that are not finite; finite are wanted")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return strongest(matrix, k)
