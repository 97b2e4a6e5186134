"""Planted tastes: users prefer kinds of items, and popularity falls off as a power law."""

from dataclasses import dataclass

import numpy as np

from pipeline.etl.generate.spec import AmazonSpec
from pipeline.etl.generate.vocabulary import KINDS

TASTE = 0.8
"""Chance that an interaction is of one of the user's two preferred kinds."""

_FIRST = 0.65
_EXPONENT = 1.0
_ROUNDS = 60
_UNIFORM_AFTER = 20
_DELIGHTED = np.cumsum([0.03, 0.04, 0.08, 0.25, 0.60])
_LUKEWARM = np.cumsum([0.12, 0.10, 0.18, 0.30, 0.30])


@dataclass(frozen=True)
class PlantedWorld:
    """Interactions in the order of items, as Amazon's files are.

    Shapes:
        kind: (N,) of each item. hot: (H,) items that have interactions. preferred: (U, 2) kinds.
        user, item, stars, day: (E,); day is a share of the edition's time span, in [0, 1).
    """

    kind: np.ndarray
    hot: np.ndarray
    preferred: np.ndarray
    user: np.ndarray
    item: np.ndarray
    stars: np.ndarray
    day: np.ndarray


def plant(spec: AmazonSpec) -> PlantedWorld:
    """Return the world of a specification: exactly its interactions, all pairs distinct."""
    rng = np.random.default_rng(spec.seed)
    kind = rng.integers(0, len(KINDS), spec.items)
    hot = np.sort(rng.choice(spec.items, spec.hot_items, replace=False))
    preferred = _preferences(rng, spec.users)
    shelf = _Shelf(rng, kind, hot)
    pairs = _distinct_pairs(rng, spec, preferred, shelf)
    user, item = pairs % spec.users, pairs // spec.users
    liked = (preferred[user] == kind[item][:, None]).any(axis=1)
    chance = rng.random(len(user))
    stars = np.where(
        liked, np.searchsorted(_DELIGHTED, chance), np.searchsorted(_LUKEWARM, chance)
    ).clip(max=4)
    day = np.sqrt(rng.random(len(user)))  # trade grows
    return PlantedWorld(kind, hot, preferred, user, item, stars + 1, day)


def _preferences(rng: np.random.Generator, users: int) -> np.ndarray:
    """Return two different kinds for each user."""
    first = rng.integers(0, len(KINDS), users)
    second = (first + rng.integers(1, len(KINDS), users)) % len(KINDS)
    return np.stack([first, second], axis=1)


class _Shelf:
    """Hot items by kind, each kind's in a random order of popularity."""

    def __init__(self, rng: np.random.Generator, kind: np.ndarray, hot: np.ndarray) -> None:
        shuffled = rng.permutation(hot)
        self.items = shuffled[np.argsort(kind[shuffled], kind="stable")]
        counts = np.bincount(kind[hot], minlength=len(KINDS))
        self.start = np.concatenate([[0], np.cumsum(counts)])
        rank = np.arange(len(hot)) - np.repeat(self.start[:-1], counts)
        self.weight = np.concatenate([[0.0], np.cumsum(1.0 / (rank + 2.0) ** _EXPONENT)])

    def draw(self, rng: np.random.Generator, kinds: np.ndarray) -> np.ndarray:
        """Return a hot item of each kind (of any, where a kind has none), popular ones oftener."""
        low, high = self.weight[self.start[kinds]], self.weight[self.start[kinds + 1]]
        none = high <= low
        low, high = np.where(none, 0.0, low), np.where(none, self.weight[-1], high)
        at = np.searchsorted(self.weight, low + rng.random(len(kinds)) * (high - low), "right") - 1
        drawn: np.ndarray = self.items[at.clip(0, len(self.items) - 1)]
        return drawn


def _distinct_pairs(
    rng: np.random.Generator, spec: AmazonSpec, preferred: np.ndarray, shelf: _Shelf
) -> np.ndarray:
    """Return sorted codes ``item * users + user``; everybody and every hot item occurs."""
    activity = rng.lognormal(0.0, 0.9, spec.users).cumsum()
    pairs = _covering_pairs(rng, spec, preferred, shelf)
    for round_ in range(_ROUNDS):
        missing = spec.interactions - len(pairs)
        if missing <= 0:
            break
        drawn = np.searchsorted(activity, rng.random(2 * missing) * activity[-1])
        if round_ < _UNIFORM_AFTER:
            item = shelf.draw(rng, _wanted_kinds(rng, preferred[drawn]))
        else:
            item = rng.choice(shelf.items, len(drawn))
            drawn = rng.integers(0, spec.users, len(drawn))
        fresh = np.setdiff1d(item * spec.users + drawn, pairs)
        chosen = rng.choice(fresh, min(missing, len(fresh)), replace=False)
        pairs = np.union1d(pairs, chosen)
    return pairs


def _covering_pairs(
    rng: np.random.Generator, spec: AmazonSpec, preferred: np.ndarray, shelf: _Shelf
) -> np.ndarray:
    """Return one pair for each user and, if there is room, one for each hot item."""
    users = np.arange(spec.users)
    pairs = np.unique(shelf.draw(rng, preferred[:, 0]) * spec.users + users)
    lacking = np.setdiff1d(shelf.items, pairs // spec.users)
    lacking = lacking[: spec.interactions - len(pairs)]
    return np.union1d(pairs, lacking * spec.users + rng.integers(0, spec.users, len(lacking)))


def _wanted_kinds(rng: np.random.Generator, preferred: np.ndarray) -> np.ndarray:
    second = (rng.random(len(preferred)) >= _FIRST).astype(np.int64)
    taste = preferred[np.arange(len(preferred)), second]
    anything = rng.integers(0, len(KINDS), len(preferred))
    return np.where(rng.random(len(preferred)) < TASTE, taste, anything)
