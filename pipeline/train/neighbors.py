"""Neighbourhoods of batches, drawn from graphs wherever they lie: so many edges a node and layer.

In each layer and relation a node keeps all of its d edges, or F of them, drawn uniformly without
replacement, which then weigh d / F times as much: every edge is kept with the chance F / d, so the
expected sum over the kept edges is the sum over all (Horvitz and Thompson, 1952). Per node as in
GraphSAGE (Hamilton et al., 2017, arXiv 1706.02216). LADIES (Zou et al., 2019, arXiv 1911.07323)
draws nodes for a whole layer, which bounds its size at more variance for each node; VR-GCN (Chen
et al., 2018, arXiv 1710.10568) lowers variance by remembering every node of every layer, which
takes the memory that sampling is to save.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipeline.arrays import Floats, Rows
from pipeline.models import Edges, Inputs
from pipeline.models.neighborhood import ITEM_USER, USER_ITEM, Hop, Neighborhood
from pipeline.train.batch import TensorBatch
from pipeline.train.sampling import Batch


@dataclass(frozen=True)
class Adjacency:
    """The edges into each row, in memory or mapped: only rows that are asked for are read.

    Shapes:
        indptr: (R+1,). indices: (E,). weights: (E,), None for 1 each.
    """

    indptr: Rows
    indices: Rows
    weights: Floats | None = None

    def drawn(self, rows: Rows, most: int | None, rng: np.random.Generator | None) -> "Drawn":
        """Return at most so many edges into each row, or all; ``rng`` None draws nothing.

        Shapes:
            rows: (R,).
        """
        starts = self.indptr[rows].astype(np.int64)
        degrees = self.indptr[rows + 1] - starts
        if most is None or rng is None:
            most, rng = int(degrees.max(initial=0)), np.random.default_rng(0)
        counts, offsets = chosen(degrees, most, rng)
        places = np.repeat(starts, counts) + offsets
        chance = (counts / np.maximum(degrees, 1)).astype(np.float32)
        weights: Floats = 1 / np.repeat(chance, counts)
        if self.weights is not None:
            weights *= self.weights[places]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return Drawn(indptr, np.asarray(self.indices[places]), weights)


@dataclass(frozen=True)
class Drawn:
    """Some edges into some rows.

    Shapes:
        indptr: (R+1,). senders: (E,), rows of the whole graph. weights: (E,).
    """

    indptr: Rows
    senders: Rows
    weights: Floats

    def hop(self, senders: Rows, columns: int) -> Hop:
        """Return the edges as a pattern, for senders (E,) numbered anew below ``columns``."""
        shape = len(self.indptr) - 1, columns
        order = np.arange(len(senders))
        by_row = sp.csr_matrix((order, senders, self.indptr), shape=shape, copy=True)
        by_row.sort_indices()
        weights = self.weights[by_row.data]
        by_row.data = order
        by_column = by_row.tocsc()
        edges = Edges(
            _long(by_row.indptr),
            _long(by_row.indices),
            _long(by_column.indptr),
            _long(by_column.indices),
            _long(by_column.data),
            shape,
        )
        return Hop(edges, torch.from_numpy(weights))


def _long(numbers: Rows) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64, copy=False))


def ranges(starts: Rows, counts: Rows) -> Rows:
    """Return ``starts[r], starts[r] + 1, ...`` for each r in turn, ``counts[r]`` of them.

    Shapes:
        starts, counts: (R,). returns: (sum of counts,).
    """
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def chosen(degrees: Rows, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return how many of its edges each row keeps, and which, numbered from 0 in each row.

    Shapes:
        degrees: (R,). returns: (R,), and one number for each kept edge, rows one after another.
    """
    counts = np.minimum(degrees, most)
    offsets = ranges(np.zeros_like(degrees), counts)
    many = degrees > most
    if many.any():
        offsets[np.repeat(many, counts)] = distinct(degrees[many], most, rng).ravel()
    return counts, offsets


