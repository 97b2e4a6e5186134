"""The tables artifact as sparse matrices: one place that knows how splits become CSR."""

from collections.abc import Collection

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Rows
from pipeline.artifacts import Artifact
from pipeline.schema import ITEM, SPLIT, TRAIN, USER


def shape_of(tables: Artifact) -> tuple[int, int]:
    """Return (users, items) of a tables artifact."""
    files = tables.manifest["files"]
    return int(files["users.parquet"]["shape"][0]), int(files["items.parquet"]["shape"][0])


def user_item(tables: Artifact, splits: Collection[int] = (TRAIN,)) -> sp.csr_matrix:
    """Return the binary user-item matrix of the given splits, rows sorted.

    Shapes:
        returns: CSR (U, N) float32, 1 where the user has the item.
    """
    table = tables.table("interactions.parquet", [USER, ITEM, SPLIT])
    kept = np.isin(table[SPLIT].to_numpy(), list(splits))
    users, items = table[USER].to_numpy()[kept], table[ITEM].to_numpy()[kept]
    ones = np.ones(len(users), dtype=np.float32)
    matrix = sp.csr_matrix((ones, (users, items)), shape=shape_of(tables))
    matrix.data[:] = 1.0
    matrix.sort_indices()
    return matrix


def evaluable(train: sp.csr_matrix, held_out: sp.csr_matrix) -> Rows:
    """Return the users with at least one training and one held-out interaction, in order.

    Shapes:
        train, held_out: CSR (U, N).
    """
    return np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(held_out.indptr) > 0))


def columns_of(matrix: sp.csr_matrix, row: int) -> Rows:
    """Return the columns of a row as they are stored, without the matrix that indexing would make.

    Shapes:
        matrix: CSR (U, N). returns: (E,), a view.
    """
    columns: Rows = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def entries(matrix: sp.csr_matrix, rows: Rows) -> tuple[Rows, Rows]:
    """Return (position in ``rows``, column) of every stored entry of those rows.

    Shapes:
        matrix: CSR (U, N), rows (B,). returns: two arrays (E,), E entries, in order of position.
    """
    taken = matrix[rows]
    return np.repeat(np.arange(len(rows)), np.diff(taken.indptr)), taken.indices
