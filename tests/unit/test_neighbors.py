"""The neighbour sampler: its obvious twin, its chances, and what it expects beside the whole."""

import dataclasses
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import Inputs
from pipeline.models.gat import Gat
from pipeline.models.neighborhood import ITEM_USER, USER_ITEM
from pipeline.models.sampled import SampledGat, blocks_of
from pipeline.train.neighbors import Adjacency, Neighbors, Numbering, chosen, distinct, ranges
from pipeline.train.sampling import Batch
from pipeline.train.stage import options_of
from tests import worlds
from tests.train_worlds import config_of, inputs_of

WORLD = worlds.planted()
EVERYBODY = 10_000
SETTINGS = {"width": 8, "layers": 3, "heads": 2, "shift": 0.05, "scale": 0.75}


def models(inputs: Inputs | None = None, seed: int = 0, **asked) -> tuple[Gat, SampledGat]:
    """The same parameters twice, with gates that are not neutral."""
    inputs = inputs or inputs_of(WORLD)
    options = options_of(config_of(**{**SETTINGS, **asked}), [*inputs.relations])
    whole, sampled = Gat(inputs, options, seed), SampledGat(inputs, options, seed)
    for model in (whole, sampled):
        with torch.no_grad():
            for gates in model.gates.values():
                gates.strength.copy_(torch.linspace(-1, 1, len(gates.strength)))
            model.relation_logits.add_(torch.arange(len(model.relation_logits)) * 0.3)
    return whole, sampled


def a_batch(rng=None) -> Batch:
    rng = rng or np.random.default_rng(3)
    return Batch(
        rng.integers(WORLD.n_users, size=12),
        rng.integers(WORLD.n_items, size=12),
        rng.integers(WORLD.n_items, size=5),
    )


def neighbors(model: SampledGat, fan_out) -> Neighbors:
    return Neighbors(model.inputs, [*model.relations], fan_out)


def distinct_twin(size: int, count: int, uniforms) -> list[int]:
    """Floyd's algorithm as it is printed, for one row."""
    found: list[int] = []
    for k in range(count):
        last = size - count + k
        drawn = int(uniforms[k] * (last + 1))
        found.append(last if drawn in found else drawn)
    return found


