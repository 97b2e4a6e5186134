"""A model's vectors: what they say of a user and an item, for known users and for strangers."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact

_TINY = 1e-12
_BLOCK = 65_536
"""Items read at once, where all of them are summed in double precision."""


@dataclass(frozen=True)
class Space:
    """User and item vectors whose inner product ranks.

    Shapes:
        user_vectors: (U, D). item_vectors, fold_in: (N, D); the sum of an item's ``fold_in`` over
        what a stranger has stands for the stranger.
    """

    user_vectors: Floats
    item_vectors: Floats
    fold_in: Floats

    @classmethod
    def opened(cls, model: Artifact) -> "Space":
        """Return the vectors of a model; its items' own fold in where it has no others."""
        users, items = model.array("user_vectors.npy"), model.array("item_vectors.npy")
        return cls(users, items, model.array("fold_in.npy") if model.has("fold_in.npy") else items)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return how many users, items and items to fold in there are, whatever the width."""
        return len(self.user_vectors), len(self.item_vectors), len(self.fold_in)

    @cached_property
    def directions(self) -> Floats:
        """Return the item vectors at length 1, (N, D); zero rows stay."""
        return unit(self.item_vectors)

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        """Return mean (D,) and covariance (D, D) of the item vectors."""
        count, width = self.item_vectors.shape
        total, square = np.zeros(width), np.zeros((width, width))
        for start in range(0, count, _BLOCK):
            part = np.asarray(self.item_vectors[start : start + _BLOCK], dtype=np.float64)
            total += part.sum(axis=0)
            square += part.T @ part
        mean = total / count
        return mean, square / count - np.outer(mean, mean)

    def scores(self, vectors: Floats, candidates: Rows) -> Floats:
        """Return inner products, in standard deviations over the whole catalogue.

        Shapes:
            vectors: (B, D). candidates: (B, C). returns: (B, C).
        """
        products = np.einsum("bd,bcd->bc", vectors, self.item_vectors[candidates])
        return self._standard(vectors, products)

    def catalogue_scores(self, vectors: Floats) -> Floats:
        """Return what ``scores`` does for every item, (B, N)."""
        return self._standard(vectors, vectors @ np.asarray(self.item_vectors).T)

    def _standard(self, vectors: Floats, scores: Floats) -> Floats:
        """Return scores (B, C) less their mean over the catalogue, over their deviation.

        Both follow from mean and covariance of the item vectors: no other item need be scored.
        """
        mean, covariance = self._moments
        spread = np.sqrt(((vectors @ covariance) * vectors).sum(axis=1).clip(min=_TINY))
        standard: Floats = (scores - (vectors @ mean)[:, None]) / spread[:, None]
        return standard

    def trained(self, user: int, seen: Rows) -> bool:
        """Return whether a user with the items ``seen`` has a vector that training gave."""
        return len(seen) > 0 and bool(self._given[user])

    @cached_property
    def _given(self) -> Flags:
        """Return which users have a vector at all, (U,)."""
        given: Flags = np.logical_or.reduce(np.asarray(self.user_vectors), axis=1)
        return given

    def vector_of(self, user: int, seen: Rows, new: Rows) -> Floats:
        """Return the vector of a user who has more than training knew; zeros if nothing is known.

        A user then counts as one who also has those items: u' = (sqrt(n) u + sum of fold_in) /
        sqrt(n + m) for n items known and m new. Whoever was never trained is folded in from all.

        Shapes:
            seen: rows the user has. new: further rows, none of them seen. returns: (D,) float32.
        """
        trained = self.trained(user, seen)
        if trained and not len(new):
            return np.asarray(self.user_vectors[user])
        added = new if trained else np.union1d(seen, new).astype(np.int64)
        total = self.fold_in[added].sum(axis=0)
        if trained:
            total = total + self.user_vectors[user] * np.sqrt(len(seen))
        vector: Floats = (total / np.sqrt(max(1, len(seen) + len(new)))).astype(np.float32)
        return vector


def unit(vectors: Floats) -> Floats:
    """Return rows scaled to length 1; zero rows stay zero."""
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return scaled
