"""The network in numpy says what the one that was fitted in torch says."""

import numpy as np
import pytest
import torch

from pipeline.rank.fit import _Net
from pipeline.ranking.network import LIMIT, Network, shapes

NAMES = ["a", "b", "c"]


def networks(count, hidden, seed=0):
    """Return torch networks with drawn weights in every part, and the numpy one of all of them."""
    torch.manual_seed(seed)
    nets = [_Net(len(NAMES), hidden) for _ in range(count)]
    for net in nets:
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter)
    arrays = [np.stack(part) for part in zip(*(net.arrays() for net in nets), strict=True)]
    rng = np.random.default_rng(seed)
    mean, deviation = rng.normal(size=3).astype("f4"), rng.uniform(0.5, 2, 3).astype("f4")
    return nets, Network(tuple(NAMES), mean, deviation, *arrays)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("hidden", [0, 1, 7])
def test_scores_are_the_mean_of_the_torch_networks(count, hidden):
    nets, network = networks(count, hidden)
    features = 20 * np.random.default_rng(1).normal(size=(4, 6, 3)).astype(np.float32)
    standard = ((features - network.mean) / network.deviation).clip(-LIMIT, LIMIT)
    with torch.no_grad():
        wanted = torch.stack([net(torch.from_numpy(standard)) for net in nets]).mean(dim=0)
    np.testing.assert_allclose(network.scores(features), wanted.numpy(), atol=1e-4)
    assert (np.abs(standard) == LIMIT).any()


def test_scoring_leaves_the_features_alone():
    features = np.full((2, 3), 100, dtype=np.float32)
    networks(2, 4)[1].scores(features)
    assert (features == 100).all()


def test_a_row_scores_the_same_alone():
    _, network = networks(3, 4)
    features = np.random.default_rng(2).normal(size=(5, 8, 3)).astype(np.float32)
    one_by_one = [[network.scores(row) for row in user] for user in features]
    np.testing.assert_allclose(network.scores(features), one_by_one, atol=1e-5)


def test_one_feature_alone_is_its_own_score_however_large():
    """A catalogue's best items are often more than six deviations above its mean."""
    features = np.array([[1e-7, 9, 9], [7.25, 0, 0], [6000.123, -1, 1], [-4e5, 0, 2]], np.float32)
    scores = Network.of_one(NAMES, 0).scores(features)
    assert np.array_equal(scores.astype(np.float32), features[:, 0])
    written = Network.of(NAMES, Network.of_one(NAMES, 0).arrays())
    assert np.array_equal(written.scores(features), features[:, 0])


@pytest.mark.parametrize("hidden", [0, 5])
def test_arrays_make_the_network_again(hidden):
    _, network = networks(2, hidden)
    again = Network.of(NAMES, network.arrays())
    features = np.random.default_rng(3).normal(size=(9, 3)).astype(np.float32)
    assert np.array_equal(again.scores(features), network.scores(features))
    found = {name: array.shape for name, array in again.arrays().items()}
    assert found == shapes(3, again.hidden.shape)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("hidden", [0, 1, 7])
def test_parts_add_up_to_scores(count, hidden):
    network = networks(count, hidden)[1]
    features = 5 * np.random.default_rng(1).normal(size=(4, 6, 3)).astype(np.float32)
    added, base = network.parts(features)
    np.testing.assert_allclose(added.sum(axis=2) + base, network.scores(features), atol=1e-4)


def test_parts_are_the_integrated_gradients():
    """By Riemann sums over the straight path from the mean, in small steps."""
    network = networks(3, 5)[1]
    features = network.mean + np.array([0.5, -1.0, 0.3], dtype=np.float32)
    x = network.standard(features).astype(float)
    total = np.zeros(3)
    for at in (np.arange(2000) + 0.5) / 2000:
        for weights, bias, out in zip(network.hidden, network.bias, network.out, strict=True):
            total += weights @ (out * (1 - np.tanh(at * x @ weights + bias) ** 2)) / 3
    wanted = x * (total / 2000 + network.linear.mean(axis=0))
    np.testing.assert_allclose(network.parts(features)[0], wanted, atol=1e-4)


def test_what_is_average_adds_nothing():
    network = networks(2, 4)[1]
    added, base = network.parts(network.mean)
    assert not added.any() and base == pytest.approx(float(network.scores(network.mean)), abs=1e-5)
