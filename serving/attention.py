"""What the trained network thinks of an edge, and of what an item shows: computed when asked for.

Everything comes from the kit that attaches new items (pipeline/newcomers): its gates are functions
of both ends of an edge, so no weight of millions of edges has to be kept.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.arrays import Flags, Rows
from pipeline.newcomers import Content, Network, open_contents, open_network
from pipeline.relations import COOCCURRENCE
from serving.bundle import Bundle
from serving.reasons import TOGETHER, Edge
from serving.summaries import Plain

Named = tuple[int, Edge]
"""A shown row and its edge."""


@dataclass(frozen=True)
class Attention:
    """Tells attention weights and modality shares from a bundle's network."""

    bundle: Bundle

    @cached_property
    def _network(self) -> Network | None:
        return open_network(self.bundle.artifact)

    @cached_property
    def _contents(self) -> Mapping[str, Content]:
        return open_contents(self.bundle.artifact)

    def of_edges(self, named: Sequence[Named]) -> dict[Named, Plain]:
        """Return attention and gate of each edge that the network propagates over.

        Missing are edges of models without a network, of relations that it was not given, and of
        items that were attached after training.
        """
        network = self._network
        if network is None:
            return {}
        by_relation = defaultdict(list)
        for each in named:
            by_relation[_inside(each[1].relation)].append(each)
        found: dict[Named, Plain] = {}
        for relation in by_relation.keys() & network.relations.keys():
            found |= _of_relation(network, relation, by_relation[relation])
        return found

    def modalities(self, rows: Rows) -> list[list[Plain]]:
        """Return how much of each item's content is each modality's; nothing where it is mixed.

        Shapes:
            rows: (B,). returns: B lists, largest share first.
        """
        network = self._network
        nothing: list[list[Plain]] = [[] for _ in rows]
        if network is None or network.fusion is None or not len(rows):
            return nothing
        names = network.fusion.modalities
        if not names or any(name not in self._contents for name in names):
            return nothing
        there = np.flatnonzero(rows < len(self._contents[names[0]].present))
        asked = rows[there]
        vectors = {name: np.asarray(self._contents[name].vectors[asked]) for name in names}
        present: dict[str, Flags] = {name: self._contents[name].present[asked] for name in names}
        shares = network.fusion.shares(vectors, present)
        if shares is None:
            return nothing
        for at, row in zip(there.tolist(), shares.tolist(), strict=True):
            nothing[at] = _sorted(names, row)
        return nothing


def _inside(relation: str) -> str:
    """Return what the network calls a relation of the bundle."""
    return COOCCURRENCE if relation == TOGETHER else relation


def _of_relation(network: Network, relation: str, named: Sequence[Named]) -> dict[Named, Plain]:
    ends = np.array([(shown, edge.item) for shown, edge in named], dtype=np.int64)
    places = np.searchsorted(network.rows, ends).clip(max=len(network.rows) - 1)
    inside = (network.rows[places] == ends).all(axis=1)
    weights = np.array([edge.weight for _, edge in named], dtype=np.float32)[inside]
    receivers, senders = places[inside].T
    attention, gates = network.attention(relation, (receivers, senders), weights)
    known = [named[at] for at in np.flatnonzero(inside).tolist()]
    pairs = zip(known, attention.tolist(), gates.tolist(), strict=True)
    return {each: {"attention": weight, "gate": gate} for each, weight, gate in pairs}


def _sorted(names: Sequence[str], shares: Sequence[float]) -> list[Plain]:
    pairs = zip(names, shares, strict=True)
    found = [{"modality": name, "share": share} for name, share in pairs if share > 0]
    return sorted(found, key=lambda each: -float(str(each["share"])))
