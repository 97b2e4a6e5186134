"""Scorers: a model artifact as something that scores every item for a block of users."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError


class Scorer(Protocol):
    """Scores all items for users; larger is better."""

    def scores(self, users: Rows) -> Floats:
        """Return a fresh (B, N) float32 array for the given user rows."""


@dataclass(frozen=True)
class VectorScorer:
    """Inner products of user and item vectors.

    Shapes:
        user_vectors: (U, D). item_vectors: (N, D).
    """

    user_vectors: Floats
    item_vectors: Floats

    def scores(self, users: Rows) -> Floats:
        """Return (B, N) inner products."""
        product: Floats = np.asarray(self.user_vectors[users]) @ np.asarray(self.item_vectors).T
        return product


@dataclass(frozen=True)
class ItemItemScorer:
    """Sums of item-item weights over a user's interactions.

    Shapes:
        user_item: CSR (U, N). item_item: CSR (N, N); row = the item a user has.
    """

    user_item: sp.csr_matrix
    item_item: sp.csr_matrix

    def scores(self, users: Rows) -> Floats:
        """Return (B, N) sums."""
        return np.asarray((self.user_item[users] @ self.item_item).toarray(), dtype=np.float32)


def open_scorer(model: Artifact, user_item: sp.csr_matrix) -> Scorer:
    """Return the scorer of a model artifact; ``user_item`` is the training interactions."""
    if model.has("item_vectors.npy"):
        return VectorScorer(model.array("user_vectors.npy"), model.array("item_vectors.npy"))
    if model.has("item_item.npz"):
        return ItemItemScorer(user_item, model.matrix("item_item.npz"))
    raise ArtifactError(f"model {model.fingerprint} has neither vectors nor item-item weights")


def blocks(users: Rows, items: int, scores_at_once: int = 1 << 25) -> Iterator[Rows]:
    """Yield consecutive parts of ``users`` so that a part's scores fit ``scores_at_once``."""
    step = max(1, scores_at_once // max(1, items))
    for start in range(0, len(users), step):
        yield users[start : start + step]
