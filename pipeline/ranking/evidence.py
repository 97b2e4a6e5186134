"""What the second stage looks at: vectors, item-item relations, and what other users took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.ranking.profiles import Profiles
from pipeline.ranking.space import Space, unit

POOL = 50_000
"""At most this many users are looked through for a user's neighbours."""


@dataclass(frozen=True)
class Taste:
    """A block of users as the second stage sees them.

    Shapes:
        vectors: (B, D). history: CSR (B, N), binary. users: (B,) rows, ``UNKNOWN`` for a stranger.
        others: (B, D') each, in the other models' spaces.
    """

    vectors: Floats
    history: sp.csr_matrix
    users: Rows
    others: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Everything that features are made from.

    Shapes:
        taken: CSR (U, N), what each user has. relations: symmetric CSR (N, N) each. second: CSR
        (N, N), the weights of the closed-form model, row = the item a user has; None where there
        is none.
    """

    space: Space
    """Of the model that retrieves."""
    taken: sp.csr_matrix
    relations: Mapping[str, sp.csr_matrix]
    second: sp.csr_matrix | None = None
    others: Mapping[str, Space] = field(default_factory=dict)
    """Of further models, whose opinion is asked."""

    @property
    def items(self) -> int:
        """Return N."""
        return len(self.space.item_vectors)

    @cached_property
    def popularity(self) -> Floats:
        """Return the log of one plus how many users have each item, (N,)."""
        counts = np.bincount(self.taken.indices, minlength=self.items)
        return np.log1p(counts).astype(np.float32)

    @cached_property
    def pool(self) -> Rows:
        """Return the users among whom neighbours are sought, sorted: those with most items."""
        counts = np.diff(self.taken.indptr)
        known = np.flatnonzero((counts > 0) & np.asarray(self.space.user_vectors).any(axis=1))
        most = known[np.argsort(-counts[known], kind="stable")[:POOL]]
        pool: Rows = np.sort(most)
        return pool

    @cached_property
    def pool_directions(self) -> Floats:
        """Return the vectors of ``pool`` at length 1, (P, D)."""
        return unit(self.space.user_vectors[self.pool])

    @cached_property
    def pool_taken(self) -> sp.csr_matrix:
        """Return what the users of ``pool`` have, CSR (P, N)."""
        return sp.csr_matrix(self.taken[self.pool], dtype=np.float32)

    @cached_property
    def profiles(self) -> Profiles:
        """Return the profiles of ``pool``."""
        return Profiles.of(self.pool_taken, self.pool, self.relations)

    def tastes(self, users: Rows) -> Taste:
        """Return known users as they stand in the evidence."""
        history = sp.csr_matrix(self.taken[users], dtype=np.float32)
        others = {name: np.asarray(each.user_vectors[users]) for name, each in self.others.items()}
        return Taste(np.asarray(self.space.user_vectors[users]), history, users, others)
