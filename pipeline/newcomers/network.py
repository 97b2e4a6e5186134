"""The trained network's layers, over edges that point from its items to new ones alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.newcomers.fusion import Fusion

_TINY = np.float32(1e-12)

Ends = tuple[Rows, Rows]
"""Receivers and senders of edges."""


@dataclass(frozen=True)
class Relation:
    """How a relation between items counts, and the gates of its edges.

    Shapes:
        query, key: (D, heads times the width of a head). strength: (H,), between -1 and 1. All
        three are None without attention.
    """

    weight: float
    """Of an edge against 1 for a user-item edge, at first."""
    share: float
    """What training made of that weight: 1 for nothing."""
    divisor: float
    """The mean weight of the edges of training, by which a cosine is divided."""
    query: Floats | None = None
    key: Floats | None = None
    strength: Floats | None = None


@dataclass(frozen=True)
class Arrivals:
    """New items: their content, and their edges to the items of the network.

    Shapes:
        vectors: (M, width of the modality) each. present: (M,) each. edges: CSR (M, A) each,
        cosines, A items of the network.
    """

    vectors: Mapping[str, Floats]
    present: Mapping[str, Flags]
    edges: Mapping[str, sp.csr_matrix]
    count: int
    """M."""


@dataclass(frozen=True)
class Vectors:
    """What ranking needs of new items.

    Shapes:
        items: (M, D). fold_in: (M, D), what an interaction adds to a new user's vector.
    """

    items: Floats
    fold_in: Floats


@dataclass(frozen=True)
class Network:
    """A trained network that takes new items; what ``Attacher`` is in torch.

    Shapes:
        rows: (A,) the catalogue's rows of the network's items. layers: (L, A, D), without the
        last. degrees: (A,).
    """

    fusion: Fusion | None
    """None where the model looks at no content."""
    relations: Mapping[str, Relation]
    rows: Rows
    layers: Floats
    degrees: Floats
    median: float
    """Of the interactions of an item that has any."""
    user_share: float
    """What training made of the weight of user-item edges."""
    shift: float
    scale: float
    width: int
    loudness: float = 1.0
    """What the vectors of items without interactions are multiplied by (train.new_item_share)."""

    def __call__(self, new: Arrivals) -> Vectors:
        """Return the vectors of new items, each independent of the others."""
        content = np.zeros((new.count, self.width), dtype=np.float32)
        if self.fusion is not None:
            content = self.fusion.content(new.vectors, new.present)
        weighted = {
            name: sp.csr_matrix(new.edges[name], dtype=np.float32)
            * np.float32(r.weight / r.divisor)
            for name, r in self.relations.items()
            if name in new.edges
        }
        degrees = sum(
            (np.asarray(m.sum(axis=1)).ravel() for m in weighted.values()), np.zeros(new.count)
        ).astype(np.float32)
        received = [self._gated(name, edges, degrees, content) for name, edges in weighted.items()]
        own = [content]
        for layer in self.layers:
            arrived = own[-1] * np.float32(-self.shift)
            for edges, columns in received:
                arrived = arrived + edges @ np.asarray(layer[columns])
            own.append(arrived / np.float32(self.scale))
        items: Floats = (np.sum(own, axis=0) / np.float32(len(own))).astype(np.float32)
        fold_in = self._fold_in(own, degrees + np.float32(self.median))
        return Vectors(items * np.float32(self.loudness), fold_in)

    def _gated(
        self, name: str, edges: sp.csr_matrix, degrees: Floats, content: Floats
    ) -> tuple[sp.csr_matrix, Rows]:
        """Return a relation's edges with prior, share and attention, and the items they are from.

        Shapes:
            edges: CSR (M, A). returns: CSR (M, C), (C,).
        """
        relation = self.relations[name]
        columns, local = np.unique(edges.indices, return_inverse=True)
        owners = np.repeat(np.arange(edges.shape[0]), np.diff(edges.indptr))
        roots = _inverse_root(degrees)[owners] * _inverse_root(self.degrees[columns])[local]
        values = edges.data * roots * np.float32(relation.share)
        if relation.query is not None and len(columns) and len(self.layers):
            values = values * _gates(
                relation, _direction(content), _direction(self.layers[0][columns]), owners, local
            )
        shape = (edges.shape[0], len(columns))
        return sp.csr_matrix((values, local, edges.indptr), shape=shape), columns

    def attention(self, name: str, edges: Ends, weights: Floats) -> tuple[Floats, Floats]:
        """Return what the network makes of edges between its own items, and the gates in that.

        The first is what a layer multiplies by what travels over the edge, before it divides by
        ``scale``: normalised weight, learned share of the relation, gate.

        Shapes:
            edges: (E,) twice, places among ``rows``. weights: (E,), of the graph, the larger where
            both ends name the edge. returns: (E,) twice.
        """
        relation, (receivers, senders) = self.relations[name], edges
        roots = _inverse_root(self.degrees[receivers]) * _inverse_root(self.degrees[senders])
        gates = np.ones(len(receivers), dtype=np.float32)
        if relation.query is not None and len(self.layers) and len(receivers):
            to, come = (_direction(np.asarray(self.layers[0][side])) for side in edges)
            each = np.arange(len(receivers))
            gates = _gates(relation, to, come, each, each)
        values = weights * np.float32(relation.weight / relation.divisor * relation.share)
        return (values * roots * gates).astype(np.float32), gates

    def _fold_in(self, own: Sequence[Floats], degrees: Floats) -> Floats:
        """Return what an interaction adds to a stranger's vector: models/linear.py derives it."""
        last = len(own) - 1
        total = np.zeros_like(own[0])
        for j in range(last):
            steps = range(last - j)
            decay = sum((-self.shift / self.scale) ** step for step in steps) / self.scale
            total = total + np.float32(decay) * own[j]
        added = total * _inverse_root(degrees)[:, None] / np.float32(last + 1)
        return (np.float32(self.user_share) * added).astype(np.float32)


def _gates(
    relation: Relation, receivers: Floats, senders: Floats, owners: Rows, local: Rows
) -> Floats:
    """Return each edge's factor, strictly between 0 and 2.

    Shapes:
        receivers: (M, D). senders: (C, D). owners, local: (E,). returns: (E,).
    """
    assert relation.query is not None
    assert relation.key is not None
    assert relation.strength is not None
    heads = len(relation.strength)
    queries = (receivers @ relation.query).reshape(len(receivers), heads, -1)[owners]
    keys = (senders @ relation.key).reshape(len(senders), heads, -1)[local]
    agreement = np.tanh(np.einsum("ehd,ehd->eh", queries, keys) / np.sqrt(queries.shape[2]))
    factor: Floats = 1 + agreement @ (relation.strength / heads)
    return factor.astype(np.float32)


def _inverse_root(degrees: Floats) -> Floats:
    roots: Floats = np.where(degrees > 0, 1 / np.sqrt(np.maximum(degrees, _TINY)), 0)
    return roots.astype(np.float32)


def _direction(x: Floats) -> Floats:
    """Return rows of root mean square 1; zero rows stay."""
    size = np.sqrt(np.square(x).mean(axis=1, keepdims=True))
    turned: Floats = np.where(size > 0, x / np.maximum(size, np.float32(1e-20)), 0)
    return turned.astype(np.float32)
