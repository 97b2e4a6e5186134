"""A bundle opens whole or not at all, and knows whether its index still answers."""

import faiss
import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.artifacts import Store
from pipeline.errors import ArtifactError
from pipeline.ids import UNKNOWN
from serving.bundle import Bundle
from tests import worlds_bundle


def opened(tmp_path, **changes) -> Bundle:
    these = worlds_bundle.parts()
    for name, value in changes.items():
        setattr(these, name, value(getattr(these, name)) if callable(value) else value)
    store = Store(tmp_path)
    worlds_bundle.publish(store, these)
    return Bundle.open(store)


def test_a_bundle_opens_by_promotion_and_by_prefix(store):
    assert Bundle.open(store).fingerprint == worlds_bundle.FINGERPRINT
    assert Bundle.open(store, worlds_bundle.FINGERPRINT[:3]).model == "30de1"


def test_without_a_promoted_bundle_the_error_names_the_command(tmp_path):
    with pytest.raises(ArtifactError, match="plotpointe promote"):
        Bundle.open(Store(tmp_path))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("user_vectors", lambda a: a[:-1]),
        ("fold_in", lambda a: a[:, :-1]),
        ("hot", lambda a: a[:-1]),
        ("seen", lambda m: m[:, :-1]),
        ("canary_top", lambda a: a[:-1]),
        ("users", lambda t: t.slice(1)),
    ],
)
def test_parts_of_other_shapes_are_refused(tmp_path, name, change):
    with pytest.raises(ArtifactError, match=r"has shape .*Rebuild: plotpointe run"):
        opened(tmp_path, **{name: change})


def test_an_index_of_fewer_items_is_refused(tmp_path):
    short = faiss.IndexFlatIP(8)
    short.add(worlds_bundle.parts().item_vectors[:-1])
    with pytest.raises(ArtifactError, match=r"items\.faiss has shape \(63, 8\)"):
        opened(tmp_path, index=short)


@pytest.mark.parametrize("name", ["popular", "canary_users", "canary_top"])
def test_rows_outside_the_catalogue_are_refused(tmp_path, name):
    with pytest.raises(ArtifactError, match=f"{name}.npy names rows outside"):
        opened(tmp_path, **{name: lambda rows: rows + 1000})


def test_a_vector_that_is_not_finite_is_refused(tmp_path):
    def spoil(vectors):
        vectors[3, 2] = np.nan
        return vectors

    with pytest.raises(ArtifactError, match="not finite"):
        opened(tmp_path, item_vectors=spoil)


def test_a_graph_of_another_catalogue_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="graph text"):
        opened(tmp_path, graphs=lambda g: {**g, "text_knn": sp.csr_matrix((3, 3))})


def test_a_file_that_is_no_index_is_refused(tmp_path):
    store = Store(tmp_path)
    artifact = worlds_bundle.publish(store)
    index = artifact.path / "items.faiss"
    index.write_bytes(b"?" * index.stat().st_size)
    with pytest.raises(ArtifactError, match="not a FAISS index"):
        Bundle.open(store)


@pytest.mark.parametrize("name", ["items.faiss", "item_vectors.npy", "seen.npz", "items.parquet"])
def test_a_cut_or_lost_file_is_refused(tmp_path, name):
    store = Store(tmp_path)
    path = worlds_bundle.publish(store).path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=rf"{name} has \d+ bytes, the manifest says"):
        Bundle.open(store)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{name} has None bytes"):
        Bundle.open(store)


def test_an_audit_without_a_floor_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="recall_floor"):
        opened(tmp_path, audit={"k": worlds_bundle.K})


def test_the_canaries_are_found_again(bundle):
    check = bundle.self_check()
    assert check.ready and check.recall == 1.0 and check.reason is None


def test_an_index_of_other_vectors_is_not_ready_however_large_its_scores(tmp_path):
    wrong = faiss.IndexFlatIP(8)
    wrong.add(-100 * worlds_bundle.parts().item_vectors)
    check = opened(tmp_path, index=wrong).self_check()
    assert not check.ready and check.recall < 0.5
    assert "canaries" in check.reason


