"""Ready-made vectors: matched with the items, or refused with a cure."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.embed.ready import read_ready
from pipeline.errors import DataError

KEYS = ["a", "b", "c"]


def save(path, array):
    np.save(path, array)
    return path


def save_table(path, keys, vectors, kind=None):
    table = pa.table({"key": keys, "vector": pa.array(vectors, kind or pa.list_(pa.float64()))})
    pq.write_table(table, path)
    return path


def test_an_array_is_taken_row_by_row(tmp_path):
    ready = read_ready(save(tmp_path / "x.npy", np.eye(3)), "audio", KEYS)
    assert ready.content.rows.tolist() == [0, 1, 2]
    assert isinstance(ready.content.vectors, np.memmap)


def test_a_table_is_matched_by_key(tmp_path):
    path = save_table(tmp_path / "x.parquet", ["c", "zz", "a"], [[1, 2], [3, 4], [5, 6]])
    ready = read_ready(path, "audio", KEYS)
    assert ready.content.rows.tolist() == [2, -1, 0]
    assert ready.content.reasons == {1: "no_vector"}
    assert ready.unknown_keys == 1
    assert ready.content.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64())])
def test_a_null_vector_is_not_finite(tmp_path, kind):
    path = save_table(tmp_path / "x.parquet", KEYS, [[1, 2], None, [5, 6]], kind)
    vectors = read_ready(path, "audio", KEYS).content.vectors
    assert np.isnan(vectors[1]).all()
    assert vectors[2].tolist() == [5, 6]


def test_fixed_size_lists_are_read(tmp_path):
    path = save_table(
        tmp_path / "x.parquet", KEYS, [[1, 2], None, [5, 6]], pa.list_(pa.float32(), 2)
    )
    assert read_ready(path, "audio", KEYS).content.vectors[2].tolist() == [5, 6]


def save_amazon(path, keys):
    record = np.dtype([("key", "S10"), ("vector", "<f4", (4096,))])
    rows = [(key.encode(), np.full(4096, place)) for place, key in enumerate(keys, 1)]
    path.write_bytes(np.array(rows, record).tobytes())
    return path


def test_picture_features_as_published_with_the_reviews_of_2014_are_matched_by_key(tmp_path):
    keys = ["B000000003", "B000000009", "B000000001", "B000000003"]
    path = save_amazon(tmp_path / "image_features_Electronics.b", keys)
    ready = read_ready(path, "image", ["B000000001", "B000000002", "B000000003"])
    assert ready.content.rows.tolist() == [2, -1, 0]
    assert ready.content.reasons == {1: "no_vector"}
    assert ready.unknown_keys == 1
    assert ready.content.vectors[ready.content.rows[[0, 2]]].max(axis=1).tolist() == [3, 1]
    assert isinstance(ready.content.vectors, np.memmap)


@pytest.mark.parametrize("left", [0, 10, 16_393, 16_395])
def test_picture_features_that_break_off_are_refused(tmp_path, left):
    path = save_amazon(tmp_path / "x.b", ["B000000001", "B000000002"])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match=f"{left} bytes, no whole number of records"):
        read_ready(path, "image", ["B000000001"])


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.eye(4)[:, :3], r"4 rows, the catalogue 3 items.*key and vector"),
        (np.zeros(3), r"shape \(3,\); wanted numbers of shape \(3, width\)"),
        (np.zeros((3, 0)), "wanted numbers"),
        (np.array([["x"], ["y"], ["z"]]), "wanted numbers"),
        (np.full((3, 2), np.nan), "no finite, non-zero vector for any of the 3 items"),
        (np.zeros((3, 2)), "no finite, non-zero"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(tmp_path, array, says):
    with pytest.raises(DataError, match=says):
        read_ready(save(tmp_path / "x.npy", array), "audio", KEYS)


def test_a_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}, {}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        read_ready(tmp_path / "x.npy", "audio", KEYS)


def test_a_truncated_array_is_refused(tmp_path):
    path = save(tmp_path / "x.npy", np.eye(3))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        read_ready(path, "audio", KEYS)


@pytest.mark.parametrize(
    ("keys", "vectors", "says"),
    [
        (KEYS, [[1.0], [1.0, 2.0], [3.0]], r"widths \[1, 2\]"),
        (["a", "a", "b"], [[1.0], [2.0], [3.0]], "stands twice"),
        (["x", "y", "z"], [[1.0], [2.0], [3.0]], "no finite, non-zero vector for any"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, keys, vectors, says):
    with pytest.raises(DataError, match=says):
        read_ready(save_table(tmp_path / "x.parquet", keys, vectors), "audio", KEYS)


def test_a_table_without_the_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="columns key"):
        read_ready(tmp_path / "x.parquet", "audio", KEYS)


def test_a_missing_file_and_an_unknown_kind_are_named(tmp_path):
    with pytest.raises(DataError, match="no file"):
        read_ready(tmp_path / "x.npy", "audio", KEYS)
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(DataError, match="must end in"):
        read_ready(tmp_path / "x.csv", "audio", KEYS)
