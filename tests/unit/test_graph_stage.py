"""The graph stage on the planted world: its files, its facts and its refusals."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline import files, measure
from pipeline.artifacts import Store
from pipeline.config import DataConfig, GraphConfig
from pipeline.errors import ArtifactError, DataError
from pipeline.graph import stage
from pipeline.graph.given import read_graph
from pipeline.job import Job
from pipeline.promises.content import graphs as promises_of
from tests import worlds
from tests.graph_worlds import best, rows_of, similarities


@pytest.fixture
def world():
    return worlds.planted()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def run(store, world, data=None, **settings):
    """Return the published graphs of the world's tables and embeddings."""
    tables, embeddings = worlds.tables(store, world), worlds.embeddings(store, world)
    data = DataConfig(format="demo", **(data or {}))
    facts = {}

    def write(into: Path) -> None:
        with measure.task("graph") as task:
            job = Job(
                config=GraphConfig(**settings), data=data, into=into, scratch=into.parent,
                inputs={"tables": tables, "embeddings": embeddings}, task=task,
            )  # fmt: skip
            facts.update(stage.run(job))

    return worlds.publish(store, "graphs", "96a9f5", write, facts)


def test_every_file_and_only_those(store, world):
    graphs = run(store, world, neighbors=5)
    assert sorted(graphs.manifest["files"]) == [
        "cooccurrence.npz", "image_knn.npz", "statistics.json", "text_knn.npz", "user_item.npz",
    ]  # fmt: skip
    assert graphs.json("statistics.json") == graphs.facts


def few_active(world):
    """The world with interactions of every third item alone."""
    kept = world.items % 3 == 0
    parts = {name: getattr(world, name)[kept] for name in ("users", "items", "split")}
    return replace(world, **parts)


def test_where_few_items_have_interactions_there_are_the_nearest_of_these(store, world):
    world = few_active(world)
    graphs = run(store, world, neighbors=5, active_neighbors=4)
    active = np.unique(world.matrix().nonzero()[1])
    for modality in ("text", "image"):
        graph = graphs.matrix(f"{modality}_active.npz")
        assert set(graph.indices) <= {*active}
        alike = similarities(world.vectors[modality], world.present[modality], active)
        for have, want in zip(rows_of(graph), best(alike, 4), strict=True):
            np.testing.assert_allclose(have, want, atol=1e-5)
        facts = graphs.facts[f"{modality}_active"]
        assert facts["exact"] and facts["neighbors"] == 4 and facts["edges"] == graph.nnz
    assert all(check.kept for check in promises_of(graphs))


def test_a_neighbour_without_interactions_breaks_the_promise(store, world):
    graphs = run(store, few_active(world))
    wrong = graphs.matrix("text_active.npz")
    wrong.indices[0] = 1
    files.write_matrix(graphs.path / "text_active.npz", wrong, ranked=True)
    broken = [check for check in promises_of(graphs) if not check.kept]
    assert [check.rule for check in broken] == ["names items with interactions alone"]


@pytest.mark.parametrize("settings", [{"active_neighbors": 0}, {}])
def test_otherwise_there_are_none(store, world, settings):
    graphs = run(store, few_active(world) if settings else world, **settings)
    assert not [name for name in graphs.manifest["files"] if "active" in name]


def test_a_ready_made_graph_has_no_active_one(store, world, tmp_path):
    sp.save_npz(tmp_path / "given.npz", sp.eye(64, k=1, format="csr"))
    graphs = run(store, few_active(world), {"graphs": {"text": tmp_path / "given.npz"}})
    assert graphs.modalities("_active.npz") == ["image"]


def test_only_training_interactions_enter(store, world):
    graphs = run(store, world)
    assert (graphs.matrix("user_item.npz") != world.matrix()).nnz == 0
    train = world.matrix().toarray()
    for item, other in zip(*graphs.matrix("cooccurrence.npz").nonzero(), strict=True):
        assert train[:, item] @ train[:, other] >= 2


