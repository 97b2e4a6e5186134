"""The plan of the demo shop: items with attributes, users with tastes, and what they took when.

A user's liking of an item is a sum of tastes along the item's attributes. Some attributes can be
read in the text alone (theme, finish), some seen in the picture alone (palette, pattern), the kind
in both, and one, the circle, in neither: only what similar users took tells of it. So text,
pictures and interactions each hold something that the others do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Flags, Floats, Rows
from pipeline.config import DemoConfig
from pipeline.etl.demo.words import BRANDS, FINISHES, KINDS, THEMES

DAYS = 730
FIRST_DAY = 1_672_531_200
"""2023-01-01, in seconds since 1970."""
DAY_SECONDS = 86_400
PALETTES, PATTERNS, CIRCLES, SHAPES = 8, 7, 8, 3
"""How many there are of each; the drawings give them a look."""


@dataclass(frozen=True)
class Taste:
    """How much one attribute matters, and how many of its values a user likes."""

    values: int
    weight: float
    likes: int


TASTES: Mapping[str, Taste] = {
    "kind": Taste(len(KINDS), 2.2, 3),
    "theme": Taste(len(THEMES), 2.6, 2),
    "finish": Taste(len(FINISHES), 1.0, 1),
    "palette": Taste(PALETTES, 1.8, 2),
    "pattern": Taste(PATTERNS, 2.4, 2),
    "circle": Taste(CIRCLES, 1.2, 2),
}
"""The planted truth. ``circle`` shows in neither text nor picture."""

POPULARITY = 0.8
"""Spread of the items' log popularity: a heavy tail."""
NOVELTY, NOVELTY_DAYS = 2.0, 60.0
"""New items are taken more often, and how long that lasts."""
UNSOLD, NEW = 0.10, 0.7
"""Shares of items that nobody ever takes, and that appear after the shop opened."""
NO_PICTURE, NO_TEXT, BARE = 0.04, 0.02, 0.003
"""Shares of items without picture, without text, without both."""
REPEATED = 0.015
"""Share of interactions that the log holds twice."""


@dataclass(frozen=True)
class World:
    """Items (N) by attribute, the liking of every user (U) for every item, and the log.

    Shapes:
        attributes: (N,) each. liking: (U, N). user, item, seconds, rating: one per interaction,
        in order of time.
    """

    attributes: Mapping[str, Rows]
    released: Floats
    """Day of each item's release, 0 for the first stock."""
    unsold: Flags
    picture: Flags
    text: Flags
    liking: Floats
    user: Rows
    item: Rows
    seconds: Rows
    rating: Floats

    @property
    def items(self) -> int:
        """Return the number of items."""
        return len(self.released)


def plan(demo: DemoConfig) -> World:
    """Return the world of a configuration; the same for the same configuration."""
    rng = np.random.default_rng([demo.seed, demo.users, demo.items])
    attributes = _attributes(rng, demo.items)
    released = np.where(rng.random(demo.items) < NEW, rng.random(demo.items) * DAYS, 0.0)
    unsold = rng.random(demo.items) < UNSOLD
    picture, text = _presence(rng, demo.items)
    popularity = POPULARITY * rng.normal(size=demo.items)
    liking = popularity + sum(
        _tastes(rng, demo.users, taste)[:, attributes[name]] for name, taste in TASTES.items()
    )
    user, item, day = _log(rng, demo, liking, _Stock(released, unsold))
    order = np.argsort(day, kind="stable")
    seconds = FIRST_DAY + (day[order] * DAY_SECONDS).astype(np.int64)
    rating = _ratings(rng, liking, user[order], item[order])
    return World(
        attributes, released, unsold, picture, text, liking,
        user[order], item[order], seconds, rating,
    )  # fmt: skip


def _attributes(rng: np.random.Generator, items: int) -> dict[str, Rows]:
    """Return each attribute's value per item; brands lean to the theme they prefer."""
    values = {name: rng.integers(0, taste.values, items) for name, taste in TASTES.items()}
    at_home = rng.integers(0, len(BRANDS) // len(THEMES), items) * len(THEMES)
    anywhere = rng.integers(0, len(BRANDS), items)
    brand = np.where(rng.random(items) < 0.6, at_home + values["theme"], anywhere)
    return values | {"brand": brand, "shape": rng.integers(0, SHAPES, items)}


def _presence(rng: np.random.Generator, items: int) -> tuple[Flags, Flags]:
    """Return which items have a picture and which have a text."""
    drawn = rng.random(items)
    bare = drawn < BARE
    no_picture = bare | ((drawn >= BARE) & (drawn < BARE + NO_PICTURE))
    no_text = bare | (drawn >= 1 - NO_TEXT)
    return ~no_picture, ~no_text


def _tastes(rng: np.random.Generator, users: int, taste: Taste) -> Floats:
    """Return how much each user cares for each value of an attribute.

    Shapes:
        returns: (U, values).
    """
    order = rng.random((users, taste.values)).argsort(axis=1).argsort(axis=1)
    return taste.weight * ((order < taste.likes) + 0.2 * rng.normal(size=order.shape))


@dataclass(frozen=True)
class _Stock:
    released: Floats
    unsold: Flags

    def appeal(self, day: float) -> Floats:
        """Return what time adds to each item's liking: nothing can be taken before its release."""
        age = day - self.released
        fresh = NOVELTY * np.exp(-np.maximum(age, 0) / NOVELTY_DAYS) * (self.released > 0)
        return np.where(self.unsold | (age < 0), -np.inf, fresh)


def _log(
    rng: np.random.Generator, demo: DemoConfig, liking: Floats, stock: _Stock
) -> tuple[Rows, Rows, Floats]:
    """Return user, item and day of every interaction: a draw by liking, each item once a user."""
    users, items, days = [], [], []
    for user, count in enumerate(_baskets(rng, demo)):
        joined = DAYS * 0.99 * rng.random() ** 1.3
        open_to = liking[user].copy()
        for day in np.sort(joined + (DAYS - joined) * rng.random(count)):
            scores = open_to + stock.appeal(day) + rng.gumbel(size=demo.items)
            item = int(scores.argmax())
            if not np.isfinite(scores[item]):
                break
            open_to[item] = -np.inf
            users.append(user)
            items.append(item)
            days.append(day)
    return np.array(users), np.array(items), np.array(days)


def _baskets(rng: np.random.Generator, demo: DemoConfig) -> Rows:
    """Return the number of interactions of each user: many small, few large."""
    drawn = rng.lognormal(sigma=0.7, size=demo.users)
    scaled = drawn / drawn.mean() * demo.interactions_per_user
    counts: Rows = np.clip(np.rint(scaled), 1, demo.items // 2).astype(np.int64)
    return counts


def _ratings(rng: np.random.Generator, liking: Floats, user: Rows, item: Rows) -> Floats:
    """Return 1 to 5 stars: mostly good, better where the liking is larger."""
    liked = liking[user, item]
    standard = (liked - liked.mean()) / liked.std() + rng.normal(size=len(liked))
    stars: Floats = np.digitize(standard, [-2.6, -1.9, -1.0, 0.35]) + 1.0
    return stars
