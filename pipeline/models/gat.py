"""PlotPointe's model: heterogeneous graph attention over interactions and item-item relations.

An item enters as the gated fusion of its modalities plus, where it has training interactions, an
id embedding. Vectors then travel over user-item edges and any number of item-item relations
(text kNN, image kNN, co-occurrence, ...), whose edges carry bounded attention gates (attention.py)
and whose shares are a learned softmax. Nothing is multiplied or bent between layers, and the
result is the mean over layers, as in LightGCN (He et al., 2020).

User-item edges keep their normalised weight unless ``attend_users`` is set: they are the very
positives of training, and a gate on them learns to let each positive through rather than what to
recommend (measured on Amazon Baby: validation Recall@20 .0942 with, .0978 without any gate).

With gates at zero it is the joint-graph propagation of SSC (KDD 2025, arXiv 2502.08071): one graph
of user-item and item-item edges, symmetrically normalised together, with a shifted spectrum. What
is changed: gates, learned relation shares, and inputs made from content, so that an item without
interactions gets its vector through the same network.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.models.attention import EdgeGates, direction
from pipeline.models.base import (
    MODELS,
    Inputs,
    Options,
    Outputs,
    Recommender,
    Relation,
    Vectors,
    kept,
    new_ids,
    only_known_users,
    seeded,
)
from pipeline.models.fusion import Fusion
from pipeline.models.linear import (
    Step,
    drop_edges,
    fold_in,
    fold_in_degrees,
    layer_means,
    layers_of,
    mean_of_powers,
    symmetric_weights,
)
from pipeline.models.neighborhood import USER_ITEM
from pipeline.models.sparse import Edges, Union, propagate


@MODELS.register("gat")
class Gat(Recommender):
    """Graph attention that contains the strong linear model."""

    masks_edges = True
    holds_content: ClassVar[bool] = True
    """Whether the content of all items is kept as it enters the fusion."""
    hot_rows: Tensor
    joint_degrees: Tensor
    initial_shares: Tensor

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Draw parameters from ``seed``."""
        super().__init__(inputs)
        self.options = options
        chosen = options.relation_weights
        self.relations = {n: inputs.relations[n] for n in sorted(inputs.relations) if chosen.get(n)}
        self.attended = [*([USER_ITEM] if options.attend_users else []), *self.relations]
        weights = [1.0 if n == USER_ITEM else chosen[n] for n in self.attended]
        initial = torch.tensor(weights, device=inputs.hot.device)
        self._constant("hot_rows", inputs.hot.nonzero().squeeze(1))
        with seeded(seed):
            self.users = new_ids(inputs.users, options)
            self.items = new_ids(len(self.hot_rows), options)
            self.fusion = Fusion(inputs.vectors, inputs.present, options, self.holds_content)
            self.gates = nn.ModuleDict(
                {n: EdgeGates(options.width, options.heads) for n in self.attended if options.heads}
            )
        self.relation_logits = nn.Parameter(initial.log())
        self._constant("initial_shares", torch.softmax(initial.log(), dim=0))
        strengths = (chosen[n] * _strength(r) for n, r in self.relations.items())
        self._constant("joint_degrees", inputs.item_degrees + sum(strengths, torch.zeros(())))
        self._constant_matrix: Tensor | None = None

    def _constant(self, name: str, tensor: Tensor) -> None:
        """Keep what follows from the inputs and goes where the parameters go."""
        self.register_buffer(name, tensor, persistent=False)

    @cached_property
    def union(self) -> Union:
        """Return the edges of all item-item relations as one pattern."""
        return Union.of([r.edges for r in self.relations.values()], self.inputs.items)

    @cached_property
    def priors(self) -> dict[str, Tensor]:
        """Return the jointly normalised edge weights of each relation, (E,) each."""
        items = self.joint_degrees
        priors = {
            USER_ITEM: symmetric_weights(self.inputs.user_item, self.inputs.user_degrees, items)
        }
        for name, relation in self.relations.items():
            weight = self.options.relation_weights[name]
            normal = symmetric_weights(relation.edges, items, items)
            priors[name] = weight * relation.weights * normal
        return priors

    def forward(
        self, noise: torch.Generator | None = None, factors: Tensor | None = None
    ) -> Vectors:
        """Return layer means, and the id embeddings of users and of hot items (zero elsewhere)."""
        if factors is None and self._edges_are_constant(noise):
            inputs = torch.cat([self.users, self.item_input(noise)])
            means = mean_of_powers(self._matrix(), inputs, self.options.layers)
            users, items = torch.split(means, [self.inputs.users, self.inputs.items])
        else:
            layers = self._layers(noise, factors)
            users, items = layer_means(layers, self.options.layer_dropout, noise)
        return Vectors(users, items, self.users, self._padded(self.items), self.fusion.auxiliary())

    def _edges_are_constant(self, noise: torch.Generator | None) -> bool:
        """Return whether a step multiplies with the same matrix as every other step."""
        options = self.options
        dropping = options.edge_dropout or options.layer_dropout or options.new_items
        learning = options.heads or self.relation_logits.requires_grad
        return not learning and (noise is None or not dropping)

    @torch.no_grad()
    def _matrix(self) -> Tensor:
        """Return one layer of all users and items as a symmetric CSR matrix, made once."""
        if self._constant_matrix is None:
            self._constant_matrix = self._joint()
        return self._constant_matrix

    def _joint(self) -> Tensor:
        users, size = self.inputs.users, self.inputs.users + self.inputs.items
        edges, union, weights = (
            self.inputs.user_item,
            self.union,
            self.edge_weights(self.users, self.users),
        )
        between = union.merged([weights[n] for n in self.relations])
        everybody = torch.arange(size, device=edges.indices.device)
        taken = torch.stack([edges.rows, users + edges.indices])
        alike = users + torch.stack([union.edges.rows, union.edges.indices])
        places = torch.cat([taken, taken.flip(0), alike, everybody.expand(2, -1)], dim=1)
        shift = torch.full((size,), -self.options.shift, device=everybody.device)
        values = torch.cat([weights[USER_ITEM], weights[USER_ITEM], between, shift])
        joint = torch.sparse_coo_tensor(
            places, values / self.options.scale, (size, size), check_invariants=False
        )
        return joint.coalesce().to_sparse_csr()

    def modality_views(self, rows: Tensor) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Return what each modality would put into some items if it were their only one."""
        return self.fusion.alone(rows)

    def _layers(
        self, noise: torch.Generator | None, factors: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        fresh = self._drawn_new(noise, self.fusion.has_content(self.inputs.items))
        users, items = self.users, self.item_input(noise, fresh)
        weights = self.edge_weights(users, items)
        weights[USER_ITEM] = drop_edges(weights[USER_ITEM], self.options.edge_dropout, noise)
        if factors is not None:
            weights[USER_ITEM] = weights[USER_ITEM] * factors
        if fresh is not None:
            weights[USER_ITEM] = weights[USER_ITEM] * ~fresh[self.inputs.user_item.indices]
        return layers_of(users, items, self._step(weights), self.options.layers)

    def _drawn_new(self, noise: torch.Generator | None, content: Tensor) -> Tensor | None:
        """Return which items with ``content`` are treated as new in this step, (N,) bool each.

        A new item has neither an id embedding nor a user-item edge, in either direction: a user's
        vector must not hold the content of an item whose score it is trained on, as it never will
        for an item that is really new. Hiding ids alone leaves the trace of the item's users.
        """
        if noise is None or not self.options.new_items:
            return None
        spared = kept((len(content),), self.options.new_items, self.users, noise)
        return ~spared & content

    def item_input(self, noise: torch.Generator | None, fresh: Tensor | None = None) -> Tensor:
        """Return the fused content plus id embedding of every item, (N, D).

        Shapes:
            fresh: (N,) bool, items without an id embedding.
        """
        ids = self._padded(self.items)
        if fresh is not None:
            ids = ids * ~fresh.unsqueeze(1)
        return self.with_ids(self.fusion(noise), ids, self.fusion.has_content(len(ids)), noise)

    def with_ids(
        self, content: Tensor | None, ids: Tensor, has: Tensor, noise: torch.Generator | None
    ) -> Tensor:
        """Return content plus id embeddings, some of these hidden from items that have content.

        Shapes:
            content, ids: (N, D). has: (N,) bool, which items have content.
        """
        if content is None:
            return ids
        if noise is not None and self.options.id_dropout:
            survives = kept((len(ids),), self.options.id_dropout, ids, noise) | ~has
            ids = ids * survives.unsqueeze(1)
        return content + ids

    def _padded(self, hot: Tensor) -> Tensor:
        whole = hot.new_zeros(self.inputs.items, hot.shape[1])
        return whole.index_copy(0, self.hot_rows, hot)

    def edge_weights(self, users: Tensor, items: Tensor) -> dict[str, Tensor]:
        """Return each relation's edge weights, (E,) each: prior, share and attention.

        Shapes:
            users: (U, D) and items: (N, D), the inputs of the first layer.
        """
        weights = dict(self.priors)
        for name, scale in self.relation_scale().items():
            weights[name] = weights[name] * scale
        if not self.options.heads:
            return weights
        ends = {USER_ITEM: (direction(users), direction(items))}
        for name, gates in self.gates.items():
            receivers, senders = ends.get(name, (ends[USER_ITEM][1], ends[USER_ITEM][1]))
            weights[name] = weights[name] * gates(self._edges(name), receivers, senders)
        return weights

    def _edges(self, name: str) -> Edges:
        return self.inputs.user_item if name == USER_ITEM else self.relations[name].edges

    def relation_scale(self) -> dict[str, Tensor]:
        """Return each learned relation's share over its initial share; 1 for a new model."""
        scale = torch.softmax(self.relation_logits, dim=0) / self.initial_shares
        return dict(zip(self.attended, scale, strict=True))

    def _step(self, weights: dict[str, Tensor]) -> Step:
        edges, shift, scale = self.inputs.user_item, self.options.shift, self.options.scale
        to_users = weights[USER_ITEM] / scale
        to_items = to_users[edges.permutation]
        between = self.union.merged([weights[n] / scale for n in self.relations])

        def step(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
            """Return the next layer of users (U, D) and items (N, D)."""
            next_users = propagate(edges, to_users, items)
            next_items = propagate(edges.transpose, to_items, users)
            if self.relations:
                next_items = next_items + propagate(self.union.edges, between, items)
            if shift:
                next_users = torch.add(next_users, users, alpha=-shift / scale)
                next_items = torch.add(next_items, items, alpha=-shift / scale)
            return next_users, next_items

        return step

    def every_layer(self) -> list[tuple[Tensor, Tensor]]:
        """Return users (U, D) and items (N, D) before propagation and after each layer."""
        return self._layers(None)

    @torch.no_grad()
    def outputs(self) -> Outputs:
        """Return vectors, and the fold-in of the linear part (a new user's gates are neutral)."""
        layers = self.every_layer()
        users, items = layer_means(layers, 0.0, None)
        degrees = fold_in_degrees(self.inputs, self.joint_degrees)
        added = fold_in([x for _, x in layers], degrees, self.options.shift, self.options.scale)
        return Outputs(
            {
                "user_vectors": only_known_users(users, self.inputs),
                "item_vectors": items,
                "fold_in": self.relation_scale().get(USER_ITEM, 1.0) * added,
            }
        )

    @torch.no_grad()
    def learned(self) -> dict[str, float]:
        """Return relation shares, mean attention strengths and what fusion learned."""
        shares = torch.softmax(self.relation_logits, dim=0).tolist()
        found = {f"share/{n}": s for n, s in zip(self.attended, shares, strict=True)}
        for name, gates in self.gates.items():
            assert isinstance(gates, EdgeGates)
            found[f"attention/{name}"] = float(gates.bounded_strength().abs().mean())
        return found | self.fusion_learned()

    def fusion_learned(self) -> dict[str, float]:
        """Return the few numbers a reader wants to know about the fusion."""
        return self.fusion.learned()


def _strength(relation: Relation) -> Tensor:
    """Return the sum of edge weights at each item, (N,)."""
    return torch.segment_reduce(relation.weights, "sum", offsets=relation.edges.indptr, initial=0)
