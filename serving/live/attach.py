"""From the content of new items to everything that serving needs of them, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows, unit_rows
from pipeline.errors import DataError
from pipeline.newcomers import (
    Arrivals,
    Content,
    Neighbourhood,
    Network,
    open_contents,
    open_network,
)
from serving.bundle import Bundle
from serving.live.grown import Edges
from serving.messages_items import AttachedBy

BY_NETWORK: AttachedBy = "network"
BY_NEIGHBOURS: AttachedBy = "neighbours"
_AT_ONCE = 256


class ContentError(DataError):
    """What was sent cannot be used: 422."""


class CannotAttachError(DataError):
    """The bundle in service takes no new items: 409."""


@dataclass(frozen=True)
class Placed:
    """Where a new item stands.

    Shapes:
        vector, fold_in: (D,).
    """

    vector: Floats
    fold_in: Floats
    edges: Mapping[str, Edges]


@dataclass(frozen=True)
class Attaching:
    """Computes the vectors of new items for one bundle."""

    bundle: Bundle

    @cached_property
    def contents(self) -> dict[str, Content]:
        """Return the vectors of each modality of the bundle's items."""
        return open_contents(self.bundle.artifact)

    @cached_property
    def network(self) -> Network | None:
        """Return the trained network, None where the model has none that takes new items."""
        return open_network(self.bundle.artifact)

    @property
    def by(self) -> AttachedBy:
        """Return how new items get their vectors."""
        return BY_NETWORK if self.network is not None else BY_NEIGHBOURS

    @cached_property
    def targets(self) -> Rows:
        """Return the items that new ones are connected to, sorted."""
        return np.flatnonzero(self.bundle.hot) if self.network is None else self.network.rows

    def content_of(self, modality: str, vector: Sequence[float] | Floats) -> Floats:
        """Return a raw vector as the bundle holds those of its items.

        Raises:
            CannotAttachError: the bundle holds no content.
            ContentError: there is no such modality, or the vector is of another width, not finite
                or zero.
        """
        self.must_attach()
        known = sorted(self.contents)
        if modality not in self.contents:
            raise ContentError(f"the bundle has no modality {modality!r}; it has {known}")
        own, raw = self.contents[modality], np.asarray(vector, dtype=np.float64)
        if raw.shape != (own.width,):
            raise ContentError(
                f"a vector of {modality} has {own.width} numbers, this one {raw.size}"
            )
        unit, not_finite, zero = unit_rows(raw[None])
        if not_finite[0] or zero[0]:
            what = "numbers that are not finite" if not_finite[0] else "zeros alone"
            raise ContentError(f"the vector of {modality} holds {what}")
        kept: Floats = unit[0].astype(own.vectors.dtype).astype(np.float32)
        return kept

    def must_attach(self) -> None:
        """Do nothing where new items can be taken.

        Raises:
            CannotAttachError: the bundle holds no content.
        """
        if not self.contents:
            raise CannotAttachError(
                f"bundle {self.bundle.fingerprint} holds no content to compare new items with. "
                f"Rebuild it with index.live: true: plotpointe run CONFIG --to index"
            )

    def place(self, items: Sequence[Mapping[str, Floats]]) -> list[Placed]:
        """Return where new items stand, each for itself; each is given by its modalities."""
        found = []
        for start in range(0, len(items), _AT_ONCE):
            found += self._placed(items[start : start + _AT_ONCE])
        return found

    def _placed(self, items: Sequence[Mapping[str, Floats]]) -> list[Placed]:
        vectors, present, edges = {}, {}, {}
        for name, content in self.contents.items():
            present[name] = np.array([name in item for item in items])
            nothing = np.zeros(content.width, dtype=np.float32)
            vectors[name] = np.stack([item.get(name, nothing) for item in items])
            edges[name] = content.edges(vectors[name], present[name], self.targets)
        how = self.network or Neighbourhood(
            self.targets, self.bundle.item_vectors, self.bundle.fold_in
        )
        made = how(Arrivals(vectors, present, edges, len(items)))
        return [
            Placed(
                made.items[at],
                made.fold_in[at],
                {n: self._edges_of(each, at) for n, each in edges.items() if n in items[at]},
            )
            for at in range(len(items))
        ]

    def _edges_of(self, edges: sp.csr_matrix, at: int) -> Edges:
        span = slice(*edges.indptr[at : at + 2])
        rows, weights = self.targets[edges.indices[span]], edges.data[span]
        order = np.lexsort((rows, -weights))
        return Edges(rows[order], weights[order].astype(np.float32))
