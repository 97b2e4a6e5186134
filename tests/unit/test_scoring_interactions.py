"""The tables as sparse matrices, and who can be evaluated on them."""

import numpy as np
import scipy.sparse as sp

from pipeline import schema
from pipeline.artifacts import Store
from pipeline.interactions import entries, evaluable, shape_of, user_item
from tests import worlds


def test_splits_become_disjoint_matrices(tmp_path):
    world = worlds.planted()
    tables = worlds.tables(Store(tmp_path), world)
    parts = [user_item(tables, (split,)) for split in schema.SPLITS.values()]
    together = user_item(tables, [*schema.SPLITS.values()])
    assert shape_of(tables) == together.shape == (world.n_users, world.n_items)
    assert (sum(parts) != together).nnz == 0
    assert all((part != world.matrix(split)).nnz == 0 for split, part in enumerate(parts))


def test_rows_are_sorted_and_binary(tmp_path):
    matrix = user_item(worlds.tables(Store(tmp_path), worlds.planted()))
    assert matrix.has_sorted_indices and (matrix.data == 1).all() and matrix.dtype == np.float32


def test_evaluable_users_have_both_kinds():
    train = sp.csr_matrix([[1, 0], [0, 0], [1, 1], [0, 0]])
    held_out = sp.csr_matrix([[0, 1], [0, 1], [0, 0], [0, 0]])
    assert evaluable(train, held_out).tolist() == [0]


def test_entries_follow_the_asked_order():
    matrix = sp.csr_matrix([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    position, column = entries(matrix, np.array([2, 1, 0, 2]))
    assert position.tolist() == [0, 2, 2, 3] and column.tolist() == [1, 0, 2, 1]


def test_entries_of_nobody():
    position, column = entries(sp.csr_matrix((3, 3)), np.array([], dtype=np.int64))
    assert len(position) == len(column) == 0
