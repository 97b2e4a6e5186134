"""The softmax in groups against autograd over every score, and what groups mean."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.losses import softmax_loss
from pipeline.train import sampled_softmax
from pipeline.train.batch import TensorBatch
from pipeline.train.sampled_softmax import Softmax

USERS, ITEMS, WIDTH = 6, 9, 4


def world(seed: int, size: int, negatives: int):
    draw = torch.Generator().manual_seed(seed)
    users = torch.randn(USERS, WIDTH, generator=draw)
    items = torch.randn(ITEMS, WIDTH, generator=draw)
    rows = [torch.randint(0, n, (c,), generator=draw) for n, c in
            ((USERS, size), (ITEMS, size), (ITEMS, negatives))]  # fmt: skip
    return users, items, TensorBatch(*rows), torch.randn(ITEMS, generator=draw)


def graded(way, users, items, batch):
    """Return a loss and its gradients, three times as large as they would be alone."""
    users, items = users.clone().requires_grad_(), items.clone().requires_grad_()
    loss = way(users, items, batch)
    (3 * loss).backward()
    return loss.detach(), users.grad, items.grad


@given(
    st.integers(0, 99),
    st.integers(1, 12),
    st.integers(0, 5),
    st.integers(1, 13),
    st.sampled_from([1, 3, 512]),
)
@settings(max_examples=60, deadline=None)
def test_at_once_is_what_autograd_finds(seed, size, negatives, group, tile):
    users, items, batch, expected = world(seed, size, negatives)
    of = Softmax(expected, 0.5, group)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sampled_softmax, "_TILE", tile)
        found = graded(of.loss, users, items, batch)
    for one, other in zip(found, graded(of.by_autograd, users, items, batch), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 99), st.integers(1, 12), st.integers(0, 5))
def test_pairs_are_the_places_of_the_accidental_hits(seed, size, negatives):
    _, _, batch, _ = world(seed, size, negatives)
    rows, columns = batch.accidental_pairs()
    wanted = batch.accidental_hits().nonzero()
    assert torch.equal(torch.stack([rows, columns], dim=1), wanted)


def test_a_group_never_sees_the_positives_of_another():
    users, items, batch, expected = world(1, 8, 3)
    apart = [Softmax(expected, 0.5, 4).loss(users, items, part) for part in batch.groups(4)]
    whole = Softmax(expected, 0.5, 4).loss(users, items, batch)
    torch.testing.assert_close(whole, torch.stack(apart).mean())
    assert not torch.allclose(whole, Softmax(expected, 0.5, 8).loss(users, items, batch))


def test_one_group_is_the_plain_loss():
    users, items, batch, expected = world(2, 5, 4)
    scores = users[batch.users] @ items[batch.candidates()].T
    want = softmax_loss(
        scores.diagonal(),
        scores,
        batch.accidental_hits(),
        (expected[batch.positives], expected[batch.candidates()]),
    )
    torch.testing.assert_close(Softmax(expected, 1.0, 2048).loss(users, items, batch), want)


def test_huge_scores_stay_finite():
    users, items, batch, expected = world(3, 6, 2)
    loss, *grads = graded(Softmax(expected, 1e-4, 6).loss, users, items, batch)
    assert all(torch.isfinite(part).all() for part in (loss, *grads))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_groups_of_mixtures_and_smoothing_add_up(smoothing):
    users, items, batch, expected = world(4, 7, 3)
    mixed = TensorBatch(batch.users, batch.positives, batch.negatives, torch.randn(7, WIDTH))
    of = Softmax(expected, 0.5, 3, smoothing)
    parts = [(len(p.users), of.loss(users, items, p)) for p in mixed.groups(3)]
    want = sum(size * loss for size, loss in parts) / 7
    torch.testing.assert_close(of.loss(users, items, mixed), want)
