"""FREEDOM: its frozen graph, which edges a step leaves out, and items without interactions."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import MODELS, Inputs, Options
from pipeline.models.freedom import frozen_graph, thinned, with_loops
from pipeline.models.linear import symmetric_weights
from pipeline.train.active import edges_of
from tests import worlds
from tests.train_worlds import inputs_of

WORLD = worlds.planted()
INPUTS = inputs_of(WORLD)
WEIGHTS = {"text": 0.9, "image": 0.1}


def freedom(inputs: Inputs = INPUTS, seed: int = 0, **options):
    values = {"width": 8, "layers": 2, "relation_weights": WEIGHTS, **options}
    return MODELS["freedom"](inputs, Options(**values), seed)


def noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def degrees_of(edges, values) -> tuple[torch.Tensor, torch.Tensor]:
    dense = edges.matrix(values).to_dense()
    return dense.sum(dim=1), dense.sum(dim=0)


patterns = st.tuples(st.integers(0, 999), st.integers(1, 9), st.integers(1, 9)).map(
    lambda s: edges_of(
        sp.random(s[1], s[2], density=0.5, format="csr", rng=np.random.default_rng(s[0]))
    )
)


@given(patterns, st.floats(0.05, 0.95), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_thinning_keeps_a_share_and_normalises_it_anew(edges, chance, seed):
    rows, columns = edges.indptr.diff().float(), edges.transposed_indptr.diff().float()
    weights = symmetric_weights(edges, rows, columns)
    found = thinned(edges, weights, chance, noise(seed))
    kept = (found > 0).float()
    assert kept.sum() == (max(1, round(edges.count * (1 - chance))) if edges.count else 0)
    torch.testing.assert_close(found, kept * symmetric_weights(edges, *degrees_of(edges, kept)))
    assert torch.equal(found, thinned(edges, weights, chance, noise(seed)))


def test_thinning_leaves_out_edges_of_popular_items_and_busy_users():
    dense = np.zeros((9, 9))
    dense[:, 0] = dense[0, :] = 1
    dense[8, 8] = 1
    edges = edges_of(sp.csr_matrix(dense))
    weights = symmetric_weights(edges, edges.indptr.diff(), edges.transposed_indptr.diff())
    draws = torch.stack([thinned(edges, weights, 0.5, noise(s)) > 0 for s in range(300)])
    share = draws.float().mean(dim=0)
    hub = share[(edges.rows == 0) & (edges.indices == 0)]
    quiet = share[(edges.rows == 8) & (edges.indices == 8)]
    assert hub < 0.5 < quiet


def test_dropout_acts_in_steps_alone():
    model = freedom(edge_dropout=0.5, init_std=1.0)
    assert torch.equal(model().users, freedom(init_std=1.0)().users)
    assert not torch.equal(model(noise(0)).users, model(noise(1)).users)
    assert torch.equal(model(noise(0)).users, model(noise(0)).users)
    near = [model._from_neighbours(model.items) for _ in range(2)]
    assert torch.equal(*near), "the item graph is frozen"


def test_loops_are_added_where_rows_stay_sorted():
    edges = edges_of(sp.csr_matrix(np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]])))
    found = with_loops(edges)
    dense = found.matrix(torch.ones(found.count)).to_dense()
    assert dense.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 1]]
    assert found.indices.tolist() == [0, 1, 2, 0, 1, 2]


def test_shares_of_the_frozen_graph_sum_to_one():
    """One modality alone counts fully, two by .9 and .1; an item of one neighbour keeps half."""
    single = frozen_graph(INPUTS.relations, {"text": 0.9})
    both = frozen_graph(INPUTS.relations, WEIGHTS)
    assert [len(single), len(both)] == [1, 2]
    assert not frozen_graph(INPUTS.relations, {"text": 0.0})
    assert not frozen_graph({}, WEIGHTS)
    image, text = both
    torch.testing.assert_close(text.weights, 0.9 * single[0].weights)
    alone = (image.edges.indptr.diff() == 1).nonzero().squeeze(1)
    assert WORLD.no_picture in alone, "an item without a picture is its own only neighbour"
    own = (image.edges.rows == WORLD.no_picture) & (image.edges.indices == WORLD.no_picture)
    assert image.weights[own].item() == pytest.approx(0.1)


def test_the_unit_of_a_relation_does_not_matter():
    louder = {n: dataclasses.replace(r, weights=7 * r.weights) for n, r in INPUTS.relations.items()}
    other = dataclasses.replace(INPUTS, relations=louder)
    assert torch.equal(freedom()().items, freedom(other)().items)


def test_without_item_graph_it_is_lightgcn():
    bare = Inputs(INPUTS.user_item)
    lightgcn = MODELS["lightgcn"](bare, Options(width=8, layers=2), 0)
    ours, theirs = freedom(bare).outputs().vectors, lightgcn.outputs().vectors
    for name in ("user_vectors", "item_vectors"):
        torch.testing.assert_close(ours[name], theirs[name])
    hot = bare.hot
    torch.testing.assert_close(ours["fold_in"][hot], theirs["fold_in"][hot])


def test_vectors_are_not_needed():
    graphs_alone = Inputs(INPUTS.user_item, INPUTS.relations)
    assert torch.equal(freedom(graphs_alone)().items, freedom()().items)


def test_a_warm_item_is_its_neighbours_ids_and_folds_in_as_them():
    model = freedom(init_std=1.0)
    vectors = model.outputs().vectors
    warm = torch.from_numpy(WORLD.warm_items)
    with torch.no_grad():
        near = model._from_neighbours(model.items * INPUTS.hot.unsqueeze(1))[warm]
    assert near.any(dim=1).all()
    torch.testing.assert_close(vectors["item_vectors"][warm], near)
    added = vectors["fold_in"][warm]
    assert torch.cosine_similarity(added, near).min() > 0.999
    hot = vectors["fold_in"][INPUTS.hot].norm(dim=1)
    assert added.norm(dim=1).max() < 2 * hot.max()


def test_an_id_nobody_trained_stays_out():
    """The id of an item without interactions reaches neither it nor its neighbours."""
    model, before = freedom(init_std=1.0), freedom(init_std=1.0)().items
    with torch.no_grad():
        model.items[WORLD.warm_items] = 99.0
    assert torch.equal(model().items, before)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_item_layers_are_steps_over_the_item_graph(layers):
    model = freedom(item_layers=layers)
    ids = torch.randn(WORLD.n_items, 8, generator=noise(0))
    dense = sum(r.edges.matrix(r.weights).to_dense() for r in model.frozen)
    want = torch.linalg.matrix_power(dense, layers) @ ids
    torch.testing.assert_close(model._from_neighbours(ids), want)


def test_factors_take_edges_out_in_both_directions():
    model = freedom(init_std=1.0)
    alone = int(INPUTS.user_item.indices[0])
    user = int(INPUTS.user_item.rows[0])
    factors = torch.ones(INPUTS.user_item.count)
    factors[INPUTS.user_item.rows == user] = 0
    found = model(None, factors)
    torch.testing.assert_close(found.users[user], model.users[user] / 3)
    assert not torch.equal(found.items[alone], model().items[alone])
