"""gat over sampled neighbourhoods: a step takes what its batch touches, whatever the graph's size.

Propagation is linear in its inputs once gates are known, and a gate reads the inputs of its own
two ends alone. So where each layer's edges are drawn independently and weigh the inverse of the
chance that they were, the expected vectors of a step are those of the whole graph (the estimator
of Horvitz and Thompson, 1952; layers after Hamilton et al., GraphSAGE, 2017, arXiv 1706.02216). The
loss bends them, so its gradient is biased by their variance, as in every sampler of this kind.

What ranks is computed exactly, a block of rows at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.models.attention import EdgeGates, direction
from pipeline.models.base import Vectors
from pipeline.models.gat import Gat
from pipeline.models.gated import Gate
from pipeline.models.linear import drop_edges, layer_means, symmetric_weights
from pipeline.models.neighborhood import (
    ITEM_USER,
    USER_ITEM,
    Hop,
    Neighborhood,
    Shifted,
    Values,
    Weights,
    arriving,
    layers_near,
)
from pipeline.models.sparse import Edges

BLOCK_EDGES = 1 << 20
"""Edges of the rows that are propagated to at once where the whole graph is."""
BLOCK_ITEMS = 1 << 15
"""Items whose content is fused at once."""


@dataclass(frozen=True)
class Ends:
    """What the weight of an edge depends on at its ends.

    Shapes:
        user_degrees: (A,). item_degrees: (B,), joint. gates: by hop, of receivers and senders.
    """

    user_degrees: Tensor
    item_degrees: Tensor
    gates: Mapping[str, Gate]

    def into(self, users: slice, items: slice) -> "Ends":
        """Return the ends of those edges that lead to some users and items."""
        rows = {USER_ITEM: users}
        gates = {
            hop: Gate(gate.queries[rows.get(hop, items)], gate.keys, gate.bound)
            for hop, gate in self.gates.items()
        }
        return Ends(self.user_degrees[users], self.item_degrees[items], gates)


@dataclass(frozen=True)
class Side:
    """One direction of a relation, wherever it lies.

    Shapes:
        indptr: (R+1,). indices: (E,). weights: (E,), None for 1 each.
    """

    indptr: Tensor
    indices: Tensor
    columns: int
    """C, the senders of the whole graph."""
    weights: Tensor | None = None

    def hop(self, rows: slice) -> Hop:
        """Return all edges into consecutive rows, senders by their row of the whole graph."""
        begin, end = int(self.indptr[rows.start]), int(self.indptr[rows.stop])
        indptr = self.indptr[rows.start : rows.stop + 1].long() - begin
        indices = self.indices[begin:end].long()
        pattern = Edges.of(indptr, indices, (rows.stop - rows.start, self.columns))
        weights = torch.ones(end - begin) if self.weights is None else self.weights[begin:end]
        return Hop(pattern, weights)


class SampledGat(Gat):
    """The same parameters and the same vectors as ``Gat``, from a part of the graph at a time.

    Its inputs may lie on disk and stay on the host: edges and content are read where a batch or a
    block touches them. What it keeps for each node are parameters and a few numbers.
    """

    holds_content = False

    @cached_property
    def places(self) -> Tensor:
        """Return the row of each item's id embedding, (N,); that of a warm item means nothing."""
        counted = self.inputs.hot.cumsum(0) - 1
        return counted.clamp(min=0).to(self.joint_degrees.device)

    def near(self, near: Neighborhood, noise: torch.Generator | None = None) -> Vectors:
        """Return the layer means of a batch's users and items, and their id embeddings.

        Shapes:
            returns: rows are the batch's own users and own items, in their order there.
        """
        parts, shown = self.fusion.entering(near.vectors, near.present, len(near.items))
        fresh = self._drawn_new(noise, shown.any(dim=1))
        users = functional.embedding(near.users, self.users, sparse=True)
        ids = self._ids_of(near.items)
        content = self.fusion.content(parts, shown, noise)
        entering = ids if fresh is None else ids * ~fresh.unsqueeze(1)
        items = self.with_ids(content, entering, shown.any(dim=1), noise)
        ends = Ends(near.user_degrees, self.joint_degrees[near.items], self._gates(users, items))
        values = [self._noisy(hops, self._values(hops, ends), fresh, noise) for hops in near.hops]
        layers = layers_near(near, users, items, values, self._shifted())
        means = layer_means(layers, self.options.layer_dropout, noise)
        extra = self.fusion.extra(parts, shown)
        return Vectors(*means, users[: near.own[0]], ids[: near.own[1]], extra)

    def _shifted(self) -> Shifted:
        return Shifted(self.options.shift, self.options.scale)

    def _ids_of(self, items: Tensor) -> Tensor:
        """Return the id embeddings of some items, zero for warm ones, (B, D)."""
        hot = (self.item_degrees[items] > 0).nonzero().squeeze(1)
        found = functional.embedding(self.places[items[hot]], self.items, sparse=True)
        return found.new_zeros(len(items), found.shape[1]).index_copy(0, hot, found)

    @cached_property
    def item_degrees(self) -> Tensor:
        """Return each item's number of training interactions, (N,), beside the parameters."""
        return self.inputs.item_degrees.to(self.joint_degrees.device)

    def _values(self, hops: Mapping[str, Hop], ends: Ends, into: Ends | None = None) -> Values:
        """Return the weight of each edge by hop: prior, share and attention, over its chance.

        ``into`` are the receivers' ends; None where those are the first of ``ends``.
        """
        into, scale, values = into or ends, self.relation_scale(), {}
        for name, hop in hops.items():
            relation = USER_ITEM if name == ITEM_USER else name
            degrees = (
                into.user_degrees if name == USER_ITEM else into.item_degrees,
                ends.user_degrees if name == ITEM_USER else ends.item_degrees,
            )
            value = hop.weights * symmetric_weights(hop.edges, *degrees)
            if relation != USER_ITEM:
                value = value * self.options.relation_weights[relation]
            if relation in scale:
                value = value * scale[relation]
            gate = into.gates.get(name)
            values[name] = Weights(value, gate and gate.between(*hop.edges.shape))
        return values

    def _gates(self, users: Tensor, items: Tensor) -> Mapping[str, Gate]:
        """Return the gate of each hop; a relation has one for both of its directions.

        Shapes:
            users: (A, D) and items: (B, D), the inputs of the first layer.
        """
        into, found = {USER_ITEM: direction(users)}, {}
        sending = direction(items)
        for relation, gates in self.gates.items():
            assert isinstance(gates, EdgeGates)
            found[relation] = gates.of(into.get(relation, sending), sending)
        if USER_ITEM in found:
            found[ITEM_USER] = found[USER_ITEM].turned()
        return found

    def _noisy(
        self,
        hops: Mapping[str, Hop],
        values: Values,
        fresh: Tensor | None,
        noise: torch.Generator | None,
    ) -> Values:
        """Return edge weights with user-item edges dropped, and without those of ``fresh`` items.

        Shapes:
            fresh: (B,) bool.
        """
        found = dict(values)
        for name in (USER_ITEM, ITEM_USER):
            value = drop_edges(found[name].values, self.options.edge_dropout, noise)
            if fresh is not None:
                edges = hops[name].edges
                at = edges.indices if name == USER_ITEM else edges.rows
                value = value * ~fresh[at]
            found[name] = replace(found[name], values=value)
        return found

    def item_input(self, noise: torch.Generator | None, fresh: Tensor | None = None) -> Tensor:
        """Return what ``Gat`` returns without noise, (N, D), reading a block of content at a time.

        Raises:
            NotImplementedError: with noise; a step is ``near``.
        """
        if noise is not None or fresh is not None:
            raise NotImplementedError("a step of sampled propagation is near(...)")
        ids = self._padded(self.items)
        if not self.inputs.vectors:
            return ids
        for start in range(0, len(ids), BLOCK_ITEMS):
            rows = slice(start, start + BLOCK_ITEMS)
            content = self.fusion.content(*self._entering(rows), None)
            assert content is not None
            ids[rows] += content
        return ids

    def _entering(self, rows: slice) -> tuple[list[Tensor], Tensor]:
        """Return what enters the fusion of some items, read from where their vectors lie."""
        device = self.joint_degrees.device
        vectors = {n: v[rows].to(device) for n, v in self.inputs.vectors.items()}
        present = {n: p[rows].to(device) for n, p in self.inputs.present.items()}
        return self.fusion.entering(vectors, present, len(self.joint_degrees[rows]))

    def fusion_learned(self) -> dict[str, float]:
        """Return what ``Gat`` returns, from at most ``BLOCK_ITEMS`` items at equal distances."""
        step = -(-self.inputs.items // BLOCK_ITEMS)
        return self.fusion.told(*self._entering(slice(None, None, step)))

    @torch.no_grad()
    def every_layer(self) -> list[tuple[Tensor, Tensor]]:
        """Return what ``Gat`` returns, from blocks of rows: one layer holds no edge of another."""
        users, items = self.users.detach(), self.item_input(None)
        degrees = self.inputs.user_degrees.to(users.device), self.joint_degrees
        ends = Ends(*degrees, self._gates(users, items))
        found = [(users, items)]
        for _ in range(self.options.layers):
            found.append(self._next_layer(*found[-1], ends))
        return found

    def _next_layer(self, users: Tensor, items: Tensor, ends: Ends) -> tuple[Tensor, Tensor]:
        shifted, nobody = self._shifted(), slice(0, 0)
        next_users, next_items = torch.empty_like(users), torch.empty_like(items)
        edges = self.inputs.user_item
        sides = {USER_ITEM: Side(edges.indptr, edges.indices, len(items))}
        for rows in blocks_of([edges.indptr]):
            hops = {n: side.hop(rows).to(users.device) for n, side in sides.items()}
            values = self._values(hops, ends, ends.into(rows, nobody))
            next_users[rows] = shifted(arriving(hops, values, items, [*hops]), users[rows])
        sides = {ITEM_USER: Side(edges.transposed_indptr, edges.transposed_indices, len(users))}
        for name, relation in self.relations.items():
            pattern = relation.edges
            sides[name] = Side(pattern.indptr, pattern.indices, len(items), relation.weights)
        for rows in blocks_of([side.indptr for side in sides.values()]):
            hops = {n: side.hop(rows).to(users.device) for n, side in sides.items()}
            values = self._values(hops, ends, ends.into(nobody, rows))
            arrived = arriving(hops, values, users, [ITEM_USER])
            if self.relations:
                arrived = arrived + arriving(hops, values, items, [*self.relations])
            next_items[rows] = shifted(arrived, items[rows])
        return next_users, next_items


def blocks_of(indptrs: list[Tensor], most: int = BLOCK_EDGES) -> Iterator[slice]:
    """Yield consecutive rows with about ``most`` edges over all patterns, or one row with more.

    Shapes:
        indptrs: (R+1,) each.
    """
    total = torch.stack([indptr.long() for indptr in indptrs]).sum(dim=0)
    wanted = torch.arange(0, int(total[-1]), most)
    starts = torch.cat([torch.searchsorted(total, wanted), torch.tensor([0])])
    cuts = [*torch.unique(starts).tolist(), len(total) - 1]
    for start, stop in pairwise(cuts):
        if stop > start:
            yield slice(start, stop)
