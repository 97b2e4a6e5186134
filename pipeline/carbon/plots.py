"""Accuracy over energy, as a chart of the page."""

import math
from collections.abc import Sequence
from html import escape

from pipeline.measure.energy.pareto import Point
from pipeline.page.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, short, svg, y_axis

Span = tuple[float, float, float]
"""From, to, and how far down."""

_NAME, _LETTERS = 110, 18
"""Room of a point's name, and how long it may be."""
_DOT = 5.0
"""Half a dot."""
_LEAST = 1e-3
"""Joules that the logarithm can still show."""


def scatter(what: str, points: Sequence[Point], front: Sequence[Point], metric: str) -> str:
    """Return accuracy over energy (logarithmic), with the front that no point beats as a line."""
    powers = Scale.over([_power(p) for p in points], LEFT, WIDTH - RIGHT, finest=1.0)
    y = Scale.over([p.accuracy for p in points], HEIGHT - BOTTOM, TOP)
    places = {p: (powers(_power(p)), y(p.accuracy)) for p in points}
    drawn = [y_axis(y), _decades(powers, metric)]
    if len(front) > 1:
        stairs = " ".join(f"{places[p][0]:.1f},{places[p][1]:.1f}" for p in front)
        drawn.append(f'<polyline points="{stairs}" class="s0 front"/>')
    taken = [(x - _DOT, x + _DOT, down) for x, down in places.values()]
    for point in sorted(points, key=lambda p: p not in front):
        spot = _free_spot(*places[point], taken)
        taken += [spot] if spot else []
        drawn.append(_dot(point, places[point], spot, metric, ahead=point in front))
    return svg(what, HEIGHT, drawn)


def _power(point: Point) -> float:
    return math.log10(max(point.joules, _LEAST))


def _dot(
    point: Point,
    place: tuple[float, float],
    spot: Span | None,
    metric: str,
    *,
    ahead: bool,
) -> str:
    told = f"{escape(point.name)}: {metric} {point.accuracy:.4f}, {_joules(point.joules)}"
    parts = [
        f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{_DOT:g}">'
        f"<title>{told}</title></circle>"
    ]
    if spot is not None:
        left, right, row = spot
        side, at = ("end", right) if left < place[0] else ("start", left)
        parts.append(
            f'<text x="{at:.1f}" y="{row + 4:.1f}" text-anchor="{side}" class="ink">'
            f"{short(point.name, _LETTERS)}</text>"
        )
    return f'<g class="{"s0" if ahead else "s6"}">{"".join(parts)}</g>'


def _free_spot(x: float, y: float, taken: Sequence[Span]) -> Span | None:
    """Return where a point's name can stand, right or left of it, without hiding another."""
    for right in (-9, 9) if x > WIDTH - _NAME - 20 else (9, -9):
        low, high = sorted((x + right, x + right + math.copysign(_NAME, right)))
        for row in (y, y + 14, y - 14):
            crossed = any(a < high and low < b and abs(at - row) < 12 for a, b, at in taken)
            if not crossed and low > LEFT and high < WIDTH + 10:
                return low, high, row
    return None


def _decades(powers: Scale, metric: str) -> str:
    foot = HEIGHT - BOTTOM
    lines = "".join(
        f'<line class="grid" x1="{powers(t):.1f}" x2="{powers(t):.1f}" y1="{TOP}" y2="{foot}"/>'
        f'<text x="{powers(t):.1f}" y="{foot + 16}" text-anchor="middle">{_joules(10.0**t)}</text>'
        for t in powers.ticks
    )
    words = f"energy to make the model; {escape(metric)} upwards"
    return f'{lines}<text x="{LEFT}" y="{HEIGHT - 6}">{words}</text>'


def _joules(joules: float) -> str:
    for unit, size in (("MJ", 1e6), ("kJ", 1e3), ("J", 1.0)):
        if joules >= size:
            return f"{joules / size:.4g} {unit}"
    return f"{joules * 1000:.3g} mJ"
