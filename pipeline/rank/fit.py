"""Fitting the ranking network: listwise softmax over candidates, one network per fold of users."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.arrays import Flags, Floats, Rows
from pipeline.ranking.network import Network

_EVERYTHING_EQUAL = 1e-6


@dataclass(frozen=True)
class Recipe:
    """How a network is fitted."""

    hidden: int
    epochs: int
    learning_rate: float
    decay: float
    folds: int
    seed: int
    batch: int = 256


@dataclass(frozen=True)
class Examples:
    """Users with their candidates.

    Shapes:
        features: (B, C, F). real: (B, C), False where a user has no such candidate.
        relevant: (B, C), the candidates the user took.
    """

    features: Floats
    real: Flags
    relevant: Flags


@dataclass(frozen=True)
class Fitted:
    """A network, and what each user's candidates score with the networks that never saw the user.

    Shapes:
        held_out: (B, C).
    """

    network: Network
    held_out: Floats


def fit(names: list[str], examples: Examples, recipe: Recipe) -> Fitted:
    """Return the networks of all folds as one.

    Each fold's network learns from the other folds' users, so what it says of its own fold is
    honest. The loss is the softmax cross-entropy between a user's candidates and those taken
    (ListNet; Cao et al., ICML 2007).

    Shapes:
        names: F.
    """
    mean, deviation = _moments(examples)
    blank = Network(tuple(names), mean, deviation, *(np.zeros(0),) * 4)
    x = torch.from_numpy(blank.standard(examples.features))
    target = torch.from_numpy(examples.relevant.astype(np.float32))
    real = torch.from_numpy(examples.real)
    fold = folds_of(len(x), recipe)
    parts, held_out = [], np.zeros(examples.real.shape, dtype=np.float32)
    for number in range(recipe.folds):
        others = torch.from_numpy(np.flatnonzero(fold != number))
        net = _fit_one((x, real, target), others, recipe, number)
        own = np.flatnonzero(fold == number)
        with torch.no_grad():
            held_out[own] = net(x[torch.from_numpy(own)]).numpy()
        parts.append(net)
    arrays = [np.stack(part) for part in zip(*(net.arrays() for net in parts), strict=True)]
    return Fitted(Network(tuple(names), mean, deviation, *arrays), held_out)


def folds_of(count: int, recipe: Recipe) -> Rows:
    """Return the fold of each user, drawn from the seed, (count,)."""
    return np.random.default_rng([recipe.seed, count]).integers(recipe.folds, size=count)


def _moments(examples: Examples) -> tuple[Floats, Floats]:
    rows = examples.features[examples.real]
    mean, deviation = (f(axis=0, dtype=np.float64) for f in (rows.mean, rows.std))
    usable = np.where(deviation > _EVERYTHING_EQUAL, deviation, 1.0)
    return mean.astype(np.float32), usable.astype(np.float32)


class _Net(torch.nn.Module):
    """A linear score plus a hidden layer's, the same as ``Network.scores`` of one network."""

    def __init__(self, width: int, hidden: int) -> None:
        """Draw from torch's current generator; the linear part starts at 0."""
        super().__init__()
        self.linear = torch.nn.Parameter(torch.zeros(width))
        self.hidden = torch.nn.Parameter(torch.randn(width, hidden) / width**0.5)
        self.bias = torch.nn.Parameter(torch.zeros(hidden))
        self.out = torch.nn.Parameter(torch.randn(hidden) / max(1, hidden) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for each row: (..., F) to (...)."""
        return x @ self.linear + torch.tanh(x @ self.hidden + self.bias) @ self.out

    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return hidden, bias, out and linear."""
        parts = (self.hidden, self.bias, self.out, self.linear)
        hidden, bias, out, linear = (p.detach().numpy() for p in parts)
        return hidden, bias, out, linear


def _fit_one(
    data: tuple[Tensor, Tensor, Tensor], users: Tensor, recipe: Recipe, number: int
) -> _Net:
    x, real, target = data
    draw = torch.Generator().manual_seed(recipe.seed * 1000 + number)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed * 1000 + number)
        net = _Net(x.shape[2], recipe.hidden)
    usable = users[(target[users] * real[users]).any(dim=1)]
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.decay
    )
    for _ in range(recipe.epochs):
        order = usable[torch.randperm(len(usable), generator=draw)]
        for batch in torch.split(order, recipe.batch):
            scores = net(x[batch]).masked_fill(~real[batch], -torch.inf)
            logs = scores.log_softmax(dim=1).masked_fill(~real[batch], 0.0)
            loss = -(logs * target[batch]).sum(dim=1).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return net