@given(st.lists(st.integers(3, 40), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_distinct_is_its_twin_row_by_row(sizes, seed):
    found = distinct(np.array(sizes), 3, np.random.default_rng(seed))
    uniforms = np.random.default_rng(seed).random((3, len(sizes)))
    for row, size in enumerate(sizes):
        assert found[row].tolist() == distinct_twin(size, 3, uniforms[:, row])
        assert len(set(found[row])) == 3 and found[row].max() < size


def test_every_set_has_the_same_chance():
    """30,000 draws of 2 of 5: ten sets, each 3,000 times but for chance (chi-square, 9 degrees)."""
    found = distinct(np.full(30_000, 5), 2, np.random.default_rng(0))
    counts = Counter(tuple(sorted(pair)) for pair in found.tolist())
    assert set(counts) == set(combinations(range(5), 2))
    assert sum((n - 3000) ** 2 / 3000 for n in counts.values()) < 27.9  # p = .001


def chosen_twin(degrees, most: int, rng) -> list[list[int]]:
    """Each row by itself, with numpy's own draw: alike in distribution."""
    return [
        [*range(d)] if d <= most else sorted(rng.choice(d, most, replace=False)) for d in degrees
    ]


def test_chosen_draws_as_often_as_the_obvious_loop():
    degrees, rng = np.array([0, 2, 3, 7, 30]), np.random.default_rng(1)
    hits = {name: np.zeros((5, 30)) for name in ("ours", "twin")}
    for _ in range(2000):
        counts, offsets = chosen(degrees, 3, rng)
        np.add.at(hits["ours"], (np.repeat(np.arange(5), counts), offsets), 1)
        for row, places in enumerate(chosen_twin(degrees, 3, rng)):
            hits["twin"][row, places] += 1
    chance = np.where(np.arange(30) < degrees[:, None], 3 / np.maximum(degrees, 3)[:, None], 0)
    error = np.sqrt(chance * (1 - chance) / 2000)
    for seen in hits.values():
        assert (np.abs(seen / 2000 - chance) <= 4.5 * error).all()


@given(st.lists(st.integers(0, 5), max_size=8))
def test_ranges_are_the_ranges(counts):
    starts = np.arange(len(counts)) * 100
    want = [s + k for s, n in zip(starts, counts, strict=True) for k in range(n)]
    assert ranges(starts, np.array(counts, int)).tolist() == want


@given(st.lists(st.lists(st.integers(0, 19), max_size=12), max_size=5))
def test_numbers_are_given_once_and_forgotten(calls):
    numbering, known = Numbering(20), {}
    for rows in calls:
        found = numbering.of(np.array(rows, np.int64))
        for row, number in zip(rows, found.tolist(), strict=True):
            assert known.setdefault(row, number) == number
    assert sorted(known.values()) == list(range(numbering.count))
    assert [known[row] for row in numbering.known().tolist()] == list(range(len(known)))
    numbering.clear()
    assert numbering.count == 0
    assert numbering.of(np.array([7])).tolist() == [0]


def test_a_row_keeps_at_most_so_many_of_its_own_edges():
    matrix = WORLD.matrix()
    matrix.sort_indices()
    matrix.data = np.arange(1, matrix.nnz + 1, dtype=np.float32)
    rows = np.array([5, 0, 9])
    drawn = Adjacency(matrix.indptr, matrix.indices, matrix.data).drawn(
        rows, 2, np.random.default_rng(0)
    )
    hop = drawn.hop(drawn.senders, WORLD.n_items)
    for at, row in enumerate(rows):
        part = slice(int(hop.edges.indptr[at]), int(hop.edges.indptr[at + 1]))
        degree = matrix[row].nnz
        assert part.stop - part.start == min(2, degree)
        for column, weight in zip(hop.edges.indices[part], hop.weights[part], strict=True):
            assert weight == pytest.approx(matrix[row, int(column)] * max(1, degree / 2))


@pytest.mark.parametrize("asked", [{}, {"attend_users": True}, {"heads": 0}, {"shift": 0.0}])
@pytest.mark.parametrize("fan_out", [(EVERYBODY,) * 3, None])
def test_with_every_neighbour_it_is_the_whole_graph(asked, fan_out):
    whole, sampled = models(**asked)
    batch = a_batch()
    rng = None if fan_out is None else np.random.default_rng(0)
    drawn = neighbors(sampled, fan_out or (1, 1, 1)).batch(batch, rng)
    want, found = whole(None), sampled.near(drawn.near)
    for side, rows, numbered in (
        ("users", batch.users, drawn.users),
        ("items", batch.positives, drawn.positives),
        ("items", batch.negatives, drawn.negatives),
    ):
        for name in (side, f"{side[:-1]}_ids"):
            torch.testing.assert_close(
                getattr(found, name)[numbered], getattr(want, name)[torch.from_numpy(rows)]
            )


def test_its_gradients_are_then_those_of_the_whole_graph():
    whole, sampled = models(attend_users=True)
    batch = a_batch()
    drawn = neighbors(sampled, (EVERYBODY,) * 3).batch(batch, np.random.default_rng(0))
    near, all_of = sampled.near(drawn.near), whole(None)
    (near.users[drawn.users] * near.items[drawn.positives]).sum().backward()
    rows = torch.from_numpy(batch.users), torch.from_numpy(batch.positives)
    (all_of.users[rows[0]] * all_of.items[rows[1]]).sum().backward()
    wanted = dict(whole.named_parameters())
    for name, parameter in sampled.named_parameters():
        found = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        torch.testing.assert_close(found, wanted[name].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("asked", [{}, {"attend_users": True}])
def test_in_expectation_it_is_the_whole_graph(asked):
    """The mean of 400 draws lies within 4.5 standard errors, vectors and a linear gradient."""
    whole, sampled = models(**asked)
    batch, rng = a_batch(), np.random.default_rng(11)
    drawing = neighbors(sampled, (3, 2, 2))
    direction = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))

    def linear(vectors, users, items):
        value = (vectors.users[users] @ direction[0]).sum()
        return value + (vectors.items[items] @ direction[1]).sum()

    draws = []
    for _ in range(400):
        drawn = drawing.batch(batch, rng)
        vectors = sampled.near(drawn.near)
        sampled.zero_grad()
        linear(vectors, drawn.users, drawn.positives).backward()
        grads = [sampled.users.grad.to_dense(), sampled.fusion.rule.company.grad]
        both = [vectors.users[drawn.users].detach(), vectors.items[drawn.positives].detach()]
        draws.append(torch.cat([x.flatten() for x in (*both, *grads)]).double().numpy())
    want = whole(None)
    rows = torch.from_numpy(batch.users), torch.from_numpy(batch.positives)
    linear(want, *rows).backward()
    parts = (
        want.users[rows[0]],
        want.items[rows[1]],
        whole.users.grad,
        whole.fusion.rule.company.grad,
    )
    wanted = torch.cat([x.detach().flatten() for x in parts]).double().numpy()
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / np.sqrt(len(draws))
    varied = error > 1e-9
    assert varied.mean() > 0.5
    away = np.abs(mean - wanted)[varied] / error[varied]
    assert (away < 5).mean() > 0.999 and away.max() < 7  # several thousand numbers at once
    np.testing.assert_allclose(mean[~varied], wanted[~varied], atol=1e-5)


@torch.no_grad()
def test_a_sampler_that_forgets_the_chances_is_found_out():
    """The broken variant: edges weigh as if all were kept, so sums come out too small."""
    whole, sampled = models(heads=0)
    batch, rng = a_batch(), np.random.default_rng(11)
    drawing = neighbors(sampled, (1, 1, 1))
    sums = []
    for _ in range(200):
        drawn = drawing.batch(batch, rng)
        hops = [
            {
                n: dataclasses.replace(h, weights=torch.ones_like(h.weights))
                for n, h in layer.items()
            }
            for layer in drawn.near.hops
        ]
        near = dataclasses.replace(drawn.near, hops=hops)
        sums.append(float(sampled.near(near).users[drawn.users].detach().abs().sum()))
    assert np.mean(sums) < 0.97 * float(
        whole(None).users[torch.from_numpy(batch.users)].abs().sum()
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_no_node_has_more_edges_than_asked_for(seed, most):
    _, sampled = models()
    rng = np.random.default_rng(seed)
    near = neighbors(sampled, (most,) * 3).batch(a_batch(rng), rng).near
    assert set(near.hops[0]) == {USER_ITEM, ITEM_USER, "text", "image"}
    reached = near.own
    for hops in reversed(near.hops):  # from the batch outwards
        for name, hop in hops.items():
            assert hop.edges.shape[0] == reached[0 if name == USER_ITEM else 1]
            assert hop.edges.indptr.diff().max() <= most
            codes = hop.edges.rows * hop.edges.shape[1] + hop.edges.indices
            assert len(codes.unique()) == len(codes)
        reached = hops[ITEM_USER].edges.shape[1], hops[USER_ITEM].edges.shape[1]
    assert reached == (len(near.users), len(near.items))


def test_the_same_seed_draws_the_same():
    _, sampled = models()
    drawing = neighbors(sampled, (2, 2, 2))
    near, again, other = (
        drawing.batch(a_batch(), np.random.default_rng(s)).near for s in (1, 1, 2)
    )
    assert torch.equal(near.items, again.items) and torch.equal(near.users, again.users)
    assert not torch.equal(near.users, other.users)


@pytest.mark.parametrize("asked", [{}, {"attend_users": True}, {"heads": 0}])
@pytest.mark.parametrize("edges", [1 << 20, 40])
def test_what_ranks_is_the_whole_propagation_in_blocks(monkeypatch, asked, edges):
    monkeypatch.setattr("pipeline.models.sampled.blocks_of", lambda i: blocks_of(i, edges))
    monkeypatch.setattr("pipeline.models.sampled.BLOCK_ITEMS", 17)
    monkeypatch.setattr("pipeline.models.fusion._BLOCK", 13)
    whole, sampled = models(centre_content=True, **asked)
    want, found = whole.outputs().vectors, sampled.outputs().vectors
    for name, vectors in want.items():
        torch.testing.assert_close(found[name], vectors, rtol=1e-4, atol=1e-5)


def test_blocks_cover_every_row_once():
    indptr = torch.tensor([0, 0, 5, 5, 90, 91, 92, 92])
    for most in (1, 4, 60, 1000):
        rows = [
            r for block in blocks_of([indptr, indptr], most) for r in range(block.start, block.stop)
        ]
        assert rows == [*range(7)]
    assert [*blocks_of([torch.zeros(4, dtype=torch.long)])] == [slice(0, 3)]
