"""What is written is read back, the same value makes the same bytes, and pickles are refused."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline import files
from pipeline.errors import ConfigError, DataError
from pipeline.ids import UNKNOWN, IdMap
from pipeline.registry import Registry


class TestFiles:
    def test_equal_values_make_equal_bytes(self, tmp_path):
        matrix = sp.random(40, 30, density=0.2, format="csr", rng=np.random.default_rng(0))
        table = pa.table({"key": ["a", "b"], "n": [1, 2]})
        for name in "ab":
            files.write_matrix(tmp_path / f"{name}.npz", matrix.copy())
            files.write_array(tmp_path / f"{name}.npy", np.arange(9))
            files.write_table(tmp_path / f"{name}.parquet", table)
        for suffix in ("npz", "npy", "parquet"):
            paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
            assert paths[0].read_bytes() == paths[1].read_bytes()

    def test_a_matrix_is_sorted_unless_its_order_means_something(self, tmp_path):
        ranked = sp.csr_matrix(
            (np.array([0.9, 0.5, 0.1]), np.array([2, 0, 1]), np.array([0, 3])), shape=(1, 3)
        )
        files.write_matrix(tmp_path / "r.npz", ranked, ranked=True)
        assert files.read_matrix(tmp_path / "r.npz").indices.tolist() == [2, 0, 1]
        files.write_matrix(tmp_path / "s.npz", ranked)
        assert files.read_matrix(tmp_path / "s.npz").indices.tolist() == [0, 1, 2]

    def test_an_array_in_column_order_is_written_in_row_order(self, tmp_path):
        files.write_array(tmp_path / "a.npy", np.asfortranarray(np.arange(6).reshape(2, 3)))
        assert files.read_array(tmp_path / "a.npy").flags.c_contiguous

    def test_pickled_arrays_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="allow_pickle=False"):
            files.write_array(tmp_path / "a.npy", np.array([{}]))
        np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
        with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
            files.read_array(tmp_path / "b.npy", mapped=False)

    def test_json_refuses_what_is_not_a_number(self, tmp_path):
        with pytest.raises(ValueError, match="not JSON compliant"):
            files.write_json(tmp_path / "a.json", {"x": float("inf")})

    def test_lines_are_appended_after_a_torn_one(self, tmp_path):
        path = tmp_path / "a.jsonl"
        files.append_line(path, {"n": 1})
        files.append_line(path, {"n": 2})
        assert files.read_lines(path) == [{"n": 1}, {"n": 2}]
        path.write_text(path.read_text() + '{"n":')
        files.append_line(path, {"n": 3})
        assert path.read_text().splitlines()[-1] == '{"n": 3}'


KEYS = st.lists(st.text(st.characters(exclude_characters="\0"), max_size=6), unique=True)


class TestIdMap:
    @given(KEYS)
    def test_keys_and_rows_go_round(self, keys):
        ids = IdMap.of(keys)
        assert ids.rows(keys).tolist() == [*range(len(keys))]
        assert [str(key) for key in ids.keys] == keys

    @given(KEYS, st.text(st.characters(exclude_characters="\0"), max_size=9))
    def test_a_key_that_is_not_there_is_unknown(self, keys, other):
        assert IdMap.of(keys).row(other) == (keys.index(other) if other in keys else UNKNOWN)

    def test_a_key_that_stands_twice_is_refused(self):
        with pytest.raises(DataError, match="key 'b' stands twice"):
            IdMap.of(["b", "a", "b"])


class TestRegistry:
    def test_an_unknown_name_suggests_and_lists(self):
        known: Registry[int] = Registry("encoder")
        known.register("minilm")(1)
        known.register("clip")(2)
        with pytest.raises(ConfigError, match=r"unknown encoder 'minilmm' \(did you mean 'minilm'"):
            known["minilmm"]
        assert [*known] == ["clip", "minilm"] and known["clip"] == 2

    def test_a_name_is_taken_once(self):
        known: Registry[int] = Registry("encoder")
        known.register("clip")(1)
        with pytest.raises(ConfigError, match="'clip' is registered twice"):
            known.register("clip")(2)


@given(hnp.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), hnp.array_shapes()))
def test_arrays_go_round(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    files.write_array(path, array)
    back = files.read_array(path)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
