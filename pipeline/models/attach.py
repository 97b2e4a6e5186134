"""Vectors of items that training left out, from their content and their edges to trained items.

Most items of a large catalogue have no interaction: among them they exchange content only, and
training with them costs several times as much. So a network is trained on the items that have
interactions (the active ones), and every other item is attached afterwards by the same layers over
edges that point from trained items to it alone. A trained item does not hear of those that were
attached, so one more changes no vector: what the batch computes is what a service computes for
an item that arrives tomorrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.models.attention import EdgeGates, direction
from pipeline.models.base import Relation
from pipeline.models.gat import Gat
from pipeline.models.linear import fold_in, mean_of, symmetric_weights
from pipeline.models.neighborhood import USER_ITEM
from pipeline.models.sparse import propagate


@dataclass(frozen=True)
class NewItems:
    """Content of new items, and their edges to the items of training.

    Shapes:
        relations: each (M, N). vectors: each (M, width of the modality). present: each (M,) bool.
    """

    relations: Mapping[str, Relation]
    vectors: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    count: int
    """M."""


@dataclass(frozen=True)
class Attached:
    """What ranking needs of new items.

    Shapes:
        vectors: (M, D). fold_in: (M, D), what an interaction adds to a new user's vector.
    """

    vectors: Tensor
    fold_in: Tensor


class Attacher:
    """A trained network that takes new items; its own layers are computed once."""

    @torch.no_grad()
    def __init__(self, model: Gat) -> None:
        """Run the network over its own items."""
        self.model = model
        self.layers = [items for _, items in model.every_layer()]
        self.inputs = direction(self.layers[0])
        counts = model.inputs.item_degrees.to(model.joint_degrees.device)
        self.median = counts[counts > 0].median()

    @torch.no_grad()
    def __call__(self, new: NewItems) -> Attached:
        """Return the vectors of new items.

        With x(0) the fused content and x(l) = (sum_j w_j x_j(l-1) - shift x(l-1)) / scale, a vector
        is the mean over l, as for every item; w is prior, share and gate of an edge.
        """
        model, options = self.model, self.model.options
        content = model.fusion.of_new(new.vectors, new.present)
        own = [self.layers[0].new_zeros(new.count, options.width) if content is None else content]
        degrees = self._degrees(new)
        weights = self._weights(new, degrees, direction(own[0]))
        for layer in self.layers[:-1]:
            arrived = own[-1] * -options.shift
            for name, values in weights.items():
                arrived = arrived + propagate(new.relations[name].edges, values, layer)
            own.append(arrived / options.scale)
        added = fold_in(own, degrees + self.median, options.shift, options.scale)
        return Attached(mean_of(own), model.relation_scale().get(USER_ITEM, 1.0) * added)

    @torch.no_grad()
    def kit(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the settings and tensors that attaching takes: pipeline/newcomers is the twin."""
        model, options = self.model, self.model.options
        shares = {name: float(share) for name, share in model.relation_scale().items()}
        settings = {
            "fusion": options.fusion,
            "modalities": model.fusion.names,
            "experts": options.experts,
            "experts_used": min(options.experts_used or options.experts, options.experts),
            "width": options.width,
            "shift": options.shift,
            "scale": options.scale,
            "median": float(self.median),
            "user_share": shares.get(USER_ITEM, 1.0),
            "relations": {
                name: {"weight": options.relation_weights[name], "share": shares[name]}
                for name in model.relations
            },
        }
        state = model.state_dict()
        tensors = {n: t for n, t in state.items() if n.startswith(("fusion.", "gates."))}
        for name, gates in model.gates.items():
            assert isinstance(gates, EdgeGates)
            tensors[f"gates.{name}.strength"] = gates.bounded_strength()
        tensors |= {"degrees": model.joint_degrees, "layers": torch.stack(self.layers)[:-1]}
        return settings, {name: t.detach().cpu() for name, t in tensors.items()}

    def _degrees(self, new: NewItems) -> Tensor:
        """Return the joint degree of each new item, (M,)."""
        total = self.layers[0].new_zeros(new.count)
        for name in self.model.relations:
            relation = new.relations[name]
            weighted = self.model.options.relation_weights[name] * relation.weights
            total = total.index_add(0, relation.edges.rows, weighted)
        return total

    def _weights(self, new: NewItems, degrees: Tensor, receivers: Tensor) -> dict[str, Tensor]:
        """Return the weight of every edge by relation, (E,) each."""
        model, scale = self.model, self.model.relation_scale()
        weights = {}
        for name in model.relations:
            edges = new.relations[name].edges
            prior = symmetric_weights(edges, degrees, model.joint_degrees)
            weights[name] = model.options.relation_weights[name] * new.relations[name].weights
            weights[name] = weights[name] * prior * scale[name]
            if model.options.heads:
                weights[name] = weights[name] * model.gates[name](edges, receivers, self.inputs)
        return weights
