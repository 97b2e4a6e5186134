"""Colours and patterns of the demo pictures: what only the eye can tell about an item."""

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of a thing: body, motif, accent, and the wall behind it."""

    main: Colour
    second: Colour
    accent: Colour
    wall: Colour


PALETTES = (
    Palette((24, 112, 122), (226, 218, 190), (242, 140, 92), (184, 220, 218)),  # teal and sand
    Palette((190, 84, 50), (244, 212, 176), (88, 52, 42), (240, 206, 182)),  # terracotta
    Palette((84, 112, 58), (228, 224, 178), (190, 140, 60), (208, 222, 182)),  # moss
    Palette((136, 36, 80), (242, 182, 198), (250, 226, 212), (240, 192, 208)),  # berry
    Palette((238, 172, 36), (255, 246, 216), (206, 84, 48), (252, 230, 160)),  # sun
    Palette((56, 58, 64), (234, 234, 230), (150, 152, 156), (212, 212, 212)),  # charcoal
    Palette((166, 146, 214), (182, 228, 208), (252, 196, 204), (222, 212, 244)),  # lilac
    Palette((32, 66, 186), (250, 250, 252), (250, 90, 76), (186, 204, 248)),  # cobalt
)
"""Eight that are told apart at a glance."""


def palette_of(number: int, rng: np.random.Generator) -> Palette:
    """Return a palette with each colour a little off, as two batches of dye are."""
    chosen = PALETTES[number]
    colours = (chosen.main, chosen.second, chosen.accent, chosen.wall)
    return Palette(*(_nudged(colour, rng) for colour in colours))


def _nudged(colour: Colour, rng: np.random.Generator) -> Colour:
    hue, light, saturation = colorsys.rgb_to_hls(*(c / 255 for c in colour))
    hue += 0.012 * rng.normal()
    light = float(np.clip(light + 0.025 * rng.normal(), 0, 1))
    saturation = float(np.clip(saturation * (1 + 0.08 * rng.normal()), 0, 1))
    red, green, blue = colorsys.hls_to_rgb(hue % 1, light, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """Return a colour with a share of another mixed in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.25) -> Colour:
    """Return a colour with black mixed in."""
    return mixed(colour, (20, 18, 24), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """Return a colour with white mixed in."""
    return mixed(colour, (255, 255, 255), share)


@dataclass(frozen=True)
class Cloth:
    """What a pattern is drawn on: a square of ``side`` pixels, and its colours."""

    draw: ImageDraw.ImageDraw
    side: int
    palette: Palette
    rng: np.random.Generator


def texture(pattern: int, palette: Palette, side: int, rng: np.random.Generator) -> Image.Image:
    """Return a square of cloth in the palette's colours with the numbered pattern."""
    image = Image.new("RGB", (side, side), palette.main)
    PATTERNS[pattern](Cloth(ImageDraw.Draw(image), side, palette, rng))
    return image


def _plain(cloth: Cloth) -> None:
    """Leave the cloth as it is."""


def _stripes(cloth: Cloth) -> None:
    step = cloth.side / float(cloth.rng.uniform(9, 13))
    lean = cloth.side * float(cloth.rng.choice([0.0, 0.0, 0.5]))
    at = -lean
    while at < cloth.side:
        corners = [(at + lean, 0), (at + lean + step / 2, 0), (at + step / 2, cloth.side),
                   (at, cloth.side)]  # fmt: skip
        cloth.draw.polygon(corners, fill=cloth.palette.second)
        at += step


def _dots(cloth: Cloth) -> None:
    step = cloth.side / float(cloth.rng.uniform(10, 13))
    radius = step * 0.27
    for row in range(round(cloth.side / step * 1.2) + 1):
        for column in range(round(cloth.side / step) + 2):
            x, y = (column + row % 2 / 2) * step, row * step * 0.85
            box = (x - radius, y - radius, x + radius, y + radius)
            cloth.draw.ellipse(box, fill=cloth.palette.second)


def _checks(cloth: Cloth) -> None:
    step = cloth.side / float(cloth.rng.uniform(11, 15))
    cells = math.ceil(cloth.side / step)
    for row in range(cells):
        for column in range(row % 2, cells, 2):
            x, y = column * step, row * step
            cloth.draw.rectangle((x, y, x + step, y + step), fill=cloth.palette.second)


def _zigzag(cloth: Cloth) -> None:
    step = cloth.side / float(cloth.rng.uniform(8, 11))
    for row in range(-1, math.ceil(cloth.side / step) + 1):
        points = [
            (x * step / 2, row * step + (step * 0.55 if x % 2 else 0))
            for x in range(math.ceil(2 * cloth.side / step) + 2)
        ]
        cloth.draw.line(points, fill=cloth.palette.second, width=round(step * 0.3), joint="curve")


def _terrazzo(cloth: Cloth) -> None:
    chips = (cloth.palette.second, cloth.palette.accent, lighter(cloth.palette.main))
    for x, y in cloth.rng.random((170, 2)) * cloth.side:
        size = cloth.side * float(cloth.rng.uniform(0.012, 0.03))
        turn = float(cloth.rng.uniform(0, 2 * math.pi))
        corners = [
            (x + size * reach * math.cos(turn + a), y + size * reach * math.sin(turn + a))
            for a, reach in zip((0, 1.3, 2.6, 4.2), cloth.rng.uniform(0.7, 1.2, 4), strict=True)
        ]
        cloth.draw.polygon(corners, fill=chips[int(cloth.rng.integers(3))])


def _waves(cloth: Cloth) -> None:
    step = cloth.side / float(cloth.rng.uniform(9, 12))
    radius = step * 0.75
    for row in range(math.ceil(cloth.side / step * 1.8) + 2, -2, -1):
        for column in range(-1, math.ceil(cloth.side / step / 1.4) + 2):
            x, y = (column + row % 2 / 2) * step * 1.5, row * step * 0.55
            for ring, colour in enumerate((cloth.palette.second, cloth.palette.main) * 2):
                r = radius * (1 - ring / 4)
                cloth.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


PATTERNS: tuple[Callable[[Cloth], None], ...] = (
    _plain, _stripes, _dots, _checks, _zigzag, _terrazzo, _waves,
)  # fmt: skip
"""Seven that are told apart at a glance."""