def distinct(sizes: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Return ``count`` different numbers below each size, each such set with the same chance.

    Floyd's algorithm (Bentley and Floyd, CACM 1987) for all rows at once: the k-th number is drawn
    below ``size - count + k + 1``, and is the last of these where what was drawn is already taken.
    It needs no pass over a row, however many edges that has.

    Shapes:
        sizes: (R,), each at least ``count``. returns: (R, count).
    """
    found = np.empty((len(sizes), count), dtype=np.int64)
    for k, uniform in enumerate(rng.random((count, len(sizes)))):
        last = sizes - count + k
        drawn = (uniform * (last + 1)).astype(np.int64)
        taken = (found[:, :k] == drawn[:, None]).any(axis=1)
        found[:, k] = np.where(taken, last, drawn)
    return found


class Numbering:
    """Numbers for rows in the order in which they come; one number for each row of the graph.

    It keeps four bytes for each of ``size`` rows, and touches those it is asked for.
    """

    def __init__(self, size: int) -> None:
        """Number none of ``size`` rows yet."""
        self._numbers = np.full(size, -1, dtype=np.int32)
        self._rows: list[Rows] = []
        self.count = 0

    def of(self, rows: Rows) -> Rows:
        """Return the number of each row, after giving the new ones theirs; equal shapes."""
        new = rows[self._numbers[rows] < 0]
        if len(new):
            order = np.arange(len(new), dtype=np.int32)
            self._numbers[new] = order  # of a row that comes twice, one place stays
            new = new[self._numbers[new] == order]
            self._numbers[new] = np.arange(self.count, self.count + len(new), dtype=np.int32)
            self._rows.append(new)
            self.count += len(new)
        return self._numbers[rows]

    def known(self) -> Rows:
        """Return the rows by number, (count,)."""
        return np.concatenate([np.empty(0, np.int64), *self._rows])

    def clear(self) -> None:
        """Forget all numbers."""
        self._numbers[self.known()] = -1
        self._rows, self.count = [], 0


class Neighbors:
    """Draws the neighbourhoods of batches; its graphs and contents may be memory-mapped."""

    def __init__(self, inputs: Inputs, relations: Sequence[str], fan_out: Sequence[int]) -> None:
        """Keep at most ``fan_out[0]`` edges of each kind into a node of the batch, and so on."""
        edges = inputs.user_item
        self.fan_out = tuple(fan_out)
        self.inputs = inputs
        self._into_users = Adjacency(edges.indptr.numpy(), edges.indices.numpy())
        from_users = edges.transposed_indptr.numpy(), edges.transposed_indices.numpy()
        self._into_items = {ITEM_USER: Adjacency(*from_users)}
        for name in relations:
            relation = inputs.relations[name]
            pattern = relation.edges.indptr.numpy(), relation.edges.indices.numpy()
            self._into_items[name] = Adjacency(*pattern, relation.weights.numpy())
        self._users, self._items = Numbering(inputs.users), Numbering(inputs.items)

    def batch(self, batch: Batch, rng: np.random.Generator | None) -> TensorBatch:
        """Return a batch by its places in its neighbourhood, and that; ``rng`` None keeps all."""
        users = _long(self._users.of(batch.users))
        positives = _long(self._items.of(batch.positives))
        negatives = _long(self._items.of(batch.negatives))
        near = self._around((self._users.count, self._items.count), rng)
        return TensorBatch(users, positives, negatives, near=near)

    def _around(self, own: tuple[int, int], rng: np.random.Generator | None) -> Neighborhood:
        users, items = self._known()
        hops: list[Mapping[str, Hop]] = []
        for most in self.fan_out:
            hops.append(self._layer(users, items, most, rng))
            users, items = self._known()
        self._users.clear()
        self._items.clear()
        degrees = self._into_users.indptr[users + 1] - self._into_users.indptr[users]
        rows = torch.from_numpy(items)
        return Neighborhood(
            torch.from_numpy(users),
            rows,
            own,
            hops[::-1],
            torch.from_numpy(degrees.astype(np.float32)),
            {name: v[rows].float() for name, v in self.inputs.vectors.items()},
            {name: p[rows] for name, p in self.inputs.present.items()},
        )

    def _known(self) -> tuple[Rows, Rows]:
        return self._users.known(), self._items.known()

    def _layer(
        self, users: Rows, items: Rows, most: int, rng: np.random.Generator | None
    ) -> Mapping[str, Hop]:
        """Return the edges into some users and items; those that send have their numbers then."""
        drawn = {USER_ITEM: self._into_users.drawn(users, most, rng)}
        drawn |= {n: a.drawn(items, most, rng) for n, a in self._into_items.items()}
        senders = {n: self._numbering(n).of(d.senders) for n, d in drawn.items()}
        return {n: d.hop(senders[n], self._numbering(n).count) for n, d in drawn.items()}

    def _numbering(self, hop: str) -> Numbering:
        """Return the numbers of those who send over a hop."""
        return self._users if hop == ITEM_USER else self._items


def on_device(batch: TensorBatch, device: torch.device) -> TensorBatch:
    """Return a batch with its neighbourhood on ``device``."""
    near: Neighborhood | None = None if batch.near is None else batch.near.to(device)
    tensors: list[Tensor] = [batch.users, batch.positives, batch.negatives]
    users, positives, negatives = (t.to(device) for t in tensors)
    return replace(batch, users=users, positives=positives, negatives=negatives, near=near)
