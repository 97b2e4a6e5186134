"""The reference load in small: files of the real names, content that tells, equal bytes."""

from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.config import DataConfig, load_config
from pipeline.etl.generate import AmazonSpec, looks, make_electronics
from pipeline.etl.generate.degrees import degrees
from pipeline.etl.generate.prose import Writer, open_shop
from pipeline.etl.generate.world import plant
from tests.etl_worlds import run
from tests.reading import read

SPEC = AmazonSpec(users=150, items=900, interactions=1_300, seed=5)
WIDTH = 48
CONFIG = Path(__file__).parents[2] / "configs" / "amazon-electronics.yaml"


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    return make_electronics(folder, SPEC, WIDTH)


@pytest.fixture(scope="module")
def world():
    return plant(AmazonSpec.scaled(2014, 1 / 32))


@pytest.fixture(scope="module")
def written(world):
    """Rows of the first thousand items, and their words."""
    shop = open_shop(np.random.default_rng(1), len(world.kinds))
    rows = np.arange(1_000)
    return rows, Writer(world, shop, np.random.default_rng(2)).descriptions(rows)


def bytes_below(folder) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_the_files_have_the_names_of_the_real_ones_and_every_record_is_read(load):
    assert load["reviews"].name == "reviews_Electronics_5.json.gz"
    assert load["metadata"].name == "meta_Electronics.json.gz"
    found = read("amazon-reviews", interactions=load["reviews"], items=load["metadata"])
    assert (found.records, found.rejects) == (1_300 + 909, [])
    assert len(found.interactions) == 1_300
    assert len({row["key"] for row in found.items}) == 900


def test_row_i_of_the_vectors_is_item_i_of_the_tables(load, tmp_path):
    data = DataConfig(
        format="amazon-reviews", interactions=load["reviews"], items=load["metadata"],
        images=load["pictures"], vectors={"image": load["vectors"]},
    )  # fmt: skip
    result = run(tmp_path, data, user_core=5, item_core=5, split={"rule": "random"})
    items, vectors = result.rows("items"), np.load(load["vectors"])
    assert vectors.shape == (len(items), WIDTH)
    assert vectors.dtype == np.float16
    has_vector = vectors.any(axis=1)
    assert [row["image"] is not None for row in items] == has_vector.tolist()
    assert 0.9 < has_vector.mean() < 1
    norms = np.linalg.norm(vectors[has_vector].astype(np.float32), axis=1)
    np.testing.assert_allclose(norms, 1, atol=2e-3)
    kinds = np.array([row["categories"][2] for row in items])[has_vector]
    unit = vectors[has_vector].astype(np.float32)
    nearest = (unit @ unit.T - 2 * np.eye(len(unit))).argmax(axis=1)
    shares = np.array(list(Counter(kinds).values())) / len(kinds)
    assert (kinds[nearest] == kinds).mean() > 5 * (shares**2).sum()


def test_some_items_have_a_real_picture_found_by_their_key(load):
    found = read(
        "amazon-reviews", interactions=load["reviews"], items=load["metadata"],
        images=load["pictures"],
    )  # fmt: skip
    pictures = sorted(p.name for p in load["pictures"].iterdir())
    named = sorted({row["image"] for row in found.items if row["image"]} & {*pictures})
    assert named == pictures
    assert len(pictures) >= 16
    for name in pictures:
        with Image.open(BytesIO((load["pictures"] / name).read_bytes())) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (300, 300), "RGB")


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(load, tmp_path):
    again = make_electronics(tmp_path / "again", SPEC, WIDTH)
    assert bytes_below(tmp_path / "again") == bytes_below(load["reviews"].parent)
    other = make_electronics(tmp_path / "other", AmazonSpec(**{**vars(SPEC), "seed": 6}), WIDTH)
    for what in ("reviews", "metadata", "vectors"):
        assert again[what].read_bytes() != other[what].read_bytes()


def test_blocks_leave_no_trace_in_the_vectors(world, tmp_path, monkeypatch):
    looks.write_vectors(tmp_path / "a.npy", world, 0, 16)
    monkeypatch.setattr(looks, "_BLOCK", 1_000)
    looks.write_vectors(tmp_path / "b.npy", world, 0, 16)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_texts_have_the_lengths_of_a_catalogue_and_are_distinct(written):
    _, texts = written
    lengths = np.array([len(text.split()) for text in texts])
    assert len(set(texts)) == len(texts)
    assert 40 < lengths.mean() < 65
    assert lengths.max() > 4 * lengths.mean()
    vocabulary = Counter(word.lower().strip(".") for text in texts for word in text.split())
    assert len(vocabulary) > 1_000
    assert vocabulary.most_common(1)[0][0] == "the"


def test_words_tell_the_kind_and_within_a_kind_the_style(world, written):
    rows, texts = written
    bags = [Counter(word.lower().strip(".") for word in text.split()) for text in texts]
    names = sorted({word for bag in bags for word in bag})
    counts = np.array([[bag[name] for name in names] for bag in bags], dtype=np.float64)
    weighed = counts * np.log(len(rows) / (counts > 0).sum(axis=0))
    unit = weighed / np.linalg.norm(weighed, axis=1, keepdims=True)
    cosine = unit @ unit.T
    a, b = np.triu_indices(len(rows), 1)
    same = world.kind[rows][a] == world.kind[rows][b]
    assert cosine[a, b][same].mean() > 1.5 * cosine[a, b][~same].mean()
    away = ((world.style[rows][a] - world.style[rows][b]) ** 2).sum(axis=1)
    assert np.corrcoef(away[same], cosine[a, b][same])[0, 1] < -0.1
    assert np.corrcoef(away[~same], cosine[a, b][~same])[0, 1] < -0.05


@given(
    st.integers(1, 300), st.integers(1, 60), st.integers(1, 40), st.floats(1.1, 4.0),
    st.integers(0, 8),
)  # fmt: skip
def test_degrees_have_their_sum_and_their_bounds(count, mean, room, tail, least):
    most = mean + room
    found = degrees(count * mean, count, most, tail, least)
    assert found.sum() == count * mean
    assert len(found) == count
    assert found.min() >= min(least, mean)
    assert found.max() <= most
    assert (np.diff(found) >= 0).all()


def test_degrees_fall_off_as_a_power_law():
    found = degrees(1_689_188, 63_001, 4_915, 1.5, 5)
    assert (found.min(), found.max()) == (5, 4_915)
    assert 9 <= np.median(found) <= 14
    above = [(found > n).sum() for n in (100, 200, 400, 800)]
    steps = np.diff(np.log2(above))
    assert (steps < -1.1).all()
    assert (steps > -2.0).all()


def test_the_shipped_configuration_reads_the_load(load, tmp_path):
    config = load_config(
        CONFIG, [
            f"data.interactions={load['reviews']}", f"data.items={load['metadata']}",
            f"data.images={load['pictures']}", f"data.vectors.image={load['vectors']}",
        ],
    )  # fmt: skip
    result = run(tmp_path, config.data, **config.etl.model_dump())
    assert result.report["counts"] == {"users": 150, "items": 900, "interactions": 1_300}
    assert result.report["records"]["rejected"] == 9
