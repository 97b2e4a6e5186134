"""Scorers: a model artifact as something that scores every item for a block of users."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.crew import Crew
from pipeline.errors import ArtifactError
from pipeline.ids import UNKNOWN
from pipeline.interactions import entries
from pipeline.nearest import Ties, top_k_of_scores
from pipeline.sparse_top import top_k_sparse
from pipeline.tiled import USERS, Asked, Tiles

LARGE = 16_384
"""Items above which scorers make lists without all scores, where they can."""


class Scorer(Protocol):
    """Scores all items for users; larger is better.

    One that is ``Listing`` makes its lists itself, in a large catalogue, without all scores.
    """

    def scores(self, users: Rows) -> Floats:
        """Return a fresh (B, N) float32 array for the given user rows."""


class Lister(Protocol):
    """Makes lists of the items that it was opened for."""

    def __call__(self, users: Rows, asked: Asked) -> tuple[Rows, Floats]:
        """Return the k best items (B, k) and their scores; ``UNKNOWN``, -inf for none."""


@runtime_checkable
class Listing(Scorer, Protocol):
    """A scorer that makes lists without ever holding the scores of all items."""

    at_once: ClassVar[int]
    """Users whose lists are made together."""

    def lister(self, allowed: Flags | None) -> Lister:
        """Return what makes lists of the allowed items, (N,); None allows every one."""


@dataclass(frozen=True)
class VectorScorer:
    """Inner products of user and item vectors.

    Shapes:
        user_vectors: (U, D). item_vectors: (N, D).
    """

    user_vectors: Floats
    item_vectors: Floats
    at_once: ClassVar[int] = USERS

    def scores(self, users: Rows) -> Floats:
        """Return (B, N) inner products."""
        product: Floats = np.asarray(self.user_vectors[users]) @ np.asarray(self.item_vectors).T
        return product

    def lister(self, allowed: Flags | None) -> Lister:
        """Return what looks at a tile of the items at a time.

        Raises:
            ArtifactError: an item's vector is not finite.
        """
        if not all(np.isfinite(part).all() for part in np.array_split(self.item_vectors, 64)):
            raise ArtifactError(_NOT_FINITE)
        tiles = Tiles.of(self.item_vectors, allowed)

        def lists(users: Rows, asked: Asked) -> tuple[Rows, Floats]:
            """Return the best items, or refuse vectors that are not finite."""
            chosen = np.asarray(self.user_vectors[users], dtype=np.float32)
            if not np.isfinite(chosen).all():
                raise ArtifactError(_NOT_FINITE)
            return tiles.top(chosen, asked)

        return lists


@dataclass(frozen=True)
class ItemItemScorer:
    """Sums of item-item weights over a user's interactions.

    Shapes:
        user_item: CSR (U, N). item_item: CSR (N, N); row = the item a user has.
    """

    user_item: sp.csr_matrix
    item_item: sp.csr_matrix
    at_once: ClassVar[int] = 1024

    def scores(self, users: Rows) -> Floats:
        """Return (B, N) sums."""
        return np.asarray((self.user_item[users] @ self.item_item).toarray(), dtype=np.float32)

    def lister(self, allowed: Flags | None) -> Lister:
        """Return what makes lists of sums, almost all of which are zero and never made."""

        def lists(users: Rows, asked: Asked) -> tuple[Rows, Floats]:
            """Return the best items, or refuse sums that are not finite."""
            sums = sp.csr_matrix(self.user_item[users] @ self.item_item)
            if not np.isfinite(sums.data).all():
                raise ArtifactError(_NOT_FINITE)
            return top_k_sparse(sums, allowed, asked)

        return lists


def open_scorer(model: Artifact, user_item: sp.csr_matrix) -> Scorer:
    """Return the scorer of a model artifact; ``user_item`` is the training interactions.

    Raises:
        ArtifactError: it holds nothing that scores, or was made for other users or items.
    """
    if model.has("item_vectors.npy"):
        vectors = VectorScorer(model.array("user_vectors.npy"), model.array("item_vectors.npy"))
        _must_fit(model, (len(vectors.user_vectors), len(vectors.item_vectors)), user_item)
        return vectors
    if model.has("item_item.npz"):
        weights = model.matrix("item_item.npz")
        _must_fit(model, (user_item.shape[0], weights.shape[0]), user_item)
        return ItemItemScorer(user_item, weights)
    raise ArtifactError(f"model {model.fingerprint} has neither vectors nor item-item weights")


def _must_fit(model: Artifact, found: tuple[int, int], user_item: sp.csr_matrix) -> None:
    if found != user_item.shape:
        raise ArtifactError(
            f"model {model.fingerprint} knows {found[0]} users and {found[1]} items; the tables "
            f"hold {user_item.shape[0]} and {user_item.shape[1]}. Use the tables it was trained "
            f"on, or train again"
        )


@dataclass(frozen=True)
class Ranking:
    """What may stand in a user's list, how long it is, and who goes first on equal scores.

    Ties are broken by a seeded permutation of the items, begun at another place for each user
    and the same for every model, so that a scorer that says nothing (a constant) is at chance.

    Shapes:
        masked: CSR (U, N), never shown to that user. candidates: (N,), None for every item.
    """

    masked: sp.csr_matrix
    k: int
    candidates: Flags | None = None
    seed: int = 0

    def lists(
        self, scorer: Scorer, users: Rows, crew: Crew | None = None
    ) -> Iterator[tuple[Rows, Rows, Floats]]:
        """Yield (users, items, scores) for consecutive blocks of ``users``, best item first.

        A crew makes several blocks at once; the lists are the same.

        Shapes:
            yields: users (B,), items (B, min(k, N)), ``UNKNOWN`` with score -inf where no
            candidate is left, scores (B, min(k, N)).

        Raises:
            ArtifactError: a score is not finite.
        """
        height, width = self.masked.shape
        rng = np.random.default_rng(self.seed)
        order, turns = rng.permutation(width), rng.integers(max(1, width), size=height)
        if width > LARGE and isinstance(scorer, Listing):
            lister, parts = scorer.lister(self.candidates), even(users, scorer.at_once)
        else:
            lister, parts = self._by_scores(scorer), blocks(users, width)

        def listed(block: Rows) -> tuple[Rows, Rows, Floats]:
            """Return a block of users and their lists."""
            hidden, ties = sp.csr_matrix(self.masked[block]), Ties(order, turns[block])
            return block, *lister(block, Asked(hidden, min(self.k, width), ties))

        yield from crew.each(listed, parts) if crew else map(listed, parts)

    def _by_scores(self, scorer: Scorer) -> Lister:
        """Return what makes lists from all scores."""

        def lists(users: Rows, asked: Asked) -> tuple[Rows, Floats]:
            """Return the best items of users."""
            scores = _finite(scorer.scores(users))
            scores[entries(asked.hidden, np.arange(len(users)))] = -np.inf
            if self.candidates is not None:
                scores[:, ~self.candidates] = -np.inf
            items, kept = top_k_of_scores(scores, asked.k, asked.ties)
            return np.where(np.isneginf(kept), UNKNOWN, items), kept

        return lists


_NOT_FINITE = (
    "a model's scores hold NaN or infinity, so its lists have no order. Its training has "
    "diverged: lower train.learning_rate and train again"
)


def _finite(scores: Floats) -> Floats:
    if scores.size and not (np.isfinite(scores.min()) and np.isfinite(scores.max())):
        raise ArtifactError(_NOT_FINITE)
    return scores


def blocks(users: Rows, items: int, scores_at_once: int = 1 << 22) -> Iterator[Rows]:
    """Yield consecutive parts of ``users`` whose scores stay near the processor's cache.

    In a large catalogue a part still holds 64 users (up to 256 MB of scores): reading every item
    vector for fewer would cost more than the cache saves.
    """
    fewest = min(64, (1 << 26) // max(1, items))
    return even(users, max(1, fewest, scores_at_once // max(1, items)))


def even(users: Rows, count: int) -> Iterator[Rows]:
    """Yield consecutive parts of ``users`` of ``count`` each; the last may be smaller."""
    for start in range(0, len(users), count):
        yield users[start : start + count]
