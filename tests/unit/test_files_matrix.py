"""Sparse matrices on disk: what scipy reads, aligned, mapped, the same bytes each time."""

import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from pipeline import files


def matrix_of(seed, rows, columns, density=0.2, dtype=np.float32):
    rng = np.random.default_rng(seed)
    dense = (1 + 4 * rng.random((rows, columns))) * (rng.random((rows, columns)) < density)
    return sp.csr_matrix(dense.astype(dtype))


@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40))
def test_mapped_and_read_are_what_was_written(tmp_path_factory, seed, rows, columns):
    path = tmp_path_factory.mktemp("matrix") / "m.npz"
    matrix = matrix_of(seed, rows, columns)
    files.write_matrix(path, matrix)
    for found in (files.read_matrix(path), files.read_matrix(path, mapped=True), sp.load_npz(path)):
        assert found.shape == matrix.shape and found.dtype == matrix.dtype
        np.testing.assert_array_equal(found.toarray(), matrix.toarray())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_values_stand_aligned_in_the_file(tmp_path, dtype):
    files.write_matrix(tmp_path / "m.npz", matrix_of(0, 30, 40, dtype=dtype))
    found = files.read_matrix(tmp_path / "m.npz", mapped=True)
    for part in (found.data, found.indices, found.indptr):
        assert part.ctypes.data % 64 == 0 and not part.flags.writeable
    assert found.dtype == dtype and found.indices.dtype == np.int32


def test_two_writes_are_the_same_bytes_and_whole(tmp_path):
    for name in ("a.npz", "b.npz"):
        files.write_matrix(tmp_path / name, matrix_of(1, 50, 60))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None


def test_the_order_within_a_row_is_kept_where_it_is_asked_for(tmp_path):
    ranked = sp.csr_matrix((np.array([3.0, 2, 1]), np.array([2, 0, 1]), np.array([0, 3])))
    files.write_matrix(tmp_path / "r.npz", ranked, ranked=True)
    assert files.read_matrix(tmp_path / "r.npz", mapped=True).indices.tolist() == [2, 0, 1]
    files.write_matrix(tmp_path / "s.npz", ranked)
    assert files.read_matrix(tmp_path / "s.npz", mapped=True).indices.tolist() == [0, 1, 2]


def test_a_mapped_matrix_computes_as_one_in_memory(tmp_path):
    matrix = matrix_of(2, 30, 30)
    files.write_matrix(tmp_path / "m.npz", matrix)
    mapped, vector = files.read_matrix(tmp_path / "m.npz", mapped=True), np.ones(30, np.float32)
    np.testing.assert_array_equal(mapped @ vector, matrix @ vector)
    np.testing.assert_array_equal((mapped @ mapped.T).toarray(), (matrix @ matrix.T).toarray())
    np.testing.assert_array_equal(mapped[[3, 1]].toarray(), matrix[[3, 1]].toarray())
    with pytest.raises(ValueError, match="read-only"):
        mapped.data[0] = 1


def test_another_format_is_read_by_scipy(tmp_path):
    sp.save_npz(tmp_path / "c.npz", sp.csc_matrix(matrix_of(3, 9, 8)), compressed=False)
    found = files.read_matrix(tmp_path / "c.npz", mapped=True)
    np.testing.assert_array_equal(found.toarray(), matrix_of(3, 9, 8).toarray())
