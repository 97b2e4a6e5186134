"""Losses against arithmetic done by hand, in sight."""

from math import exp, log

import pytest
import torch

from pipeline.models.base import Vectors
from pipeline.models.losses import bce_loss, bpr_loss, id_penalty, softmax_loss
from pipeline.train.batch import TensorBatch
from pipeline.train.objective import LOSSES, Objective, log_expected


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def test_bpr_by_hand():
    positive, negative = torch.tensor([2.0, 0.0]), torch.tensor([[1.0], [3.0]])
    want = -(log(sigmoid(2 - 1)) + log(sigmoid(0 - 3))) / 2
    assert bpr_loss(positive, negative).item() == pytest.approx(want, rel=1e-6)


def test_bpr_averages_over_several_negatives():
    positive, negative = torch.tensor([1.0]), torch.tensor([[0.0, 2.0]])
    want = -(log(sigmoid(1)) + log(sigmoid(-1))) / 2
    assert bpr_loss(positive, negative).item() == pytest.approx(want, rel=1e-6)


def test_bpr_does_not_overflow():
    loss = bpr_loss(torch.tensor([-500.0]), torch.tensor([[500.0]]))
    assert loss.item() == pytest.approx(1000.0)


def test_bce_by_hand():
    positive, negative = torch.tensor([2.0]), torch.tensor([[1.0, -1.0]])
    want = (-log(sigmoid(2)) - (log(1 - sigmoid(1)) + log(1 - sigmoid(-1))) / 2) / 2
    assert bce_loss(positive, negative).item() == pytest.approx(want, rel=1e-6)


def test_softmax_by_hand():
    positive, candidates = torch.tensor([1.0]), torch.tensor([[9.0, 0.5, 2.0]])
    hidden = torch.tensor([[True, False, False]])
    expected = torch.tensor([0.5]).log(), torch.tensor([0.5, 0.25, 1.0]).log()
    target = exp(1.0) / 0.5
    want = -log(target / (target + exp(0.5) / 0.25 + exp(2.0) / 1.0))
    found = softmax_loss(positive, candidates, hidden, expected)
    assert found.item() == pytest.approx(want, rel=1e-6)


def test_softmax_with_every_candidate_hidden_is_zero():
    nothing = torch.zeros(1), torch.zeros(2)
    loss = softmax_loss(torch.ones(1), torch.ones(1, 2), torch.ones(1, 2).bool(), nothing)
    assert loss.item() == 0


def test_the_correction_spares_popular_candidates():
    """The more often an item is drawn, the less one draw of it weighs."""
    scores, hidden = torch.zeros(1, 2), torch.zeros(1, 2).bool()
    even = softmax_loss(torch.zeros(1), scores, hidden, (torch.zeros(1), torch.zeros(2)))
    drawn_often = torch.tensor([2.0, 0.0])
    spared = softmax_loss(torch.zeros(1), scores, hidden, (torch.zeros(1), drawn_often))
    assert spared < even


def test_expected_counts_mix_both_sources():
    popularity, pool = torch.tensor([6.0, 2.0, 0.0]), torch.tensor([0, 1])
    want = torch.tensor([4 * 6 / 8 + 3 / 2, 4 * 2 / 8 + 3 / 2])
    found = log_expected(popularity, pool, batch_size=4, negatives=3)
    torch.testing.assert_close(found[:2].exp(), want)
    assert torch.isfinite(found).all()


def test_accidental_hits_are_positives_of_the_same_user():
    batch = TensorBatch(torch.tensor([0, 1, 0]), torch.tensor([5, 6, 7]), torch.tensor([6, 8]))
    want = [
        [1, 0, 1, 0, 0],  # user 0 has 5 and 7
        [0, 1, 0, 1, 0],  # user 1 has 6, which was also drawn
        [1, 0, 1, 0, 0],
    ]
    assert batch.accidental_hits().int().tolist() == want


def test_the_penalty_is_half_the_squared_length_per_positive():
    users, items = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    assert id_penalty(users, items).item() == (25 + 1 + 4) / (2 * 2)


@pytest.mark.parametrize("name", LOSSES.names())
def test_objectives_agree_with_their_loss(name):
    users, items = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.5, -1.0]])
    vectors = Vectors(users, items, torch.zeros(2, 2), torch.zeros(2, 2))
    pairs = name != "softmax"
    negatives = torch.tensor([[1], [0]]) if pairs else torch.tensor([0, 1])
    batch = TensorBatch(torch.tensor([0, 1]), torch.tensor([0, 1]), negatives)
    objective = Objective(name, 0.5, temperature=0.5, log_expected=torch.zeros(2))
    positive = torch.tensor([1.0, -2.0])
    negative = torch.tensor([[0.5], [2.0]])
    want = {
        "bpr": lambda: bpr_loss(positive, negative),
        "bce": lambda: bce_loss(positive, negative),
        "softmax": lambda: softmax_loss(
            positive / 0.5,
            torch.tensor([[1.0, 0.5, 1.0, 0.5], [2.0, -2.0, 2.0, -2.0]]) / 0.5,
            torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1]]).bool(),
            (torch.zeros(2), torch.zeros(4)),
        ),
    }[name]()
    torch.testing.assert_close(objective(vectors, batch), want)
