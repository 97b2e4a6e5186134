"""What the files of a modality hold."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.arrays import unit_rows
from pipeline.embed import content
from pipeline.embed.content import Content, write_modality

KEYS = [f"k{i}" for i in range(5)]
VECTORS = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [1e300, 1e300]])
ROWS = np.array([0, 1, 2, -1, 3])


@pytest.fixture
def written(tmp_path):
    return write_modality(tmp_path, "text", Content(VECTORS, ROWS, {3: "no_text"}), KEYS)


def test_rows_are_unit_where_present_and_zero_where_not(tmp_path, written):
    vectors = np.load(tmp_path / "text.npy")
    half = np.sqrt(0.5)
    assert np.allclose(vectors, [[0.6, 0.8], [0, 0], [0, 0], [0, 0], [half, half]])
    assert np.load(tmp_path / "text_present.npy").tolist() == [True, False, False, False, True]
    assert vectors.dtype == np.float32


def test_every_absent_item_has_a_reason(tmp_path, written):
    rows = pq.read_table(tmp_path / "text_missing.parquet").to_pylist()
    assert [(r["item"], r["key"], r["reason"]) for r in rows] == [
        (1, "k1", "zero_vector"), (2, "k2", "not_finite"), (3, "k3", "no_text")]  # fmt: skip
    assert written.missing == {"no_text": 1, "not_finite": 1, "zero_vector": 1}
    assert (written.present, written.width, written.dtype) == (2, 2, "float32")


def test_a_reason_given_beforehand_wins_over_a_vector(tmp_path):
    rows = np.array([0, 0])
    write_modality(tmp_path, "image", Content(VECTORS, rows, {0: "undecodable:damaged"}), KEYS)
    assert np.load(tmp_path / "image_present.npy").tolist() == [False, True]
    assert not np.load(tmp_path / "image.npy")[0].any()


def test_a_modality_no_item_has_leaves_only_the_list(tmp_path):
    rows = np.full(5, -1)
    nothing = Content(np.zeros((0, 1)), rows, dict.fromkeys(range(5), "no_image"))
    written = write_modality(tmp_path, "image", nothing, KEYS)
    assert [p.name for p in tmp_path.iterdir()] == ["image_missing.parquet"]
    assert (written.present, written.width, written.missing) == (0, None, {"no_image": 5})


def test_an_empty_catalogue_is_no_error(tmp_path):
    written = write_modality(tmp_path, "image", Content(VECTORS, np.array([], int), {}), [])
    assert written.present == 0


def test_big_vectors_are_kept_at_half_width(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "BIG_BYTES", 5 * 2 * 4 - 1)
    written = write_modality(tmp_path, "text", Content(VECTORS, ROWS, {3: "no_text"}), KEYS)
    vectors = np.load(tmp_path / "text.npy")
    assert vectors.dtype == np.float16
    assert written.dtype == "float16"
    assert np.allclose(np.linalg.norm(vectors[[0, 4]].astype(float), axis=1), 1, atol=1e-3)


def test_blocks_do_not_change_the_result(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    mixed = Content(rng.normal(size=(50, 4)), rng.integers(-1, 50, 200), {})
    mixed = Content(
        mixed.vectors, mixed.rows, {int(i): "x" for i in np.flatnonzero(mixed.rows < 0)}
    )
    keys = [str(i) for i in range(200)]
    for name, step in (("a", 7), ("b", 1000)):
        monkeypatch.setattr(content, "_ROWS_AT_ONCE", step)
        write_modality(tmp_path, name, mixed, keys)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert (tmp_path / "a_present.npy").read_bytes() == (tmp_path / "b_present.npy").read_bytes()


def test_a_file_that_was_linked_elsewhere_is_not_written_to(tmp_path):
    write_modality(tmp_path, "text", Content(VECTORS, ROWS, {3: "no_text"}), KEYS)
    other = tmp_path / "artifact.npy"
    other.hardlink_to(tmp_path / "text.npy")
    before = other.read_bytes()
    write_modality(tmp_path, "text", Content(VECTORS[::-1], ROWS, {3: "no_text"}), KEYS)
    assert other.read_bytes() == before


def test_tiny_and_huge_rows_become_unit():
    unit, not_finite, zero = unit_rows(np.array([[1e-310, 0], [1e308, 1e308]]))
    assert np.allclose(np.linalg.norm(unit, axis=1), 1)
    assert not not_finite.any()
    assert not zero.any()
