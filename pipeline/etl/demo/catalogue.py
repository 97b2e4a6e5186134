"""The demo shop as raw files: log, catalogue and pictures, with the flaws that raw files have."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.artifacts import flush, sweep_drafts
from pipeline.config import DemoConfig
from pipeline.etl.demo.drawings import draw
from pipeline.etl.demo.words import KINDS
from pipeline.etl.demo.world import DAY_SECONDS, REPEATED, World, plan
from pipeline.etl.demo.writing import Listing, listings

VERSION = 1
"""Raised when the same configuration would give other files."""
INTERACTIONS, ITEMS, IMAGES, LABEL = "interactions.csv", "items.jsonl", "images", "catalogue.json"
"""What the folder holds; the label says of which configuration and that all is there."""

_EVERY_BAD_LINE = 400
_EVERY_REPEATED_ITEM = 150
_BAD_LINES = (
    "{user},{item},five stars,{seconds}",
    "{user},,4.0,{seconds}",
    "{user},{item},3.0,yesterday",
    "{user};{item};5.0;{seconds}",
    "{user},{item},4.0,{seconds},gift",
)
"""What goes wrong in logs: a word for a number, a missing key, another delimiter, a field more."""
_BAD_ITEMS = ('{"key": "mug-9999", "title": "Half a rec', '{"title": "A thing without a key"}')


def materialise(demo: DemoConfig, folder: Path) -> Path:
    """Write the demo shop's raw files into ``folder`` and return it; nothing where they are there.

    Equal configurations give equal bytes. The folder appears whole or not at all, so a killed
    attempt is repeated by the next.
    """
    label = {"version": VERSION, **demo.model_dump()}
    if _label_of(folder) == label:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_drafts(folder.parent)
    draft = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        _fill(demo, draft)
        (draft / LABEL).write_text(json.dumps(label, sort_keys=True) + "\n")
        flush(draft / LABEL)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError:
        if _label_of(folder) != label:  # another process was not faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _label_of(folder: Path) -> dict[str, Any] | None:
    try:
        label: dict[str, Any] = json.loads((folder / LABEL).read_text())
    except (OSError, ValueError):
        return None
    return label


def _fill(demo: DemoConfig, draft: Path) -> None:
    world = plan(demo)
    written = listings(demo, world)
    (draft / IMAGES).mkdir(parents=True)
    rng = np.random.default_rng([demo.seed, 2])
    (draft / INTERACTIONS).write_text("".join(f"{line}\n" for line in _log(world, written, rng)))
    (draft / ITEMS).write_text("".join(f"{line}\n" for line in _catalogue(written)))
    for item, listing in enumerate(written):
        if listing.image:
            (draft / IMAGES / listing.image).write_bytes(_picture(demo, world, item))


def _picture(demo: DemoConfig, world: World, item: int) -> bytes:
    """Return an item's picture; it depends on this item alone."""
    value = {name: int(values[item]) for name, values in world.attributes.items()}
    rng = np.random.default_rng([demo.seed, 3, item])
    kind = KINDS[value["kind"]].name
    return draw(kind, value["palette"], value["pattern"], value["shape"], rng)


def _log(world: World, written: list[Listing], rng: np.random.Generator) -> Iterator[str]:
    """Yield the lines of the log: the interactions, some of them twice, and some broken lines."""
    yield "user,item,rating,timestamp"
    again = rng.random(len(world.user)) < REPEATED
    for place, (user, item, seconds, rating) in enumerate(
        zip(world.user, world.item, world.seconds, world.rating, strict=True), start=1
    ):
        cells = {"user": f"user-{user + 1:04d}", "item": written[item].key, "seconds": seconds}
        if again[place - 1]:
            first = max(seconds - DAY_SECONDS, world.seconds[0])
            yield f"{cells['user']},{cells['item']},{rating:.1f},{first}"
        yield f"{cells['user']},{cells['item']},{rating:.1f},{seconds}"
        if place % _EVERY_BAD_LINE == 0:
            yield _BAD_LINES[place // _EVERY_BAD_LINE % len(_BAD_LINES)].format(**cells)


def _catalogue(written: list[Listing]) -> Iterator[str]:
    """Yield the lines of the catalogue: some items twice with an old price, and broken lines."""
    for place, listing in enumerate(written, start=1):
        record = {name: value for name, value in vars(listing).items() if value is not None}
        if place % _EVERY_REPEATED_ITEM == 0:
            yield json.dumps(record | {"price": round(listing.price * 1.2, 2)}, ensure_ascii=False)
        yield json.dumps(record, ensure_ascii=False)
    yield from _BAD_ITEMS
