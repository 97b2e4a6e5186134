"""Writes a planted world as raw files of an edition, a block of lines at a time."""

import gzip
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.etl.generate import looks, shapes
from pipeline.etl.generate.flaws import CSV_FLAWS, JSON_FLAWS, REVIEW_FLAWS, interspersed
from pipeline.etl.generate.prose import Item, Related, Shop, Writer, open_shop
from pipeline.etl.generate.shapes import REVIEW_DRAWS, Review, item_key, user_key
from pipeline.etl.generate.spec import AmazonSpec
from pipeline.etl.generate.world import PlantedWorld, plant

DUPLICATED = 0.01
"""Share of items whose metadata stands twice."""

REVIEWS, METADATA = "reviews_Electronics_5.json.gz", "meta_Electronics.json.gz"
"""The names under which the files of 2014 are known."""

VECTORS, PICTURES = "image_vectors.npy", "images"

_BLOCK_LINES = 10_000
_KEPT_OF_TRUNCATED = 0.9
_REVIEW_DRAWS, _ITEM_DRAWS, _TWICE, _WORDS = range(4)


def make_amazon(out: Path, spec: AmazonSpec) -> dict[str, Path]:
    """Write ``reviews``, ``metadata`` (gzip) and ``ratings`` (CSV) below ``out``; return the paths.

    The same specification gives the same bytes. Memory holds the interactions as numbers, never
    the lines.
    """
    edition = spec.edition
    paths = {
        "reviews": out / f"reviews_{edition}.json.gz",
        "metadata": out / f"meta_{edition}.json.gz",
        "ratings": out / f"ratings_{edition}.csv",
    }
    source = _Source.of(spec)
    out.mkdir(parents=True, exist_ok=True)
    source.write_reviews(paths["reviews"])
    source.write_metadata(paths["metadata"])
    source.write_ratings(paths["ratings"])
    return paths


def make_electronics(out: Path, spec: AmazonSpec, width: int = looks.WIDTH) -> dict[str, Path]:
    """Write the ``reviews`` and ``metadata`` of 2014, and what can be seen; return the paths.

    ``vectors`` (float16, ``width`` wide) hold the picture of item i of the metadata in row i,
    zero where it has none. ``pictures`` is a folder of JPEG for a sample of items; their pages
    name no URL.
    """
    names = {"reviews": REVIEWS, "metadata": METADATA, "vectors": VECTORS, "pictures": PICTURES}
    paths = {what: out / name for what, name in names.items()}
    source = _Source.of(spec)
    world, sample = source.world, looks.sample(source.world, spec.seed)
    out.mkdir(parents=True, exist_ok=True)
    looks.write_vectors(paths["vectors"], world, spec.seed, width)
    looks.write_pictures(paths["pictures"], world, {row: source.keys[row] for row in sample})
    named = world.pictured.copy()
    named[sample] = False
    source = replace(source, world=replace(world, pictured=named))
    source.write_reviews(paths["reviews"])
    source.write_metadata(paths["metadata"])
    return paths


@dataclass(frozen=True)
class _Source:
    """Everything that lines are made of."""

    spec: AmazonSpec
    world: PlantedWorld
    shop: Shop
    keys: list[str]
    user_keys: list[str]

    @classmethod
    def of(cls, spec: AmazonSpec) -> "_Source":
        """Return the source of a specification."""
        world = plant(spec)
        return cls(
            spec,
            world,
            open_shop(np.random.default_rng([spec.seed, _WORDS]), len(world.kinds)),
            [item_key(row) for row in range(spec.items)],
            [user_key(row, spec.edition) for row in range(spec.users)],
        )

    def write_reviews(self, path: Path) -> None:
        """Write the file of reviews, which breaks off if the specification says so."""
        edition, spec = self.spec.edition, self.spec
        lines = (shapes.review_line(edition, review) for review in self._reviews())
        _write(
            path, interspersed(lines, spec.interactions, spec.bad_share, REVIEW_FLAWS, spec.seed)
        )
        if spec.truncated:
            os.truncate(path, int(path.stat().st_size * _KEPT_OF_TRUNCATED))

    def write_metadata(self, path: Path) -> None:
        """Write the file of metadata."""
        edition, spec = self.spec.edition, self.spec
        lines = (shapes.metadata_line(edition, item) for item in self._items())
        _write(path, interspersed(lines, spec.items, spec.bad_share, JSON_FLAWS, spec.seed))

    def write_ratings(self, path: Path) -> None:
        """Write the ratings-only file: the reviews without their texts."""
        edition, spec = self.spec.edition, self.spec
        lines = (shapes.ratings_line(edition, review) for review in self._reviews())
        flawed = interspersed(lines, spec.interactions, spec.bad_share, CSV_FLAWS, spec.seed)
        _write(path, flawed, shapes.RATINGS_HEADER[edition])

    def _reviews(self) -> Iterator[Review]:
        world, edition = self.world, self.spec.edition
        writer = Writer(world, self.shop, np.random.default_rng([self.spec.seed, _REVIEW_DRAWS]))
        nouns = [name.lower() for name in world.kinds.names]
        for start in range(0, len(world.user), _BLOCK_LINES):
            block = slice(start, start + _BLOCK_LINES)
            users, items = world.user[block].tolist(), world.item[block].tolist()
            stars = world.stars[block].tolist()
            draws = writer.rng.integers(0, 2**31, (len(users), REVIEW_DRAWS))
            seconds = shapes.seconds_of(world.day[block], draws[:, 0], edition).tolist()
            kinds = world.kind[world.item[block]].tolist()
            texts = writer.reviews([nouns[kind] for kind in kinds], stars)
            user_keys = [self.user_keys[user] for user in users]
            keys = [self.keys[item] for item in items]
            yield from map(
                Review, users, user_keys, items, keys, stars, seconds, texts, draws.tolist()
            )

    def _items(self) -> Iterator[Item]:
        """Yield every item once, some again with other words: a newer crawl of the page."""
        first, again = (
            Writer(self.world, self.shop, np.random.default_rng([self.spec.seed, stream]))
            for stream in (_ITEM_DRAWS, _TWICE)
        )
        related = Related(self.world, self.keys)
        for start in range(0, self.spec.items, _BLOCK_LINES):
            rows = np.arange(start, min(start + _BLOCK_LINES, self.spec.items))
            yield from first.items(rows, self.keys, related)
            count = round(len(rows) * DUPLICATED)
            twice = np.sort(again.rng.choice(rows, count, replace=False))
            yield from again.items(twice, self.keys, related)


def _write(path: Path, lines: Iterable[bytes], header: bytes = b"") -> None:
    """Write lines in blocks, compressed where the name ends so; no time stamp, no file name."""
    with path.open("wb") as file:
        plain = path.suffix != ".gz"
        sink = file if plain else gzip.GzipFile("", "wb", 1, file, mtime=0)
        sink.write(header)
        remaining = iter(lines)
        while block := [*islice(remaining, _BLOCK_LINES)]:
            sink.write(b"\n".join(block) + b"\n")
        if not plain:
            sink.close()
