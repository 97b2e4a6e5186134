"""Exported lists."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import files, schema, scoring
from pipeline.artifacts import Store
from pipeline.errors import DataError
from pipeline.evaluate import export
from pipeline.evaluate.export import Export, export_top_k, write_top_k
from pipeline.evaluate.protocol import Rules
from tests import worlds


@pytest.fixture
def planted(tmp_path):
    world, store = worlds.planted(), Store(tmp_path / "store")
    return world, worlds.tables(store, world), worlds.model(store, world)


def seen_of(world, splits):
    kept = np.isin(world.split, splits)
    return {(f"u{u}", f"i{i}") for u, i in zip(world.users[kept], world.items[kept], strict=True)}


def pairs_of(table):
    return {*zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True)}


class TestTable:
    def test_schema_and_ranks(self, planted):
        _, tables, model = planted
        table = export_top_k(tables, model, Export(k=7))
        assert table.schema == schema.TOP_K
        assert table["rank"].to_pylist() == [*range(1, 8)] * (len(table) // 7)

    def test_scores_fall_within_a_list(self, planted):
        _, tables, model = planted
        scores = export_top_k(tables, model, Export(k=7))["score"].to_numpy().reshape(-1, 7)
        assert (np.diff(scores, axis=1) <= 0).all()

    def test_one_list_for_each_user_that_can_be_evaluated(self, planted):
        world, tables, model = planted
        users = {*export_top_k(tables, model, Export(k=3))["user_id"].to_pylist()}
        assert users == {f"u{u}" for u in range(world.n_users) if u != world.cold_user}

    @pytest.mark.parametrize(
        ("split", "mask", "masked", "unmasked"),
        [
            ("test", "train", [0], [1, 2]),
            ("test", "train+validation", [0, 1], [2]),
            ("validation", "train", [0], [1, 2]),
            ("validation", "train+validation", [0], [1, 2]),
        ],
    )
    def test_what_is_masked(self, planted, split, mask, masked, unmasked):
        """With k of the whole catalogue everything stands in the list but what is masked."""
        world, tables, model = planted
        pairs = pairs_of(export_top_k(tables, model, Export(split, 1000, Rules(mask))))
        assert not pairs & seen_of(world, masked)
        assert seen_of(world, unmasked) <= pairs

    def test_only_candidates(self, planted):
        world, tables, model = planted
        table = export_top_k(tables, model, Export("test", 1000, Rules(candidates="train")))
        assert not {f"i{i}" for i in world.warm_items} & {*table["item_id"].to_pylist()}

    @pytest.mark.parametrize(
        "wrong", [Export("tset"), Export("train"), Export(rules=Rules("tests"))]
    )
    def test_a_wrong_name_is_explained(self, planted, wrong):
        with pytest.raises(DataError, match="one of"):
            export_top_k(*planted[1:], wrong)


class TestFile:
    def test_the_file_is_the_table(self, planted, tmp_path, monkeypatch):
        """Also when it is written in many blocks."""
        _, tables, model = planted
        whole = export_top_k(tables, model, Export(k=5))
        blocks = scoring.blocks
        monkeypatch.setattr(scoring, "blocks", lambda users, items: blocks(users, 1 << 26))
        users = write_top_k(tmp_path / "top.parquet", tables, model, Export(k=5))
        assert pq.ParquetFile(tmp_path / "top.parquet").num_row_groups == users > 10
        written = files.read_table(tmp_path / "top.parquet")
        assert written.drop(["score"]).equals(whole.drop(["score"]))
        np.testing.assert_allclose(written["score"], whole["score"], rtol=1e-5, atol=1e-6)

    def test_a_failure_leaves_nothing(self, planted, tmp_path, monkeypatch):
        batch = export_top_k(*planted[1:], Export(k=2)).to_batches()[0]

        def breaks(*_):
            yield batch
            raise KeyboardInterrupt

        monkeypatch.setattr(export, "top_k_batches", breaks)
        out = tmp_path / "out"
        out.mkdir()
        with pytest.raises(KeyboardInterrupt):
            write_top_k(out / "top.parquet", *planted[1:], Export(k=2))
        assert [*out.iterdir()] == []

    def test_nobody_to_export_for(self, tmp_path):
        world = worlds.planted()
        world.split[:] = schema.TRAIN
        store = Store(tmp_path / "store")
        tables, model = worlds.tables(store, world), worlds.model(store, world)
        with pytest.raises(DataError, match="nobody to export lists for"):
            write_top_k(tmp_path / "top.parquet", tables, model, Export())
        assert not (tmp_path / "top.parquet").exists()
