"""Native kernels against torch's own sparse products, which are also what stands in for them."""

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import kernels, sparse
from tests.train_worlds import drawn, random_edges

needs_kernels = pytest.mark.skipif(not kernels.compiled(), reason="no C compiler when installed")

graphs = st.tuples(
    st.integers(0, 99),
    st.integers(1, 700),
    st.integers(1, 40),
    st.sampled_from([1, 15, 16, 50, 64]),
)


def test_installing_with_a_compiler_compiles_them():
    assert kernels.compiled() or shutil.which("cc") is None


@needs_kernels
@given(graphs)
@settings(max_examples=40, deadline=None)
def test_products_equal_torchs(graph):
    seed, rows, columns, width = graph
    edges = random_edges(seed, rows, columns, chance=0.1)
    values, x = drawn(seed, edges.count), drawn(seed + 1, columns, width)
    found = kernels.product(edges.indptr, edges.indices, values, x)
    torch.testing.assert_close(found, edges.matrix(values) @ x)


@needs_kernels
@given(graphs)
@settings(max_examples=40, deadline=None)
def test_dots_equal_gathered_inner_products(graph):
    seed, rows, columns, width = graph
    edges = random_edges(seed, rows, columns, chance=0.1)
    receivers, senders = drawn(seed, rows, width), drawn(seed + 1, columns, width)
    found = kernels.dots(edges.indptr, edges.indices, receivers, senders)
    torch.testing.assert_close(found, sparse.edge_scores_dense(edges, receivers, senders))


@needs_kernels
def test_the_number_of_threads_does_not_change_a_bit():
    edges = random_edges(1, 2000, 90, chance=0.2)
    values, x, receivers = drawn(1, edges.count), drawn(2, 90, 64), drawn(3, 2000, 64)
    found, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(
            (
                kernels.product(edges.indptr, edges.indices, values, x),
                kernels.dots(edges.indptr, edges.indices, receivers, x),
            )
        )
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@needs_kernels
def test_a_transposed_view_is_read_as_what_it_shows():
    edges = random_edges(2, 30, 20)
    values, x = drawn(1, edges.count), drawn(2, 16, 20).T
    found = kernels.product(edges.indptr, edges.indices, values, x)
    torch.testing.assert_close(found, edges.matrix(values) @ x.contiguous())


def test_double_precision_is_left_to_torch():
    assert not kernels.fits(torch.zeros(2, dtype=torch.float64))


def test_without_kernels_everything_is_the_same(monkeypatch):
    edges = random_edges(4, 40, 30)
    values, x, receivers = drawn(1, edges.count), drawn(2, 30, 64), drawn(3, 40, 64)

    def all_of_them():
        return (
            sparse.propagate(edges, values, x),
            sparse.edge_scores(edges, receivers, x),
            sparse.product(edges.matrix(values), x),
        )

    ours = all_of_them()
    monkeypatch.setattr(kernels, "compiled", lambda: False)
    for one, other in zip(ours, all_of_them(), strict=True):
        torch.testing.assert_close(one, other)
