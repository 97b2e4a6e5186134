"""Ready-made graphs: taken as they are, or refused with the reason."""

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.errors import DataError
from pipeline.graph.given import read_graph
from pipeline.graph.ranked import edges_of


def saved(path, dense, form=sp.csr_matrix):
    sp.save_npz(path, form(np.asarray(dense, dtype=np.float32)))
    return path


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.coo_matrix, sp.csc_matrix])
def test_self_loops_go_and_the_heaviest_stay(tmp_path, form):
    path = saved(tmp_path / "g.npz", [[9, 0.1, 0.5], [0.2, 0, 0], [0.3, 0.4, 7]], form)
    rows, columns, weights = edges_of(read_graph(path, 3, k=1))
    assert rows.tolist() == [0, 1, 2]
    assert columns.tolist() == [2, 0, 1]
    np.testing.assert_allclose(weights, [0.5, 0.2, 0.4])


def test_another_shape_is_refused_with_both(tmp_path):
    path = saved(tmp_path / "g.npz", np.eye(3))
    with pytest.raises(DataError, match=r"shape \(3, 3\).*\(4, 4\)"):
        read_graph(path, 4, k=1)


def test_a_weight_that_is_not_finite_is_refused(tmp_path):
    path = saved(tmp_path / "g.npz", [[0, np.nan], [1, 0]])
    with pytest.raises(DataError, match="1 weights that are not finite"):
        read_graph(path, 2, k=1)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half"])
def test_what_is_no_matrix_is_refused(tmp_path, content):
    path = tmp_path / "g.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a scipy sparse"):
        read_graph(path, 2, k=1)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "g.npz"
    np.savez(path, vectors=np.eye(2))
    with pytest.raises(DataError, match="not a scipy sparse"):
        read_graph(path, 2, k=1)
