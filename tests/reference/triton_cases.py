"""The kernels for GPUs, run by Triton's interpreter, beside their twins: values and gradients.

test_triton_kernels.py runs these in a process of their own: Triton decides between interpreter and
compiler when it is imported.
"""

import pytest
import torch

from pipeline.models import gated, sparse, triton_kernels
from pipeline.models.gated import Gate, edge_factors, gated_propagate, gated_propagate_dense
from pipeline.models.sparse import edge_scores, edge_scores_dense, propagate, propagate_dense
from tests.train_worlds import drawn, random_edges

SIZES = [(9, 7, 10, 2, 3), (4, 50, 16, 4, 4), (40, 3, 5, 1, 1), (6, 6, 33, 3, 5)]
"""Receivers, senders, width, heads, numbers of a head; powers of two and others."""
sized = pytest.mark.parametrize("rows, columns, width, heads, per_head", SIZES)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Let every product go through the kernels, on a processor."""
    for module in (gated, sparse):
        monkeypatch.setattr(module, "kernels_for", lambda *_: triton_kernels)
    monkeypatch.setattr(sparse.kernels, "fits", lambda *_: False)


def ends(sizes, dtype=torch.float64) -> list[torch.Tensor]:
    rows, columns, width, heads, per_head = sizes
    edges = random_edges(0, rows, columns)
    shapes = (edges.count,), (rows, heads, per_head), (columns, heads, per_head), (heads,)
    found = [drawn(n, *shape, dtype=dtype) for n, shape in enumerate((*shapes, (columns, width)))]
    return [each.requires_grad_() for each in found]


def test_they_run_interpreted():
    assert triton_kernels.INTERPRETED


@sized
@pytest.mark.parametrize("dtype, close", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_gated_products_and_their_gradients_are_the_twin(
    rows, columns, width, heads, per_head, dtype, close
):
    sizes = rows, columns, width, heads, per_head
    edges, given = random_edges(0, rows, columns), ends(sizes, dtype)
    grad = drawn(9, rows, width, dtype=dtype)
    results = []
    for way in (gated_propagate, gated_propagate_dense):
        values, queries, keys, bound, x = given
        out = way(edges, values, Gate(queries, keys, bound), x)
        results.append([out, *torch.autograd.grad(out, given, grad)])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=close, atol=close)


def test_the_gradient_is_the_slope():
    """gradcheck: against differences of the kernel's own values, in float64."""
    edges = random_edges(0, 3, 4)

    def way(values, queries, keys, bound, x):
        return gated_propagate(edges, values, Gate(queries, keys, bound), x)

    assert torch.autograd.gradcheck(way, ends((3, 4, 3, 2, 2)), eps=1e-6, atol=1e-7)


@sized
def test_products_and_inner_products_are_their_twins(rows, columns, width, heads, per_head):
    edges = random_edges(0, rows, columns)
    values, _, _, _, x = ends((rows, columns, width, heads, per_head))
    receivers = drawn(7, rows, width, dtype=torch.float64).requires_grad_()
    pairs = (
        (lambda: propagate(edges, values, x), lambda: propagate_dense(edges, values, x)),
        (lambda: edge_scores(edges, receivers, x), lambda: edge_scores_dense(edges, receivers, x)),
    )
    for ours, twin in pairs:
        results = []
        for way in (ours, twin):
            out = way()
            grads = torch.autograd.grad(
                out.square().sum(), [values, x, receivers], allow_unused=True
            )
            results.append([out, *(g for g in grads if g is not None)])
        for found, wanted in zip(*results, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_rows_with_more_edges_than_a_program_holds():
    edges = random_edges(3, 3, 5 * triton_kernels.EDGES, chance=0.9)
    assert edges.indptr.diff().min() > 3 * triton_kernels.EDGES
    values, x = drawn(1, edges.count), drawn(2, edges.shape[1], 8)
    torch.testing.assert_close(
        triton_kernels.product(edges.indptr, edges.indices, values, x),
        propagate_dense(edges, values, x),
    )


def test_no_edge_at_all_is_zero():
    edges = random_edges(0, 4, 3, chance=0.0)
    x = drawn(0, 3, 5).requires_grad_()
    gate = Gate(drawn(1, 4, 2, 2), drawn(2, 3, 2, 2), drawn(3, 2))
    out = gated_propagate(edges, torch.zeros(0), gate, x)
    out.sum().backward()
    assert not out.any() and not x.grad.any()


def test_large_scores_saturate_without_overflow():
    edges = random_edges(0, 4, 3)
    gate = Gate(1e4 * drawn(1, 4, 2, 2), 1e4 * drawn(2, 3, 2, 2), drawn(3, 2))
    values, x = drawn(4, edges.count), drawn(5, 3, 8)
    found = gated_propagate(edges, values, gate, x)
    torch.testing.assert_close(found, gated_propagate_dense(edges, values, gate, x))


def test_rows_in_bfloat16_are_summed_in_float32():
    """Within the rounding of the input: 2^-8 of what is summed."""
    edges, x = random_edges(3, 4, 60, chance=0.9), drawn(2, 60, 8)
    values = drawn(1, edges.count)
    found = triton_kernels.product(edges.indptr, edges.indices, values, x.bfloat16())
    assert found.dtype == torch.float32
    most = propagate_dense(edges, values.abs(), x.abs())
    assert ((found - propagate_dense(edges, values, x)).abs() <= most / 256).all()


def test_factors_of_many_heads_stay_gates():
    edges = random_edges(0, 9, 7)
    gate = Gate(drawn(1, 9, 4, 3), drawn(2, 7, 4, 3), torch.full((4,), 0.25))
    factors = edge_factors(edges, gate)
    assert (factors > 0).all() and (factors < 2).all()


def test_a_step_of_sampled_training_is_the_same_with_them(monkeypatch):
    from tests import worlds
    from tests.train_worlds import trainer_of

    losses, moved = [], []
    for on in (True, False):
        if not on:
            monkeypatch.undo()
        trainer = trainer_of(worlds.planted(), fan_out=(1, 1), attend_users=True, batch_size=4)
        batch = next(trainer.sampler.epoch(trainer.seeds.rng(0)))
        ready = trainer._tensors(batch, trainer.seeds.neighbors(0, 0))
        losses.append([float(trainer.step(ready)) for _ in range(2)])
        moved.append({n: p.detach().clone() for n, p in trainer.model.named_parameters()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, value in moved[0].items():
        torch.testing.assert_close(value, moved[1][name], rtol=1e-2, atol=2e-3)
