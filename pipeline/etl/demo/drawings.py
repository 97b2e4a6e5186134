"""A picture of every kind of thing the demo shop sells, in three shapes each."""

import math
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np

from pipeline.etl.demo.easel import SIDE, Box, Easel, Point
from pipeline.etl.demo.looks import darker, lighter, mixed, palette_of, texture

_QUALITY = 88


def draw(kind: str, palette: int, pattern: int, shape: int, rng: np.random.Generator) -> bytes:
    """Return the JPEG of a thing with numbered palette, pattern and shape."""
    colours = palette_of(palette, rng)
    easel = Easel(colours, texture(pattern, colours, SIDE, rng))
    DRAWINGS[kind](easel, shape)
    kept = BytesIO()
    easel.finished().save(kept, "JPEG", quality=_QUALITY, subsampling=0)
    return kept.getvalue()


def _lamp(easel: Easel, shape: int) -> None:
    colours = easel.palette
    metal = darker(colours.accent, 0.15)
    easel.floor()
    easel.shadow((28, 82, 76, 91))
    glow = mixed(colours.wall, (255, 236, 170), 0.35)
    easel.polygon([(33, 50), (67, 50), (78, 80), (22, 80)], glow)
    easel.line([(50, 84), (50, 46)], metal, 3)
    if shape == 1:
        easel.cloth_ellipse((40, 57, 60, 86))
    easel.box((36, 83, 64, 87), metal, 2)
    if shape == 2:
        easel.cloth_polygon(_arch((24, 16, 76, 84), 180, 360))
        easel.box((24, 49, 76, 52), darker(colours.main), 1)
    else:
        top = 14 if shape else 9
        easel.cloth_polygon([(38, 18), (62, 18), (62 + top, 53), (38 - top, 53)])
    easel.box((47, 13, 53, 17), metal, 1)


def _mug(easel: Easel, shape: int) -> None:
    left, top, right = ((30, 32, 64), (26, 44, 66), (32, 26, 62))[shape]
    easel.floor()
    easel.shadow((left - 3, 80, right + 22, 90))
    handle = darker(easel.palette.main, 0.18)
    easel.ring((right - 10, top + 10, right + 16, 74), handle, 5)
    radius = 15 if shape == 1 else 6
    easel.cloth_box((left, top - 4, right, 86), radius)
    easel.cloth_box((left, top - 4, right, top + 16), 1)
    easel.ellipse((left, top - 9, right, top + 4), lighter(easel.palette.main))
    easel.ellipse((left + 3, top - 7, right - 3, top + 2.5), (92, 58, 38))
    if shape == 2:
        for x in (41, 48, 55):
            steam = mixed(easel.palette.wall, (255, 255, 255), 0.75)
            easel.line(_curl(x, 15), steam, 1.4)


def _curl(x: float, bottom: float) -> list[Point]:
    return [(x + 1.6 * math.sin(step / 2), bottom - step) for step in range(12)]


def _rug(easel: Easel, shape: int) -> None:
    colours = easel.palette
    easel.floor()
    fringe = colours.second
    if shape == 1:
        easel.shadow((10, 22, 92, 88))
        easel.cloth_ellipse((10, 18, 90, 84), round_body=False)
        easel.ring((10, 18, 90, 84), colours.accent, 3)
        easel.ring((17, 24, 83, 78), colours.second, 1.5)
        return
    corners: list[Point] = [(18, 20), (82, 20), (92, 84), (8, 84)]
    if shape == 2:
        corners = [(24, 12), (76, 12), (76, 90), (24, 90)]
    (a, top), (b, _), (c, bottom), (d, _) = corners
    for step in range(25):
        share = step / 24
        easel.line([(a + (b - a) * share, top), (a + (b - a) * share, top - 4)], fringe, 0.7)
        easel.line([(d + (c - d) * share, bottom), (d + (c - d) * share, bottom + 4)], fringe, 0.7)
    easel.cloth_polygon(corners, round_body=False)
    for y, width in ((0.06, 2.0), (0.94, 2.0)):
        at = top + (bottom - top) * y
        easel.line([(a + (d - a) * y + 1, at), (b + (c - b) * y - 1, at)], colours.accent, width)


def _poster(easel: Easel, shape: int) -> None:
    colours = easel.palette
    frame = darker(colours.accent, 0.35)
    easel.box((24, 12, 80, 92), darker(colours.wall, 0.12), 1)
    easel.box((21, 9, 77, 89), frame, 1)
    easel.box((24, 12, 74, 86), (252, 250, 244))
    easel.cloth_box((29, 17, 69, 81), round_body=False)
    if shape == 0:
        easel.ellipse((37, 26, 61, 50), colours.accent)
        easel.polygon([(29, 81), (29, 66), (43, 52), (56, 66), (63, 59), (69, 66), (69, 81)],
                      darker(colours.main, 0.35))  # fmt: skip
    elif shape == 1:
        easel.polygon([(49, 24), (64, 66), (34, 66)], colours.accent)
        easel.ellipse((40, 46, 58, 64), (252, 250, 244))
    else:
        easel.line([(49, 76), (49, 40)], darker(colours.accent), 1.8)
        for y, reach in ((62, 12), (52, 10), (42, 7)):
            easel.ellipse((49 - reach - 4, y - 6, 48, y + 1), colours.accent)
            easel.ellipse((50, y - 9, 53 + reach, y - 2), colours.accent)


