"""Batches of positives with negatives their user never had, drawn without a loop over rows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Rows

T = TypeVar("T")

_ROUNDS = 20


@dataclass(frozen=True)
class Seen:
    """The training interactions as sorted codes, to look pairs up in.

    Shapes:
        matrix: CSR (U, N), rows sorted. pool: (P,) item rows that negatives are drawn from, sorted.
    """

    matrix: sp.csr_matrix
    pool: Rows

    @cached_property
    def codes(self) -> Rows:
        """Return ``user * N + item`` of every interaction, sorted, (E,) int64."""
        users, items = self.pairs
        return np.asarray(users * self.matrix.shape[1] + items)

    @cached_property
    def pairs(self) -> tuple[Rows, Rows]:
        """Return (users, items) of every interaction, (E,) int64 each."""
        counts = np.diff(self.matrix.indptr)
        users = np.repeat(np.arange(self.matrix.shape[0], dtype=np.int64), counts)
        return users, self.matrix.indices.astype(np.int64)

    @cached_property
    def has_negatives(self) -> Flags:
        """Return which users have not had every item of the pool, (U,) bool."""
        inside = np.zeros(self.matrix.shape[1], dtype=np.float32)
        inside[self.pool] = 1.0
        return np.asarray(self.matrix @ inside < len(self.pool))

    def contains(self, users: Rows, items: Rows) -> Flags:
        """Return which pairs are interactions; equal shapes in and out."""
        wanted = users.astype(np.int64) * self.matrix.shape[1] + items
        at = np.searchsorted(self.codes, wanted).clip(max=max(0, len(self.codes) - 1))
        return np.asarray(self.codes[at] == wanted) if len(self.codes) else np.zeros_like(at, bool)

    def negatives(self, users: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Return items drawn uniformly from what each user has not had.

        Draws again what a user had; the few pairs left after twenty rounds (a user who has almost
        the whole pool) are drawn from the exact remainder.

        Shapes:
            users: (B,), each with ``has_negatives``. returns: (B, count).
        """
        wide = np.repeat(users, count)
        drawn = rng.choice(self.pool, size=len(wide))
        wrong = np.flatnonzero(self.contains(wide, drawn))
        for _ in range(_ROUNDS):
            if not len(wrong):
                break
            drawn[wrong] = rng.choice(self.pool, size=len(wrong))
            wrong = wrong[self.contains(wide[wrong], drawn[wrong])]
        for user in np.unique(wide[wrong]):
            places = wrong[wide[wrong] == user]
            left = np.setdiff1d(self.pool, self.matrix[int(user)].indices)
            drawn[places] = rng.choice(left, size=len(places))
        return drawn.reshape(len(users), count)


@dataclass(frozen=True)
class Batch:
    """Positives and what they are compared with.

    Shapes:
        users, positives: (B,). negatives: (B, K), or (M,) where the batch shares them.
    """

    users: Rows
    positives: Rows
    negatives: Rows


@dataclass(frozen=True)
class Sampler:
    """Cuts an epoch into batches."""

    seen: Seen
    batch_size: int
    negatives: int
    shared: bool = False
    """Whether negatives are drawn per batch, uniformly, rather than per positive."""
    draw: Literal["interactions", "users"] = "interactions"
    """An epoch visits each interaction once, or draws users uniformly and an item of each."""

    @cached_property
    def positives(self) -> tuple[Rows, Rows]:
        """Return (users, items) of the interactions that have a negative to compare with."""
        users, items = self.seen.pairs
        usable = self.seen.has_negatives[users] | self.shared
        return users[usable], items[usable]

    def steps(self) -> int:
        """Return the number of batches of an epoch."""
        return -(-len(self.positives[0]) // self.batch_size)

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        users, items = self._drawn(rng)
        negatives = None if self.shared else self.seen.negatives(users, self.negatives, rng)
        for start in range(0, len(users), self.batch_size):
            part = slice(start, start + self.batch_size)
            if negatives is None:
                drawn = rng.choice(self.seen.pool, size=self.negatives)
                yield Batch(users[part], items[part], drawn)
            else:
                yield Batch(users[part], items[part], negatives[part])

    def _drawn(self, rng: np.random.Generator) -> tuple[Rows, Rows]:
        users, items = self.positives
        if self.draw == "interactions":
            order = rng.permutation(len(users))
            return users[order], items[order]
        distinct, first, counts = np.unique(users, return_index=True, return_counts=True)
        chosen = rng.integers(len(distinct), size=len(users))
        at = first[chosen] + rng.integers(counts[chosen])
        return distinct[chosen], items[at]


def ahead(parts: Iterator[T], really: bool = True) -> Iterator[T]:
    """Yield the same parts, each made by a second thread while the one before it is used."""
    if not really:
        yield from parts
        return
    with ThreadPoolExecutor(max_workers=1) as worker:
        waiting = worker.submit(next, parts, None)
        while (part := waiting.result()) is not None:
            waiting = worker.submit(next, parts, None)
            yield part
