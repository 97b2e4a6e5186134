"""What a step needs of a graph that it does not hold: the nodes near a batch, and some edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from pipeline.models.gated import Gate, gated_propagate
from pipeline.models.sparse import Edges, propagate

USER_ITEM = "user_item"
"""The hop from items into users, and the relation it belongs to."""
ITEM_USER = "item_user"
"""The hop from users into items, over the same relation."""


@dataclass(frozen=True)
class Weights:
    """What the edges of a hop weigh.

    Shapes:
        values: (E,), which the gate, where there is one, multiplies.
    """

    values: Tensor
    gate: Gate | None = None


Values = Mapping[str, Weights]
"""The weights of a layer's edges by hop."""


@dataclass(frozen=True)
class Hop:
    """Edges into the nodes of one layer, of one relation.

    Shapes:
        edges: (R, C), receivers and senders by their place in the neighbourhood.
        weights: (E,), what an edge weighs, over the chance that it was drawn.
    """

    edges: Edges
    weights: Tensor

    def to(self, device: torch.device) -> "Hop":
        """Return the hop on ``device``."""
        return Hop(self.edges.to(device), self.weights.to(device))


@dataclass(frozen=True)
class Neighborhood:
    """A batch's users and items and those whose vectors they hear of, as rows of the whole graph.

    Nodes stand in the order in which they were reached, so that those that a layer needs come
    first: the batch's own, then what its last layer hears of, and so on.

    Shapes:
        users: (A,). items: (B,). user_degrees: (A,). vectors: (B, width) each. present: (B,) each.
    """

    users: Tensor
    items: Tensor
    own: tuple[int, int]
    """Users and items of the batch."""
    hops: Sequence[Mapping[str, Hop]]
    """By layer, the first layer first."""
    user_degrees: Tensor
    vectors: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    present: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))

    def to(self, device: torch.device) -> "Neighborhood":
        """Return the neighbourhood on ``device``, through pinned memory where that is a GPU."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            users=sent(self.users, device),
            items=sent(self.items, device),
            user_degrees=sent(self.user_degrees, device),
            hops=[{n: hop.to(device) for n, hop in layer.items()} for layer in self.hops],
            vectors={n: sent(v, device) for n, v in self.vectors.items()},
            present={n: sent(p, device) for n, p in self.present.items()},
        )


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on ``device``; to a GPU it goes from pinned memory, without waiting."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Shifted:
    """The spectrum of a layer: (A x - shift x) / scale."""

    shift: float
    scale: float

    def __call__(self, arrived: Tensor, own: Tensor) -> Tensor:
        """Return a layer's result from what arrived over edges, and the receivers' own (R, D)."""
        if self.shift:
            arrived = torch.add(arrived, own, alpha=-self.shift)
        return arrived / self.scale if self.scale != 1 else arrived


def layers_near(
    near: Neighborhood, users: Tensor, items: Tensor, values: Sequence[Values], shifted: Shifted
) -> list[tuple[Tensor, Tensor]]:
    """Return the batch's users and items before propagation and after each layer.

    Shapes:
        users: (A, D) and items: (B, D). returns: L+1 pairs of (own users, D), (own items, D).
    """
    found = [_cut(users, items, near.own)]
    for hops, weights in zip(near.hops, values, strict=True):
        users, items = one_layer(hops, weights, users, items, shifted)
        found.append(_cut(users, items, near.own))
    return found


def one_layer(
    hops: Mapping[str, Hop], weights: Values, users: Tensor, items: Tensor, shifted: Shifted
) -> tuple[Tensor, Tensor]:
    """Return the next layer of the users and items that hops lead to.

    Shapes:
        users: (A, D) and items: (B, D), of which the receivers are the first.
    """
    into_users = arriving(hops, weights, items, [USER_ITEM])
    between = [name for name in hops if name not in (USER_ITEM, ITEM_USER)]
    into_items = arriving(hops, weights, users, [ITEM_USER])
    if between:
        into_items = into_items + arriving(hops, weights, items, between)
    return (
        shifted(into_users, users[: len(into_users)]),
        shifted(into_items, items[: len(into_items)]),
    )


def arriving(
    hops: Mapping[str, Hop], weights: Values, senders: Tensor, names: Sequence[str]
) -> Tensor:
    """Return what arrives over some hops from the same senders, (R, D).

    Shapes:
        senders: (C, D) or more rows, which no edge names.
    """
    total: Tensor | None = None
    for name in names:
        edges, weight = hops[name].edges, weights[name]
        sending = senders[: edges.shape[1]]
        if weight.gate is None:
            arrived = propagate(edges, weight.values, sending)
        else:
            arrived = gated_propagate(edges, weight.values, weight.gate, sending)
        total = arrived if total is None else total + arrived
    assert total is not None
    return total


def _cut(users: Tensor, items: Tensor, own: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return users[: own[0]], items[: own[1]]