def _sneakers(easel: Easel, shape: int) -> None:
    colours = easel.palette
    easel.floor()
    easel.shadow((6, 78, 96, 90))
    collar = 26 if shape == 2 else 42
    toe = [(90 + 3 * math.cos(a), 70 - 10 * math.sin(a)) for a in np.linspace(-0.6, 1.3, 8)]
    body: list[Point] = [(10, 78), (10, collar), (16, collar - 2), (36, collar - 2), (42, 48),
                         (58, 57), (78, 59), *reversed(toe), (92, 78)]  # fmt: skip
    easel.cloth_polygon(body)
    easel.box((7, 75, 95, 83), (250, 248, 242), 4)
    easel.box((7, 80, 95, 84), colours.accent if shape else darker(colours.second, 0.3), 2)
    easel.polygon([(80, 76), (83, 62), (92, 64), (95, 76)], darker(colours.second, 0.1))
    easel.polygon([(10, collar), (16, collar - 3), (20, collar - 2), (18, 66), (10, 66)],
                  colours.accent)  # fmt: skip
    for step in range(4):
        x, y = 43 + step * 5.4, 49.5 + step * 2.7
        easel.line([(x - 4, y + 5), (x + 3, y - 0.5)], (252, 250, 246), 1.8)
    if shape == 1:
        easel.polygon([(28, 72), (34, 60), (60, 66), (56, 72)], colours.second)


def _chair(easel: Easel, shape: int) -> None:
    wood = mixed(easel.palette.accent, (150, 104, 66), 0.45)
    easel.floor()
    easel.shadow((20, 84, 84, 94))
    for x, foot in ((32, 26), (68, 74)):
        easel.line([(x + (4 if x < 50 else -4), 60), (foot + (8 if x < 50 else -8), 84)],
                   darker(wood, 0.35), 3)  # fmt: skip
        easel.line([(x, 60), (foot, 90)], wood, 3.4)
    if shape == 0:
        easel.cloth_box((30, 12, 70, 52), 9)
    elif shape == 1:
        easel.cloth_polygon(_arch((26, 10, 74, 100), 180, 360))
    else:
        for x in (33, 67):
            easel.line([(x, 60), (x, 12)], wood, 3.4)
        for y in (16, 29):
            easel.cloth_box((32, y, 68, y + 9), 4)
    easel.cloth_box((25, 53, 75, 64), 5)
    easel.box((28, 62, 72, 65), darker(easel.palette.main, 0.35), 1.5)