def test_without_canaries_nothing_is_ready(tmp_path):
    none = {"canary_users": lambda a: a[:0], "canary_top": lambda a: a[:0]}
    check = opened(tmp_path, **none).self_check()
    assert not check.ready and "no canary" in check.reason


def test_equal_items_in_another_order_do_not_unready_a_service(tmp_path):
    these = worlds_bundle.parts()
    twins = np.repeat(these.item_vectors[:8], 8, axis=0)
    queries = these.user_vectors[these.canary_users]
    last_first = np.argsort(-(queries @ twins.T), axis=1, kind="stable")[:, ::-1]
    exact = np.argsort(-(queries @ twins.T)[:, ::-1], axis=1, kind="stable")[:, :10]
    assert last_first.shape == (len(queries), 64)
    check = opened(tmp_path, item_vectors=twins, canary_top=63 - exact).self_check()
    assert check.ready


def test_tiers_of_items(bundle, parts):
    world = parts.world
    assert bundle.tiers[0] == "hot"
    assert bundle.tiers[int(world.warm_items[0])] == "warm"


def test_an_untrained_item_without_content_is_cold(tmp_path, parts):
    hot = parts.hot.copy()
    hot[parts.world.no_content] = False
    assert opened(tmp_path, hot=hot).tiers[parts.world.no_content] == "cold"


def test_seen_is_what_the_interactions_say(bundle, parts):
    for user in range(parts.world.n_users):
        assert bundle.seen_by(user).tolist() == sorted(
            parts.world.items[parts.world.users == user].tolist()
        )


def test_popularity_counts_every_user(bundle, parts):
    takers = bundle.takers
    assert takers.tolist() == np.asarray(parts.seen.sum(axis=0)).ravel().tolist()
    assert (np.diff(takers[bundle.by_popularity]) <= 0).all()
    assert sorted(bundle.by_popularity) == sorted(parts.popular)


class TestCatalogue:
    def test_items_keep_order_and_unknowns(self, bundle, parts):
        bare, third = bundle.catalogue.items(np.array([parts.world.no_content, 3]))
        assert (bare.key, bare.title, bare.name) == ("i5", None, "i5")
        assert (third.image, third.price) == (None, 3.0)
        assert third.categories == ("kind 3",)

    def test_no_rows_are_no_items(self, bundle):
        assert bundle.catalogue.items(np.empty(0, dtype=np.int64)) == []

    def test_search_looks_in_titles_and_at_the_start_of_keys(self, bundle):
        found = bundle.catalogue.search("THING 1 ")
        assert found.tolist() == [1]
        assert 12 in bundle.catalogue.search("i1").tolist()
        assert bundle.catalogue.search("no such thing").tolist() == []
        assert len(bundle.catalogue.search("")) == 64

    def test_search_takes_no_pattern(self, bundle):
        assert bundle.catalogue.search(".*").tolist() == []

    def test_a_missing_description_is_none(self, bundle, parts):
        assert bundle.catalogue.description(parts.world.no_content) is None
        assert bundle.catalogue.description(1) == "A thing of kind 1."

    def test_a_price_that_is_not_a_number_is_unknown(self, tmp_path):
        def spoil(items):
            at = items.column_names.index("price")
            prices = np.full(len(items), np.nan, dtype=np.float32)
            prices[1] = np.float32(19.99)
            return items.set_column(at, items.schema.field(at), [prices])

        catalogue = opened(tmp_path, items=spoil).catalogue
        assert [item.price for item in catalogue.items(np.array([0, 1]))] == [None, 19.99]

    def test_keys_longer_than_any_are_unknown(self, bundle):
        ids = bundle.catalogue.ids
        assert ids.rows(["i1", "i1" * 1000, "i", ""]).tolist() == [1, *[UNKNOWN] * 3]
