"""A drawing surface in units of a hundredth, drawn large and shrunk, so that edges are smooth."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from pipeline.etl.demo.looks import Colour, Palette, darker, mixed

PICTURE = 192
"""Pixels of a side of the finished picture."""
_OVERSAMPLE = 3
SIDE = PICTURE * _OVERSAMPLE

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@cache
def _shadow_ramp(side: int) -> Image.Image:
    """Return the darkening of a round body lit from the left: none, then more to the right."""
    across = np.linspace(0, 1, side)
    ramp = 255 * (0.30 * np.clip((across - 0.55) / 0.45, 0, 1) ** 1.4)
    return Image.fromarray(np.tile(ramp.astype(np.uint8), (side, 1)))


class Easel:
    """One picture being drawn; coordinates run from 0 to 100, down and to the right."""

    def __init__(self, palette: Palette, cloth: Image.Image) -> None:
        """Paint the wall and the floor; ``cloth`` covers the bodies."""
        self.palette = palette
        self.image = Image.new("RGB", (SIDE, SIDE), palette.wall)
        self._cloth = cloth
        self._draw = ImageDraw.Draw(self.image)

    def floor(self) -> None:
        """Paint the ground the thing stands on."""
        self.box((0, 80, 100, 100), mixed(self.palette.wall, darker(self.palette.wall), 0.35))

    def shadow(self, box: Box) -> None:
        """Paint the shadow of a thing on whatever is behind it."""
        self.ellipse(box, mixed(darker(self.palette.wall, 0.4), self.palette.wall, 0.45))

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([_scaled(p) for p in points], fill=fill)

    def ellipse(self, box: Box, fill: Colour) -> None:
        """Fill an ellipse."""
        self._draw.ellipse(_scaled(box), fill=fill)

    def box(self, box: Box, fill: Colour, radius: float = 0) -> None:
        """Fill a rectangle with rounded corners."""
        self._draw.rounded_rectangle(_scaled(box), radius * SIDE / 100, fill=fill)

    def ring(self, box: Box, fill: Colour, width: float) -> None:
        """Draw the outline of an ellipse."""
        self._draw.ellipse(_scaled(box), outline=fill, width=round(width * SIDE / 100))

    def arc(self, box: Box, angles: tuple[float, float], fill: Colour, width: float) -> None:
        """Draw part of an ellipse's outline, between two angles in degrees clockwise from east."""
        self._draw.arc(_scaled(box), *angles, fill=fill, width=round(width * SIDE / 100))

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """Draw a line with round ends."""
        scaled, radius = [_scaled(p) for p in points], width * SIDE / 200
        self._draw.line(scaled, fill=fill, width=round(2 * radius), joint="curve")
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def cloth_polygon(self, points: Sequence[Point], *, round_body: bool = True) -> None:
        """Fill a polygon with the patterned cloth, shaded as a body lit from the left."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        mask, where = _mask((min(xs), min(ys), max(xs), max(ys)))
        shifted = [(x - where[0], y - where[1]) for x, y in (_scaled(p) for p in points)]
        ImageDraw.Draw(mask).polygon(shifted, fill=255)
        self._lay(mask, where, shaded=round_body)

    def cloth_ellipse(self, box: Box, *, round_body: bool = True) -> None:
        """Fill an ellipse with the patterned cloth."""
        mask, where = _mask(box)
        ImageDraw.Draw(mask).ellipse((0, 0, mask.width - 1, mask.height - 1), fill=255)
        self._lay(mask, where, shaded=round_body)

    def cloth_box(self, box: Box, radius: float = 0, *, round_body: bool = True) -> None:
        """Fill a rectangle with rounded corners with the patterned cloth."""
        mask, where = _mask(box)
        corners = (0, 0, mask.width - 1, mask.height - 1)
        ImageDraw.Draw(mask).rounded_rectangle(corners, radius * SIDE / 100, fill=255)
        self._lay(mask, where, shaded=round_body)

    def _lay(self, mask: Image.Image, where: tuple[int, int], *, shaded: bool) -> None:
        corners = (*where, where[0] + mask.width, where[1] + mask.height)
        self.image.paste(self._cloth.crop(corners), where, mask)
        if shaded:
            shade = ImageChops.multiply(mask, _shadow_ramp(SIDE).resize(mask.size))
            self.image.paste((20, 16, 30), corners, shade)

    def finished(self) -> Image.Image:
        """Return the picture in its final size."""
        return self.image.reduce(_OVERSAMPLE)


def _scaled(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(number * SIDE / 100 for number in numbers)


def _mask(box: Box) -> tuple[Image.Image, tuple[int, int]]:
    """Return an empty mask of a box's size and the corner where it belongs."""
    left, top, right, bottom = (round(edge) for edge in _scaled(box))
    return Image.new("L", (max(1, right - left), max(1, bottom - top)), 0), (left, top)