def _arch(box: Box, start: float, end: float) -> list[Point]:
    """Return the points of an ellipse's outline between two angles."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    angles = np.radians(np.linspace(start, end, 40))
    return [
        (x + (right - left) / 2 * math.cos(a), y + (bottom - top) / 2 * math.sin(a)) for a in angles
    ]


def _cushion(easel: Easel, shape: int) -> None:
    colours = easel.palette
    easel.floor()
    easel.shadow((12, 76, 90, 91))
    if shape == 1:
        easel.cloth_ellipse((15, 18, 85, 86))
        easel.ring((15, 18, 85, 86), colours.accent, 2)
        easel.ellipse((46, 48, 54, 56), colours.accent)
        return
    top, bottom = (34, 84) if shape == 2 else (18, 86)
    easel.cloth_polygon(_pillow((14, top, 86, bottom)))
    for x, y in ((14, top), (86, top), (14, bottom), (86, bottom)):
        if shape == 0:
            easel.ellipse((x - 3.5, y - 3.5, x + 3.5, y + 3.5), colours.accent)
    if shape == 2:
        easel.line([(22, top + 4), (22, bottom - 4)], colours.accent, 2)
        easel.line([(78, top + 4), (78, bottom - 4)], colours.accent, 2)


def _pillow(box: Box) -> list[Point]:
    """Return a rectangle whose sides bulge inwards between pointed corners."""
    left, top, right, bottom = box
    dip = 4.5
    share = np.linspace(0, 1, 14)
    sag = dip * np.sin(np.pi * share)
    across, down = left + (right - left) * share, top + (bottom - top) * share
    return [
        *zip(across, top + sag, strict=True),
        *zip(right - sag, down, strict=True),
        *zip(across[::-1], bottom - sag, strict=True),
        *zip(left + sag, down[::-1], strict=True),
    ]


def _vase(easel: Easel, shape: int) -> None:
    colours = easel.palette
    easel.floor()
    easel.shadow((28, 83, 76, 92))
    stem = (86, 120, 72)
    for x, y, lean in ((38, 18, -6), (50, 10, 0), (62, 20, 6)):
        easel.line([(50 + lean / 3, 50), (x, y + 4)], stem, 1.6)
        for turn in range(5):
            a = turn * 2 * math.pi / 5
            px, py = x + 4 * math.cos(a), y + 4 * math.sin(a)
            easel.ellipse((px - 3.2, py - 3.2, px + 3.2, py + 3.2), colours.accent)
        easel.ellipse((x - 2.4, y - 2.4, x + 2.4, y + 2.4), (252, 232, 160))
    profile = ((9, 8, 17, 22, 22, 17, 12), (15, 14, 14, 13, 12, 11, 10), (7, 6, 6, 13, 20, 22, 16))
    heights = np.linspace(42, 88, 60)
    widths = np.interp(heights, np.linspace(42, 88, 7), _smooth(profile[shape]))
    right = [(50 + w, y) for w, y in zip(widths, heights, strict=True)]
    left = [(50 - w, y) for w, y in zip(widths[::-1], heights[::-1], strict=True)]
    easel.cloth_polygon([*right, *left])
    rim = float(widths[0])
    easel.ellipse((50 - rim, 39.5, 50 + rim, 44.5), darker(colours.main, 0.4))


def _smooth(widths: tuple[int, ...]) -> list[float]:
    """Return widths of a profile with its corners taken off."""
    padded = [widths[0], *widths, widths[-1]]
    return [(a + 4 * b + c) / 6 for a, b, c in zip(padded, padded[1:], padded[2:], strict=False)]


def _clock(easel: Easel, shape: int) -> None:
    colours = easel.palette
    dark = darker(colours.main, 0.55)
    easel.shadow((17, 18, 89, 92))
    if shape == 1:
        easel.cloth_box((14, 12, 86, 84), 10)
    else:
        easel.cloth_ellipse((14, 12, 86, 84))
    if shape == 2:
        easel.ring((14, 12, 86, 84), colours.accent, 4)
    easel.ellipse((26, 24, 74, 72), (253, 251, 246))
    for hour in range(12):
        a = hour * math.pi / 6
        inner = 18 if hour % 3 else 16
        points = [(50 + r * math.sin(a), 48 - r * math.cos(a)) for r in (inner, 21)]
        easel.line(points, dark, 1.0 if hour % 3 else 2.0)
    easel.line([(50, 48), (41.5, 40)], dark, 2.4)
    easel.line([(50, 48), (62, 37)], dark, 1.8)
    easel.line([(50, 48), (53, 64)], colours.accent, 0.9)
    easel.ellipse((48, 46, 52, 50), colours.accent)


def _planter(easel: Easel, shape: int) -> None:
    colours = easel.palette
    leaf, dark_leaf = (92, 140, 88), (66, 112, 74)
    easel.floor()
    easel.shadow((24, 82, 80, 93))
    if shape == 0:
        for x, y, lean in ((30, 26, 1), (70, 26, -1), (39, 14, 1), (61, 14, -1), (50, 8, 0)):
            middle = ((x + 50) / 2 - 5 * lean, (y + 56) / 2)
            easel.polygon([(50, 58), middle, (x, y), (middle[0] + 10 * (lean or 1), middle[1])],
                          leaf if lean else dark_leaf)  # fmt: skip
    elif shape == 1:
        easel.box((41, 12, 59, 58), leaf, 9)
        easel.box((26, 28, 36, 48), dark_leaf, 5)
        easel.box((26, 40, 46, 48), dark_leaf, 4)
        easel.box((64, 22, 74, 42), dark_leaf, 5)
        easel.box((54, 34, 74, 42), dark_leaf, 4)
        easel.ellipse((45, 7, 55, 16), colours.accent)
    else:
        for x, y, size in ((34, 34, 12), (66, 34, 12), (42, 24, 13), (58, 24, 13), (50, 38, 14)):
            easel.ellipse(
                (x - size, y - size, x + size, y + size), leaf if size > 12 else dark_leaf
            )
    if shape == 2:
        easel.cloth_polygon(_arch((26, 24, 74, 90), 0, 180))
    else:
        easel.cloth_polygon([(30, 58), (70, 58), (64, 90), (36, 90)])
    easel.cloth_box((27, 54, 73, 62), 2)
    easel.box((27, 61.5, 73, 63), darker(colours.main, 0.3))


def _backpack(easel: Easel, shape: int) -> None:
    colours = easel.palette
    strap = darker(colours.main, 0.4)
    easel.floor()
    easel.shadow((16, 82, 88, 93))
    easel.ring((40, 6, 60, 26), strap, 3)
    for side in (-1, 1):
        easel.line([(50 + side * 28, 38), (50 + side * 34, 60), (50 + side * 29, 82)], strap, 4)
    easel.cloth_box((22, 14, 78, 90), (24, 12, 18)[shape])
    if shape == 1:
        easel.box((22, 38, 78, 41), strap)
        for x in (36, 60):
            easel.box((x, 30, x + 4, 50), colours.accent, 1)
            easel.box((x - 1, 46, x + 5, 51), (238, 228, 200), 1)
    easel.box((30, 54, 70, 84), darker(colours.main, 0.22), 6)
    easel.box((31.5, 55.5, 68.5, 82.5), colours.accent if shape == 2 else colours.main, 5)
    easel.line([(34, 61), (66, 61)], strap, 1.6)
    easel.box((62, 60, 65, 67), colours.second, 1)
    if shape == 0:
        easel.arc((30, 22, 70, 62), (190, 350), strap, 1.6)
        easel.ellipse((46, 38, 54, 46), colours.accent)


def _teapot(easel: Easel, shape: int) -> None:
    colours = easel.palette
    trim = darker(colours.main, 0.3)
    easel.floor()
    easel.shadow((16, 80, 86, 91))
    easel.polygon([(64, 68), (84, 38), (90, 36), (91, 40), (86, 46), (72, 78)], trim)
    if shape == 1:
        easel.arc((26, 8, 72, 70), (180, 360), colours.accent, 3.6)
    else:
        easel.ring((8, 40, 36, 72), trim, 4.6)
    body = ((22, 36, 76, 88), (24, 40, 74, 86), (26, 30, 72, 88))[shape]
    if shape == 1:
        easel.cloth_box(body, 16)
    else:
        easel.cloth_ellipse(body)
    top = body[1]
    easel.cloth_polygon(_arch((34, top - 5, 64, top + 17), 180, 360))
    easel.box((33, top + 4, 65, top + 7), trim, 1)
    easel.ellipse((45, top - 11, 53, top - 3), colours.accent)
    easel.box((36, 85, 62, 89), trim, 2)


def _umbrella(easel: Easel, shape: int) -> None:
    colours = easel.palette
    wood = mixed(colours.accent, (140, 96, 60), 0.4)
    easel.line([(50, 10), (50, 80)], wood, 2.2)
    easel.arc((50 - 1, 72, 50 + 15, 90), (0, 180), wood, 2.8)
    height = (62, 48, 76)[shape]
    canopy = _arch((10, 16, 90, 16 + 2 * height * 0.62), 180, 360)
    base = canopy[0][1]
    scallops: list[Point] = []
    count = 4 if shape == 1 else 5
    wide = 80 / count
    for step in range(count):
        right = 90 - step * wide
        scallops += _arch((right - wide, base - 5, right, base + 5), 360, 180)
    easel.cloth_polygon([*canopy, *scallops])
    for step in range(1, count):
        x = 10 + step * wide
        middle = (50 + (x - 50) * 0.7, base - (base - 16) * 0.55)
        easel.line([(50, 16.5), middle, (x, base)], darker(colours.main, 0.3), 0.8)
    easel.box((48.8, 8, 51.2, 17), wood, 1)


def _notebook(easel: Easel, shape: int) -> None:
    colours = easel.palette
    easel.box((27, 15, 81, 93), darker(colours.wall, 0.14), 3)
    easel.box((25, 13, 79, 91), (248, 244, 232), 3)
    easel.cloth_box((22, 10, 76, 88), 3, round_body=False)
    easel.box((22, 10, 31, 88), darker(colours.main, 0.35), 3)
    if shape == 0:
        easel.box((68, 10, 71, 88), colours.accent)
    elif shape == 1:
        for y in np.arange(15, 86, 6.0):
            easel.ring((18, y, 27, y + 4), (120, 120, 126), 1)
    else:
        easel.polygon([(60, 88), (66, 88), (66, 98), (63, 95), (60, 98)], colours.accent)
    easel.box((38, 26, 64, 44), (253, 250, 242), 2)
    easel.line([(42, 32), (60, 32)], darker(colours.main, 0.2), 1.2)
    easel.line([(42, 38), (54, 38)], darker(colours.main, 0.2), 1.2)


DRAWINGS: Mapping[str, Callable[[Easel, int], None]] = {
    "lamp": _lamp,
    "mug": _mug,
    "rug": _rug,
    "poster": _poster,
    "sneakers": _sneakers,
    "chair": _chair,
    "cushion": _cushion,
    "vase": _vase,
    "clock": _clock,
    "planter": _planter,
    "backpack": _backpack,
    "teapot": _teapot,
    "umbrella": _umbrella,
    "notebook": _notebook,
}
"""By kind."""
