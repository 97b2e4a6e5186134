"""Sparse operators against dense twins, autograd's numerical check, and PyG."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import MODELS, Options
from pipeline.models.linear import symmetric_weights
from pipeline.models.sparse import (
    edge_scores,
    edge_scores_dense,
    edge_softmax,
    propagate,
    propagate_dense,
)
from tests import worlds
from tests.train_worlds import drawn, inputs_of, random_edges

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import GATv2Conv, LGConv, LightGCN


shapes = st.tuples(st.integers(0, 99), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))


@given(shapes)
@settings(max_examples=30, deadline=None)
def test_propagation_equals_the_dense_product(shape):
    seed, rows, columns, width = shape
    edges = random_edges(seed, rows, columns)
    values, x = drawn(seed, edges.count), drawn(seed + 1, columns, width)
    torch.testing.assert_close(propagate(edges, values, x), propagate_dense(edges, values, x))


@given(shapes)
@settings(max_examples=30, deadline=None)
def test_the_transpose_is_the_transpose(shape):
    seed, rows, columns, width = shape
    edges = random_edges(seed, rows, columns)
    values, x = drawn(seed, edges.count), drawn(seed + 1, rows, width)
    dense = torch.zeros(rows, columns)
    dense[edges.rows, edges.indices] = values
    there = propagate(edges.transpose, values[edges.permutation], x)
    torch.testing.assert_close(there, dense.T @ x)
    twice = edges.transpose.transpose
    assert torch.equal(twice.indices, edges.indices)
    assert torch.equal(twice.permutation, edges.permutation)


@given(shapes)
@settings(max_examples=30, deadline=None)
def test_edge_scores_equal_gathered_inner_products(shape):
    seed, rows, columns, width = shape
    edges = random_edges(seed, rows, columns)
    receivers, senders = drawn(seed, rows, width), drawn(seed + 1, columns, width)
    torch.testing.assert_close(
        edge_scores(edges, receivers, senders), edge_scores_dense(edges, receivers, senders)
    )


def test_gradients_of_propagation_are_the_numerical_ones():
    edges = random_edges(3)
    values = drawn(1, edges.count, dtype=torch.float64).requires_grad_()
    x = drawn(2, 5, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, y: propagate(edges, v, y), (values, x))


def test_gradients_of_edge_scores_are_the_numerical_ones():
    edges = random_edges(4)
    receivers = drawn(1, 7, 3, dtype=torch.float64).requires_grad_()
    senders = drawn(2, 5, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, s: edge_scores(edges, r, s), (receivers, senders))


def test_gradients_through_the_transpose_equal_the_dense_ones():
    edges = random_edges(5)
    values, x = drawn(1, edges.count).requires_grad_(), drawn(2, 7, 3)
    propagate(edges.transpose, values[edges.permutation], x).square().sum().backward()
    fast = values.grad.clone()
    values.grad = None
    transposed = edges.transpose
    propagate_dense(transposed, values[edges.permutation], x).square().sum().backward()
    torch.testing.assert_close(fast, values.grad)


def test_softmax_attention_equals_pyg():
    """Edge scores, softmax over a row and propagation together are GATv2 with one head."""
    edges, width = random_edges(6), 4
    torch.manual_seed(0)
    layer = GATv2Conv((width, width), width, heads=1, add_self_loops=False, bias=False)
    senders, receivers = drawn(1, 5, width), drawn(2, 7, width)
    index = torch.stack([edges.indices, edges.rows])
    sent, received = layer.lin_l(senders), layer.lin_r(receivers)
    bent = torch.nn.functional.leaky_relu(sent[edges.indices] + received[edges.rows], 0.2)
    scores = (bent * layer.att[0, 0]).sum(dim=1)
    ours = propagate(edges, edge_softmax(edges, scores), sent)
    torch.testing.assert_close(ours, layer((senders, receivers), index))


def test_softmax_shares_sum_to_one_where_there_are_edges():
    edges = random_edges(7, chance=0.3)
    shares = edge_softmax(edges, 50 * drawn(1, edges.count))
    sums = torch.zeros(7).index_add(0, edges.rows, shares)
    torch.testing.assert_close(sums, (edges.indptr.diff() > 0).float())


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_lightgcn_equals_pyg(layers):
    inputs = inputs_of(worlds.planted())
    model = MODELS["lightgcn"](inputs, Options(width=8, layers=layers), 0)
    users, nodes = inputs.users, inputs.users + inputs.items
    theirs = LightGCN(nodes, 8, num_layers=layers)
    with torch.no_grad():
        theirs.embedding.weight.copy_(torch.cat([model.users, model.items]))
    edges = inputs.user_item
    there = torch.stack([edges.rows, edges.indices + users])
    want = theirs.get_embedding(torch.cat([there, there.flip(0)], dim=1))
    found = model()
    torch.testing.assert_close(torch.cat([found.users, found.items]), want)


def test_normalised_propagation_equals_pyg_on_one_hop():
    edges = random_edges(8, rows=6, columns=6)
    degrees_in, degrees_out = edges.indptr.diff(), edges.transposed_indptr.diff()
    x = drawn(3, 6, 4)
    weights = symmetric_weights(edges, degrees_in.float(), degrees_out.float())
    bipartite = torch.stack([edges.indices, edges.rows + 6])
    both = torch.cat([bipartite, bipartite.flip(0)], dim=1)
    want = LGConv()(torch.cat([x, torch.zeros(6, 4)]), both)[6:]
    torch.testing.assert_close(propagate(edges, weights, x), want)