def test_neighbours_are_the_slow_ones(store, world):
    graphs = run(store, world, neighbors=5)
    for modality, vectors in world.vectors.items():
        slow = worlds.knn(vectors, world.present[modality], 5)
        assert abs(graphs.matrix(f"{modality}_knn.npz") - slow).max() < 1e-5


def test_weights_fall_within_a_row_of_every_item_graph(store, world):
    graphs = run(store, world)
    for name in ("text_knn.npz", "image_knn.npz", "cooccurrence.npz"):
        matrix = graphs.matrix(name)
        for row in range(matrix.shape[0]):
            weights = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
            assert (np.diff(weights) <= 0).all()


def test_planted_clusters_show_in_the_statistics(store, world):
    facts = run(store, world, neighbors=3).facts
    assert facts["text_knn"]["cross_category_share"] < 0.1
    assert facts["text_knn"]["self_loops"] == 0
    assert facts["text_knn"]["exact"] is True
    assert facts["image_knn"]["items"] == world.n_items - 2
    assert facts["user_item"]["users_without"] == 1


def test_shuffled_categories_cross_as_often_as_chance(store, world):
    order = np.random.default_rng(0).permutation(world.n_items)
    world.item_cluster[:] = world.item_cluster[order]
    assert run(store, world, neighbors=3).facts["text_knn"]["cross_category_share"] > 0.5


def test_no_modality_at_all(store, world):
    world.vectors.clear()
    graphs = run(store, world)
    assert "text_knn.npz" not in graphs.manifest["files"]
    assert graphs.has("cooccurrence.npz")


def test_a_modality_that_every_item_lacks_makes_an_empty_graph(store, world):
    world.present["image"][:] = False
    world.vectors["image"][:] = 0
    graphs = run(store, world)
    assert graphs.matrix("image_knn.npz").nnz == 0
    assert graphs.facts["image_knn"]["items"] == 0


def test_a_ready_made_graph_takes_the_place_of_ours(store, world, tmp_path):
    path = tmp_path / "text.npz"
    ring = sp.eye(world.n_items, k=1, format="csr") + sp.eye(world.n_items, format="csr")
    sp.save_npz(path, sp.csr_matrix(ring, dtype=np.float32))
    graphs = run(store, world, data={"graphs": {"text": path, "audio": path}})
    assert graphs.facts["text_knn"]["source"] == graphs.facts["audio_knn"]["source"] == "given"
    assert graphs.matrix("text_knn.npz").nnz == world.n_items - 1
    assert graphs.facts["image_knn"]["source"] == "cosine"


def test_a_ready_made_graph_of_other_items_is_refused(store, world, tmp_path):
    sp.save_npz(tmp_path / "text.npz", sp.eye(3, format="csr"))
    with pytest.raises(DataError, match="row = item is wanted"):
        run(store, world, data={"graphs": {"text": tmp_path / "text.npz"}})


def test_a_vector_that_is_not_finite_names_its_modality(store, world):
    world.vectors["image"][0, 0] = np.nan
    with pytest.raises(ArtifactError, match="embeddings of image: 1 present vectors"):
        run(store, world)


def test_embeddings_of_other_tables_are_refused(store, world):
    world.vectors["text"], world.present["text"] = np.eye(3, dtype=np.float32), np.ones(3, bool)
    with pytest.raises(ArtifactError, match="3 vectors and 3 present flags; the tables have 64"):
        run(store, world)


@pytest.mark.shared_data
def test_the_published_graphs_of_amazon_baby(store, world):
    shared = Path(os.environ.get("PLOTPOINTE_SHARED", Path(__file__).parents[2] / "../shared"))
    path = shared / "data" / "amazon-baby" / "text_knn.npz"
    if not path.exists():
        pytest.skip("amazon-baby is not on this machine")

    graph = read_graph(path, 7050, 10)
    assert set(np.diff(graph.indptr)) == {9, 10}, (
        "self was one of ten, unless a twin took its place"
    )
    assert not graph.diagonal().any()
