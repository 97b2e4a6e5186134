"""Drawings for the page, as SVG that takes its colours from the page's style."""

import math
from collections.abc import Sequence
from html import escape

from pipeline.measure.energy.pareto import Point

_BARS, _ROW, _NAMES, _VALUES = 380, 26, 120, 80
_WIDTH = 640
_LEFT, _BOTTOM, _TOP, _HEIGHT = 56, 44, 16, 320


def bars(what: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Return horizontal bars; a row is a name, a value and how the value is spelled."""
    largest = max((value for _, value, _ in rows), default=0.0) or 1.0
    room = _BARS - _NAMES - _VALUES
    drawn = []
    for at, (name, value, told) in enumerate(rows):
        y, length = at * _ROW, max(1.0, room * value / largest)
        drawn.append(
            f'<text x="{_NAMES - 10}" y="{y + 18}" text-anchor="end" class="name">{_cut(name)}'
            f"<title>{escape(name)}</title></text>"
            f'<rect x="{_NAMES}" y="{y + 6}" width="{length:.1f}" height="16" rx="4" class="beam"/>'
            f'<text x="{_NAMES + length + 8:.1f}" y="{y + 18}" class="value">{escape(told)}</text>'
        )
    return _svg(what, (_BARS, max(1, len(rows)) * _ROW), drawn)


def _cut(name: str, most: int = 18) -> str:
    return escape(name if len(name) <= most else name[: most - 1] + "…")


def scatter(what: str, points: Sequence[Point], front: Sequence[Point], metric: str) -> str:
    """Return accuracy over energy (logarithmic), with the front that no point beats as a line."""
    place = _Axes.of(points)
    stairs = [f"{place.x(p.joules):.1f},{place.y(p.accuracy):.1f}" for p in front]
    drawn = [*place.drawn(metric)]
    if len(stairs) > 1:
        drawn.append(f'<polyline points="{" ".join(stairs)}" class="front"/>')
    taken: list[tuple[float, float]] = [(place.x(p.joules), place.y(p.accuracy)) for p in points]
    for point in sorted(points, key=lambda p: p not in front):
        x, y = place.x(point.joules), place.y(point.accuracy)
        kind = "dot on" if point in front else "dot"
        told = f"{escape(point.name)}: {metric} {point.accuracy:.4f}, {_joules(point.joules)}"
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}">'
        drawn.append(f"{dot}<title>{told}</title></circle>")
        spot = _free_spot(x, y, taken)
        if spot is not None:
            taken.append(spot)
            side = "end" if spot[0] < x else "start"
            text = (
                f'<text x="{spot[0]:.1f}" y="{spot[1] + 4:.1f}" text-anchor="{side}" class="name">'
            )
            drawn.append(f"{text}{_cut(point.name)}</text>")
    return _svg(what, (_WIDTH, _HEIGHT), drawn)


def _free_spot(
    x: float, y: float, taken: Sequence[tuple[float, float]]
) -> tuple[float, float] | None:
    """Return where a point's name can begin (or end, left of it) without hiding another."""
    for right in (-9, 9) if x > _WIDTH - 130 else (9, -9):
        for down in (0.0, 14.0, -14.0):
            low, high = sorted((x + right, x + right + math.copysign(110, right)))
            row = y + down
            crossed = any(low <= a <= high and abs(b - row) < 12 for a, b in taken)
            if not crossed and low > _LEFT and high < _WIDTH + 10:
                return x + right, row
    return None


class _Axes:
    """Where values stand in the drawing."""

    def __init__(self, joules: tuple[float, float], accuracy: tuple[float, float]) -> None:
        """Span decades of joules, and a little more than the accuracies."""
        self._low = math.floor(math.log10(max(joules[0], 1e-3)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(joules[1], 1e-3))))
        margin = 0.1 * (accuracy[1] - accuracy[0]) or 0.1 * abs(accuracy[1]) or 0.1
        self._floor, self._roof = accuracy[0] - margin, accuracy[1] + margin

    @classmethod
    def of(cls, points: Sequence[Point]) -> "_Axes":
        """Return axes that hold all points."""
        joules = [p.joules for p in points] or [1.0]
        accuracy = [p.accuracy for p in points] or [0.0]
        return cls((min(joules), max(joules)), (min(accuracy), max(accuracy)))

    def x(self, joules: float) -> float:
        """Return how far right so many joules stand."""
        share = (math.log10(max(joules, 1e-3)) - self._low) / (self._high - self._low)
        return _LEFT + share * (_WIDTH - _LEFT - 16)

    def y(self, accuracy: float) -> float:
        """Return how far down an accuracy stands."""
        share = (accuracy - self._floor) / (self._roof - self._floor)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)

    def drawn(self, metric: str) -> list[str]:
        """Return the lines and numbers of both axes."""
        parts = []
        for decade in range(self._low, self._high + 1):
            x, foot = self.x(10.0**decade), _HEIGHT - _BOTTOM
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{foot}" class="grid"/>'
                f'<text x="{x:.1f}" y="{foot + 17}" text-anchor="middle" class="value">'
                f"{_joules(10.0**decade)}</text>"
            )
        for step in range(5):
            accuracy = self._floor + step / 4 * (self._roof - self._floor)
            y = self.y(accuracy)
            parts.append(
                f'<line x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
                f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" class="value">'
                f"{accuracy:.3f}</text>"
            )
        middle = (_LEFT + _WIDTH) / 2
        parts.append(
            f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle" class="name">'
            f"energy to make the model; {escape(metric)} upwards</text>"
        )
        return parts


def _joules(joules: float) -> str:
    for unit, size in (("MJ", 1e6), ("kJ", 1e3), ("J", 1.0)):
        if joules >= size:
            return (
                f"{joules / size:g} {unit}" if joules % size == 0 else f"{joules / size:.3g} {unit}"
            )
    return f"{joules * 1000:.3g} mJ"


def _svg(what: str, size: tuple[float, float], parts: Sequence[str]) -> str:
    named = f'role="img" aria-label="{escape(what, quote=True)}"'
    return f'<svg viewBox="0 0 {size[0]:g} {size[1]:g}" {named}>{"".join(parts)}</svg>'
