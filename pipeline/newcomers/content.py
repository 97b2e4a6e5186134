"""The content of a bundle's items, by modality: who is like a new one, by cosine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.nearest import top_k_of_scores

LIVE = "live.json"
_BLOCK = 16_384
"""Vectors read at once: 25 MB at width 384."""
_SLACK = 32
"""Beyond k, how many are compared again: products of large matrices differ in the last bit."""
_DEFAULT_NEIGHBORS = 10

Ranked = tuple[Rows, Floats]


def vectors_file(modality: str) -> str:
    """Return the name of a modality's vectors in a bundle."""
    return f"content_{modality}.npy"


def flags_file(modality: str) -> str:
    """Return the name of the file that says which items have a modality."""
    return f"content_{modality}_present.npy"


@dataclass(frozen=True)
class Content:
    """One modality of every item of a bundle, mapped.

    Shapes:
        vectors: (N, V), of length 1 where present. present: (N,).
    """

    name: str
    vectors: Floats
    present: Flags
    neighbors: int
    """Edges of an item."""
    config: Mapping[str, Any] | None
    """Of the encoder; None where the vectors were given."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    """Which encoder made them: its identity and precision."""

    @property
    def width(self) -> int:
        """Return V."""
        return int(self.vectors.shape[1])

    def nearest(self, queries: Floats, among: Rows | None, k: int) -> Ranked:
        """Return the k items whose vectors are most like each query, best first; ties by row.

        An item without the modality is nobody's neighbour. A list may hold less than nothing:
        its scores are cosines.

        Shapes:
            queries: (M, V), of length 1. among: sorted rows, None for all. returns: (M, k) twice,
            k at most the items there are.
        """
        rows = np.flatnonzero(self.present) if among is None else among[self.present[among]]
        k = min(k, len(rows))
        best: Ranked = (
            np.empty((len(queries), 0), np.int64),
            np.empty((len(queries), 0), np.float32),
        )
        for start in range(0, len(rows), _BLOCK):
            part = rows[start : start + _BLOCK]
            places, scores = top_k_of_scores(queries @ self._unit(part).T, k + _SLACK)
            best = _better(best, (part[places], scores), k + _SLACK)
        return self._settled(queries, best[0], k)

    def _unit(self, rows: Rows) -> Floats:
        """Return vectors of length 1, as the graph stage compares them."""
        block = np.asarray(self.vectors[rows], dtype=np.float32)
        length = np.linalg.norm(block, axis=1)
        unit: Floats = block / np.where(length > 0, length, 1)[:, None]
        return unit

    def _settled(self, queries: Floats, found: Rows, k: int) -> Ranked:
        """Return the k best of a few by products that do not depend on what stands beside them."""
        rows = np.empty((len(queries), k), dtype=np.int64)
        scores = np.empty((len(queries), k), dtype=np.float32)
        for at, query in enumerate(queries):
            exact = np.einsum("rd,d->r", self._unit(found[at]), query)
            order = np.lexsort((found[at], -exact))[:k]
            rows[at], scores[at] = found[at][order], np.minimum(exact[order], 1)
        return rows, scores

    def edges(self, queries: Floats, present: Flags, targets: Rows) -> sp.csr_matrix:
        """Return each new item's edges to its nearest targets: what the graph stage would find.

        Shapes:
            queries: (M, V), of length 1 where present. present: (M,). targets: (A,) sorted rows.
            returns: CSR (M, A) of cosines above zero.
        """
        asking = np.flatnonzero(present)
        rows, weights = self.nearest(queries[asking], targets, self.neighbors)
        owners = np.repeat(asking, rows.shape[1])
        columns, values = np.searchsorted(targets, rows.ravel()), weights.ravel()
        kept = values > 0
        at = (owners[kept], columns[kept])
        return sp.csr_matrix((values[kept], at), shape=(len(queries), len(targets)))


def open_contents(artifact: Artifact) -> dict[str, Content]:
    """Return the modalities of a bundle by name; none where it was made without them."""
    if not artifact.has(LIVE):
        return {}
    found = {}
    for name, told in artifact.json(LIVE)["modalities"].items():
        found[name] = Content(
            name=name,
            vectors=artifact.array(vectors_file(name)),
            present=artifact.array(flags_file(name), mapped=False),
            neighbors=told["neighbors"] or _DEFAULT_NEIGHBORS,
            config=told["config"],
            encoder=told["encoder"],
        )
    return found


def _better(one: Ranked, other: Ranked, k: int) -> Ranked:
    """Return the k best of two lists for each query.

    Shapes:
        one, other: (M, any) twice.
    """
    rows = np.concatenate([one[0], other[0]], axis=1)
    places, scores = top_k_of_scores(np.concatenate([one[1], other[1]], axis=1), k)
    return np.take_along_axis(rows, places, axis=1), scores
