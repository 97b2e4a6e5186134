"""Writes a planted world as raw files of an edition, a block of lines at a time."""

import gzip
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.etl.generate import shapes
from pipeline.etl.generate.flaws import CSV_FLAWS, JSON_FLAWS, REVIEW_FLAWS, interspersed
from pipeline.etl.generate.shapes import DRAWS, Item, Review
from pipeline.etl.generate.spec import AmazonSpec
from pipeline.etl.generate.world import PlantedWorld, plant

DUPLICATED = 0.01
"""Share of items whose metadata stands twice."""

_BLOCK_LINES = 10_000
_KEPT_OF_TRUNCATED = 0.9
_REVIEW_DRAWS, _ITEM_DRAWS, _TWICE = range(3)


def make_amazon(out: Path, spec: AmazonSpec) -> dict[str, Path]:
    """Write ``reviews``, ``metadata`` (gzip) and ``ratings`` (CSV) below ``out``; return the paths.

    The same specification gives the same bytes. Memory holds the interactions as numbers, never
    the lines.
    """
    out.mkdir(parents=True, exist_ok=True)
    world, edition = plant(spec), spec.edition
    names = {
        "reviews": f"reviews_{edition}.json.gz",
        "metadata": f"meta_{edition}.json.gz",
        "ratings": f"ratings_{edition}.csv",
    }
    paths = {what: out / name for what, name in names.items()}
    count = len(world.user)
    reviews = (shapes.review_line(edition, r) for r in _reviews(world, spec))
    items = (shapes.metadata_line(edition, i) for i in _items(world, spec))
    ratings = (shapes.ratings_line(edition, r) for r in _reviews(world, spec))
    share, seed = spec.bad_share, spec.seed
    _write(paths["reviews"], interspersed(reviews, count, share, REVIEW_FLAWS, seed))
    _write(paths["metadata"], interspersed(items, spec.items, share, JSON_FLAWS, seed))
    _write(
        paths["ratings"],
        interspersed(ratings, count, share, CSV_FLAWS, seed),
        shapes.RATINGS_HEADER[edition],
    )
    if spec.truncated:
        size = paths["reviews"].stat().st_size
        os.truncate(paths["reviews"], int(size * _KEPT_OF_TRUNCATED))
    return paths


def _reviews(world: PlantedWorld, spec: AmazonSpec) -> Iterator[Review]:
    rng = np.random.default_rng([spec.seed, _REVIEW_DRAWS])
    for start in range(0, len(world.user), _BLOCK_LINES):
        block = slice(start, start + _BLOCK_LINES)
        item = world.item[block]
        draws = rng.integers(0, 2**31, (len(item), DRAWS)).tolist()
        columns = (world.user[block], item, world.kind[item], world.stars[block], world.day[block])
        yield from map(Review, *(column.tolist() for column in columns), draws)


def _items(world: PlantedWorld, spec: AmazonSpec) -> Iterator[Item]:
    """Yield every item once, and some again with other words: a newer crawl of the same page."""
    rng = np.random.default_rng([spec.seed, _ITEM_DRAWS])
    again = np.random.default_rng([spec.seed, _TWICE])
    for start in range(0, spec.items, _BLOCK_LINES):
        rows = np.arange(start, min(start + _BLOCK_LINES, spec.items))
        draws = rng.integers(0, 2**31, (len(rows), DRAWS)).tolist()
        yield from map(Item, rows.tolist(), world.kind[rows].tolist(), draws)
        twice = np.sort(again.choice(rows, round(len(rows) * DUPLICATED), replace=False))
        draws = again.integers(0, 2**31, (len(twice), DRAWS)).tolist()
        yield from map(Item, twice.tolist(), world.kind[twice].tolist(), draws)


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
