"""Keys, titles, descriptions and prices of the demo shop's items."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline.config import DemoConfig
from pipeline.etl.demo.words import BRANDS, FINISHES, KINDS, MAKING, THEMES, Kind, Theme
from pipeline.etl.demo.world import World

_TITLES = (
    "{name} {material} {noun} by {brand}",
    "{name} {noun} in {material} by {brand}",
    "{brand} {name} {noun}, {material}",
)


@dataclass(frozen=True)
class Listing:
    """What the shop says of an item; None where it says nothing."""

    key: str
    title: str | None
    description: str | None
    brand: str | None
    categories: tuple[str, ...] | None
    price: float
    image: str | None


def listings(demo: DemoConfig, world: World) -> list[Listing]:
    """Return the listing of every item, in the order of the world."""
    rng = np.random.default_rng([demo.seed, demo.items, 1])
    of_kind: Counter[str] = Counter()
    titles: Counter[str] = Counter()
    written = []
    for item in range(world.items):
        kind = KINDS[world.attributes["kind"][item]]
        of_kind[kind.name] += 1
        key = f"{kind.name}-{of_kind[kind.name]:03d}"
        written.append(_listing(rng, world, item, key, titles))
    return written


def _listing(
    rng: np.random.Generator, world: World, item: int, key: str, titles: Counter[str]
) -> Listing:
    """Return one listing; every item draws the same amount of chance, with or without text."""
    value = {name: int(values[item]) for name, values in world.attributes.items()}
    kind, theme = KINDS[value["kind"]], THEMES[value["theme"]]
    material = _choice(rng, kind.materials[value["finish"]])
    brand = BRANDS[value["brand"]]
    title = _title(rng, kind, theme, material, brand)
    titles[title] += 1
    if titles[title] > 1:
        title = f"{title}, No. {titles[title]}"
    description = _description(rng, kind, theme, FINISHES[value["finish"]], material)
    price = _price(rng, kind, value["finish"])
    image = f"{key}.jpg" if world.picture[item] else None
    if not world.text[item]:
        return Listing(key, None, None, None, None, price, image)
    shelves = (*kind.path, f"The {theme.name} collection")
    return Listing(key, title, description, brand, shelves, price, image)


def _choice(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]


def _title(rng: np.random.Generator, kind: Kind, theme: Theme, material: str, brand: str) -> str:
    return _choice(rng, _TITLES).format(
        name=_choice(rng, theme.titles),
        material=material,
        noun=_choice(rng, kind.nouns),
        brand=brand,
    )


def _description(
    rng: np.random.Generator, kind: Kind, theme: Theme, finish: str, material: str
) -> str:
    sentences = (
        _choice(rng, MAKING[finish]).format(material=material),
        *(theme.sentences[place] for place in rng.permutation(len(theme.sentences))[:2]),
        _choice(rng, kind.uses),
    )
    return " ".join(sentences)


def _price(rng: np.random.Generator, kind: Kind, finish: int) -> float:
    """Return a shop price: around the kind's own, dearer where refined, ending in .50 or .90."""
    raw = kind.price * (1.0, 1.5, 0.85, 1.1)[finish] * float(np.exp(0.25 * rng.normal()))
    return float(max(4, round(raw))) + (0.9 if rng.random() < 0.7 else 0.5) - 1
