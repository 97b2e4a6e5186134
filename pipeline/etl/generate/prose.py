"""What items are called and how they are described and reviewed, a block of items at a time.

A word of a description is a filler, a word of the item's kind, or a word of one of the kind's
topics. Which topics an item's words are of follows from its style, and a topic leans the same way
in every kind, so that descriptions are alike where styles are, across kinds too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pipeline.etl.generate.words import (
    ASIDES,
    BLAME,
    BRANDS,
    COLOURS,
    COMPOUNDS,
    DEPARTMENTS,
    FEATURES,
    FUNCTION,
    GENERIC,
    PRAISE,
    SYLLABLES,
)
from pipeline.etl.generate.world import LINES, STYLE, PlantedWorld

_TOPICS, _TOPICS_OF_KIND, _WORDS_OF_TOPIC, _WORDS_OF_KIND = 160, 10, 24, 16
_LEANING = 1.6
_COMPOUND = 0.3
_SOURCES = np.cumsum([0.38, 0.14, 0.16, 0.32])
_TITLE_SOURCES = np.cumsum([0.0, 0.0, 0.25, 0.75])
_SENTENCE = 11
_FEWEST_WORDS, _MOST_WORDS = 8, 900
_MEDIAN_WORDS, _SPREAD = 32.0, 0.95
_TITLE_WORDS = (3, 9)
_ASIDE_SHARE = 0.4
_POOL = 3_000
_REVIEW_SENTENCES, _REVIEW_SPREAD, _LONGEST_REVIEW = 5.0, 0.9, 80
_OTHER_BRAND = 0.25


class Item(NamedTuple):
    """What is known of one item before it is written."""

    row: int
    key: str
    department: str
    kind: str
    brand: str
    title: str
    sentences: Sequence[str]
    """Of its description, the first of which names it."""
    bullets: Sequence[str]
    related: Sequence[str]
    """Keys of items of the same kind."""
    pictured: bool
    """Whether the page names a picture."""
    draws: Sequence[int]


@dataclass(frozen=True)
class Shop:
    """Every word of a world and who uses it: what all blocks share.

    Shapes:
        words: (3 V,) plain, capitalised, ending a sentence. topic: (T, words); kind: (C, words);
        topics: (C, topics of a kind); leaning: (T, STYLE). brand: (C, LINES).
    """

    words: np.ndarray
    topic: np.ndarray
    kind: np.ndarray
    topics: np.ndarray
    leaning: np.ndarray
    brands: list[str]
    brand: np.ndarray
    series: list[str]


def open_shop(rng: np.random.Generator, kinds: int) -> Shop:
    """Return the words of a world, drawn once."""
    plain = [*FUNCTION, *GENERIC, *FEATURES, *COMPOUNDS]
    ended = [f"{word}." for word in plain]
    forms = np.array([*plain, *(word.capitalize() for word in plain), *ended], dtype=object)
    leaning = rng.standard_normal((_TOPICS, STYLE), np.float32)
    brands = [*BRANDS, *_invented(rng, 40 + kinds * 2)]
    return Shop(
        words=forms,
        topic=_describing(rng, _TOPICS, _WORDS_OF_TOPIC),
        kind=_describing(rng, kinds, _WORDS_OF_KIND),
        topics=rng.permuted(np.tile(np.arange(_TOPICS), (kinds, 1)), axis=1)[:, :_TOPICS_OF_KIND],
        leaning=leaning / np.linalg.norm(leaning, axis=1, keepdims=True),
        brands=brands,
        brand=rng.integers(0, len(brands), (kinds, LINES)),
        series=_invented(rng, kinds * LINES),
    )


def _describing(rng: np.random.Generator, rows: int, count: int) -> np.ndarray:
    """Return words that describe things, rows of them; the compound ones are the rarer ones."""
    first = len(FUNCTION) + len(GENERIC)
    simple = first + rng.integers(0, len(FEATURES), (rows, count))
    compound = first + len(FEATURES) + rng.integers(0, len(COMPOUNDS), (rows, count))
    return np.where(rng.random((rows, count)) < _COMPOUND, compound, simple)


def _invented(rng: np.random.Generator, count: int) -> list[str]:
    parts = [rng.choice(np.array(part), count) for part in SYLLABLES]
    return ["".join(each).capitalize() for each in zip(*parts, strict=True)]


class Writer:
    """Writes the texts of blocks of items."""

    def __init__(self, world: PlantedWorld, shop: Shop, rng: np.random.Generator) -> None:
        """Write with a generator of its own, so that files do not depend on each other."""
        self.world, self.shop, self.rng = world, shop, rng
        self._plain = len(shop.words) // 3
        self._ranks = {
            count: np.cumsum(weights) / weights.sum()
            for count in (len(FUNCTION), len(GENERIC), _WORDS_OF_KIND, _WORDS_OF_TOPIC)
            for weights in [1.0 / np.arange(1, count + 1)]
        }

    def descriptions(self, rows: np.ndarray) -> list[str]:
        """Return the running text of each item's description, none of them alike."""
        drawn = np.exp(self.rng.normal(np.log(_MEDIAN_WORDS), _SPREAD, len(rows)))
        lengths = drawn.clip(_FEWEST_WORDS, _MOST_WORDS).astype(np.int64)
        codes = self._codes(rows, lengths, _SOURCES)
        last = np.cumsum(lengths) - 1
        ends = self.rng.random(len(codes)) < 1 / _SENTENCE
        ends[last] = True
        begins = np.concatenate([[True], ends[:-1]])
        form = np.where(ends, 2, np.where(begins, 1, 0))
        return self._joined(codes + form * self._plain, lengths)

    def titles(self, rows: np.ndarray) -> list[tuple[str, str]]:
        """Return the brand and the title of each item."""
        world, shop, rng = self.world, self.shop, self.rng
        lengths = rng.integers(*_TITLE_WORDS, len(rows))
        codes = self._codes(rows, lengths, _TITLE_SOURCES) + self._plain
        kind, line = world.kind[rows], world.line[rows]
        brand = shop.brand[kind, line]
        other = rng.random(len(rows)) < _OTHER_BRAND
        brand = np.where(other, (brand + rng.integers(1, 4, len(rows))) % len(shop.brands), brand)
        model = rng.integers(100, 9_900, len(rows))
        colour = rng.integers(0, len(COLOURS), len(rows))
        columns = (brand, kind, kind * LINES + line, model, colour)
        parts = zip(
            *(c.tolist() for c in columns), self._joined(codes, lengths), rows.tolist(), strict=True
        )
        return [
            (
                shop.brands[b],
                f"{shop.brands[b]} {shop.series[s]} {'SXKDT'[row % 5]}{m} {words} "
                f"{world.kinds.names[k]}, {COLOURS[c]}",
            )
            for b, k, s, m, c, words, row in parts
        ]

    def items(self, rows: np.ndarray, keys: Sequence[str], related: "Related") -> Iterator[Item]:
        """Yield the items of some rows, with texts and draws of this writing."""
        world, names = self.world, self.world.kinds.names
        draws = self.rng.integers(0, 2**31, (len(rows), 8)).tolist()
        kinds = world.kind[rows].tolist()
        departments = world.kinds.department[world.kind[rows]].tolist()
        asides = self.rng.integers(0, round(len(ASIDES) / _ASIDE_SHARE), len(rows)).tolist()
        columns = (
            rows.tolist(), kinds, departments, world.pictured[rows].tolist(), draws, asides,
            self.titles(rows), self.descriptions(rows),
        )  # fmt: skip
        for row, kind, shop, pictured, drawn, aside, named, text in zip(*columns, strict=True):
            brand, title = named
            opening = f"The {title}." if drawn[1] % 4 == 0 else f"The {brand} way."
            sentences = [f"{opening} {text}", *ASIDES[aside : aside + 1]]
            bullets = [f"{text[:40].rpartition(' ')[0]} design", "Easy &amp; quick set-up"]
            yield Item(
                row, keys[row], DEPARTMENTS[shop][0], names[kind], brand, title, sentences,
                bullets, related.of(row), pictured, drawn,
            )  # fmt: skip

    def reviews(self, nouns: Sequence[str], stars: Sequence[int]) -> list[str]:
        """Return the text of a review of each noun; a sentence of opinion, then any others."""
        count = len(nouns)
        drawn = self.rng.lognormal(np.log(_REVIEW_SENTENCES), _REVIEW_SPREAD, count)
        lengths = drawn.clip(1, _LONGEST_REVIEW).astype(np.int64)
        codes = self.rng.integers(0, _POOL, int(lengths.sum()))
        others = self._cut(self._pool[codes].tolist(), lengths)
        opinion = self.rng.integers(0, len(PRAISE), count).tolist()
        return [
            " ".join([(PRAISE if s > 3 else BLAME)[o].replace("{noun}", noun), *sentences])
            for noun, s, o, sentences in zip(nouns, stars, opinion, others, strict=True)
        ]

    @cached_property
    def _pool(self) -> np.ndarray:
        """Sentences of reviews."""
        rows = self.rng.integers(0, len(self.world.kind), _POOL)
        lengths = self.rng.integers(5, 20, _POOL)
        codes = self._codes(rows, lengths, _SOURCES)
        last = np.cumsum(lengths) - 1
        codes[last] += 2 * self._plain
        codes[last - lengths + 1] += self._plain
        return np.array(self._joined(codes, lengths), dtype=object)

    def _codes(self, rows: np.ndarray, lengths: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Return words for all items, one after the other: fillers, of the kind, of its topics.

        Shapes:
            rows, lengths: (B,). sources: (4,) cumulative. returns: (sum of lengths,).
        """
        total = int(lengths.sum())
        owner = np.repeat(np.arange(len(rows)), lengths)
        chance = self.rng.random(total)
        kind = self.world.kind[rows][owner]
        source = np.searchsorted(sources, self.rng.random(total), "right").clip(max=3)
        found = self._ranked(len(FUNCTION), chance)
        generic, kinds, topical = (np.flatnonzero(source == which) for which in (1, 2, 3))
        found[generic] = len(FUNCTION) + self._ranked(len(GENERIC), chance[generic])
        ranked = self._ranked(_WORDS_OF_KIND, chance[kinds])
        found[kinds] = self.shop.kind[kind[kinds], ranked]
        topic = self._topics(rows, owner[topical])
        ranked = self._ranked(_WORDS_OF_TOPIC, chance[topical])
        found[topical] = self.shop.topic[topic, ranked]
        return found

    def _ranked(self, count: int, chance: np.ndarray) -> np.ndarray:
        """Return ranks below ``count``, low ones oftener, as words are used."""
        return np.searchsorted(self._ranks[count], chance, "right").clip(max=count - 1)

    def _topics(self, rows: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Return a topic for each owner's word, as the owner's style leans."""
        topics = self.shop.topics[self.world.kind[rows]]
        leaning = np.einsum("bts,bs->bt", self.shop.leaning[topics], self.world.style[rows])
        weight = np.exp(_LEANING * leaning)
        reach = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
        which = (reach[owner] < self.rng.random(len(owner))[:, None]).sum(axis=1)
        chosen: np.ndarray = topics[owner, which.clip(max=_TOPICS_OF_KIND - 1)]
        return chosen

    def _joined(self, codes: np.ndarray, lengths: np.ndarray) -> list[str]:
        return [" ".join(words) for words in self._cut(self.shop.words[codes].tolist(), lengths)]

    @staticmethod
    def _cut(words: list[str], lengths: np.ndarray) -> list[list[str]]:
        ends = np.cumsum(lengths).tolist()
        return [words[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


class Related:
    """Keys of other items of the same kind and line, as pages list them."""

    def __init__(self, world: PlantedWorld, keys: Sequence[str]) -> None:
        """Sort the catalogue by kind and line."""
        group = world.kind * LINES + world.line
        order = np.argsort(group, kind="stable")
        self._keys = [keys[row] for row in order.tolist()]
        self._place = np.empty(len(order), dtype=np.int64)
        self._place[order] = np.arange(len(order))

    def of(self, row: int) -> list[str]:
        """Return some neighbours of an item on its shelf; none for some items."""
        place = int(self._place[row])
        count = row * 7_919 % 60
        return (
            self._keys[max(0, place - count // 3) : place] + self._keys[place + 1 : place + count]
        )
