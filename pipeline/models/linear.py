"""Linear propagation, which lightgcn and gat share: normalised edges, layer mean, fold-in."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.models.base import Inputs, kept
from pipeline.models.sparse import Edges, product, propagate

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""One layer: (users (U, D), items (N, D)) to the same, one hop on."""


def inverse_root(degrees: Tensor) -> Tensor:
    """Return 1 / sqrt(degree), and 0 for degree 0, (n,)."""
    return torch.where(degrees > 0, degrees.clamp(min=1e-12).rsqrt(), 0.0)


def symmetric_weights(edges: Edges, rows: Tensor, columns: Tensor) -> Tensor:
    """Return 1 / sqrt(d_row * d_column) for each edge.

    Shapes:
        rows: (R,) degrees. columns: (C,) degrees. returns: (E,).
    """
    return inverse_root(rows)[edges.rows] * inverse_root(columns)[edges.indices]


def layers_of(users: Tensor, items: Tensor, step: Step, layers: int) -> list[tuple[Tensor, Tensor]]:
    """Return the vectors before propagation and after each of ``layers`` steps."""
    found = [(users, items)]
    for _ in range(layers):
        found.append(step(*found[-1]))
    return found


def bipartite_step(edges: Edges, to_users: Tensor) -> Step:
    """Return the layer that exchanges vectors over user-item edges of weights ``to_users`` (E,)."""
    to_items = to_users[edges.permutation]

    def step(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next layer of users (U, D) and items (N, D)."""
        return propagate(edges, to_users, items), propagate(edges.transpose, to_items, users)

    return step


def mean_of(layers: Sequence[Tensor]) -> Tensor:
    """Return the mean of equally shaped tensors."""
    total = layers[0]
    for layer in layers[1:]:  # not stacked: that would copy every layer
        total = total + layer
    return total / len(layers)


def mean_of_powers(matrix: Tensor, x: Tensor, layers: int) -> Tensor:
    """Return the mean of x, Ax, AAx, ... for a constant symmetric A: ``layers_of`` and ``mean_of``.

    As A is its own transpose, the gradient is the same mean of the incoming one: no layer is kept
    for it, and none is added up by autograd.

    Shapes:
        matrix: CSR (n, n), symmetric. x: (n, D). returns: (n, D).
    """
    return cast(Tensor, _MeanOfPowers.apply(matrix, x, layers))  # type: ignore[no-untyped-call]


class _MeanOfPowers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor, layers: int) -> Tensor:  # noqa: ANN401
        """Return the mean: (n, D)."""
        ctx.matrix, ctx.layers = matrix, layers
        return _mean_of_powers(matrix, x, layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, None]:  # noqa: ANN401
        """Return the gradient of x: (n, D)."""
        return None, _mean_of_powers(ctx.matrix, grads[0].contiguous(), ctx.layers), None


def _mean_of_powers(matrix: Tensor, x: Tensor, layers: int) -> Tensor:
    total, power = x.clone(), x
    for _ in range(layers):
        power = product(matrix, power)
        total += power
    return total.div_(layers + 1)


def layer_means(
    layers: Sequence[tuple[Tensor, Tensor]], chance: float, noise: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Return the means over layers of users (U, D) and of items (N, D).

    In a step, each layer after the first is left out of the mean with ``chance``, for all users and
    items at once, and counts 1 / (1 - chance) times otherwise, which keeps the expected mean:
    stochastic depth (Huang et al., ECCV 2016, arXiv 1603.09382) with the same chance in each layer.
    """
    users, items = zip(*layers, strict=True)
    if noise is None or chance == 0:
        return mean_of(users), mean_of(items)
    counts = kept((len(layers) - 1,), chance, users[0], noise) / (1 - chance)
    return _weighted_mean(users, counts), _weighted_mean(items, counts)


def _weighted_mean(layers: Sequence[Tensor], counts: Tensor) -> Tensor:
    rest = (count * layer for count, layer in zip(counts, layers[1:], strict=True))
    return mean_of([layers[0], *rest])


def drop_edges(weights: Tensor, chance: float, noise: torch.Generator | None) -> Tensor:
    """Return edge weights (E,) with a share dropped and the rest scaled to keep the mean."""
    if noise is None or chance == 0:
        return weights
    return weights * kept(tuple(weights.shape), chance, weights, noise) / (1 - chance)


def fold_in_degrees(inputs: Inputs, degrees: Tensor) -> Tensor:
    """Return the degree that each item has once somebody interacts with it, (N,).

    A warm item has no trained degree; its joint degree is raised by the median interactions of a
    hot item, so that one interaction with a new item does not drown the rest of a history.
    """
    counts = inputs.item_degrees.to(degrees.device)
    median = counts[counts > 0].median() if bool((counts > 0).any()) else counts.new_ones(())
    return torch.where(counts > 0, degrees, degrees + median)


def fold_in(items: Sequence[Tensor], degrees: Tensor, shift: float, scale: float) -> Tensor:
    """Return what an interaction with each item adds to sqrt(|history|) times a user's vector.

    A user without an id embedding has x_u(0) = 0 and, after each layer,
    ``x_u(l) = (sum_i x_i(l-1) / sqrt(d_u d_i) - shift * x_u(l-1)) / scale``. That is linear in the
    items' layers: the mean over l = 0..L is ``sum_i fold_in[i] / sqrt(d_u)`` exactly, for edges
    whose gate is 1.

    Shapes:
        items: L+1 of (N, D), the items' layers. degrees: (N,). returns: (N, D).
    """
    last = len(items) - 1
    total = torch.zeros_like(items[0])
    for j in range(last):
        decay = sum((-shift / scale) ** steps for steps in range(last - j)) / scale
        total += decay * items[j]
    return total * inverse_root(degrees).unsqueeze(1) / (last + 1)
