"""Plots as SVG: curves, intervals, bars. Colours come from the page's style."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pipeline.runs.curves import Points

WIDTH, HEIGHT = 480, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 8, 46
_COLOURS = 7
_ROW = 24
_LABEL = 132
_MOST_DIGITS = 5
_LETTER = 6.0
"""Mean width of a letter."""


def line_chart(series: Mapping[str, Points], what: str, count: str) -> str:
    """Return curves over a count, with a legend below."""
    points = [point for each in series.values() for point in each]
    x = Scale.over([p[0] for p in points], LEFT, WIDTH - RIGHT, finest=1.0)
    y = Scale.over([p[1] for p in points], HEIGHT - BOTTOM, TOP)
    parts = [y_axis(y), _x_axis(x, count)]
    for at, each in enumerate(series.values()):
        path = " ".join(f"{x(count):.1f},{y(value):.1f}" for count, value in each)
        parts.append(f'<polyline class="s{at % _COLOURS}" points="{path}"/>')
    parts.append(_legend([*series]))
    return svg(f"{what} by {count}: {', '.join(series)}", HEIGHT, parts)


@dataclass(frozen=True)
class Measured:
    """A value with the ends of its interval, where it has one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def interval_chart(numbers: Sequence[Measured], what: str) -> str:
    """Return one row a number: a point, and a line from end to end of its interval."""
    ends = [v for n in numbers for v in (n.value, n.low, n.high) if v is not None]
    x = Scale.over([*ends, 0.0], _LABEL, WIDTH - 52)
    high = _ROW * len(numbers) + 24
    parts = [_x_grid(x, high - 20)]
    for at, number in enumerate(numbers):
        middle = _ROW * at + _ROW / 2
        colour = f"s{0 if at == 0 else 6}"
        parts.append(f'<g class="{colour}">{_label(number.name, middle)}')
        if number.low is not None and number.high is not None:
            parts.append(
                f'<line class="whisker" x1="{x(number.low):.1f}" x2="{x(number.high):.1f}" '
                f'y1="{middle}" y2="{middle}"/>'
            )
        parts.append(f'<circle cx="{x(number.value):.1f}" cy="{middle}" r="4"/>')
        text_at = x(number.value if number.high is None else number.high) + 8
        parts.append(f'<text x="{text_at:.1f}" y="{middle + 4}">{number.value:.4f}</text></g>')
    return svg(f"{what}, with 95 % intervals", high, parts)


@dataclass(frozen=True)
class Bar:
    """A named value and how it is spelled; ``depth`` 0 is a whole, more is a part of one above."""

    name: str
    value: float
    told: str
    depth: int = 0


def bar_chart(bars: Sequence[Bar], what: str) -> str:
    """Return one horizontal bar a row, parts of another below it and paler."""
    x = Scale.over([0.0, *(bar.value for bar in bars)], _LABEL, WIDTH - 100)
    parts = []
    for at, bar in enumerate(bars):
        middle = _ROW * at + _ROW / 2
        inner = ' class="s0 inner"' if bar.depth else ' class="s0"'
        wide = max(1.0, x(bar.value) - x(0.0))
        parts.append(
            f"<g{inner}>{_label(bar.name, middle, 12 * bar.depth)}"
            f'<rect x="{_LABEL}" y="{middle - 7}" width="{wide:.1f}" height="14" rx="3"/></g>'
            f'<text x="{_LABEL + wide + 8:.1f}" y="{middle + 4}">{escape(bar.told)}</text>'
        )
    return svg(what, _ROW * len(bars) + 4, parts)


@dataclass(frozen=True)
class Scale:
    """Numbers to places; ``ticks`` are round numbers within."""

    low: float
    high: float
    start: float
    stop: float
    ticks: tuple[float, ...]
    digits: int
    """Behind the point, of a tick."""

    @classmethod
    def over(
        cls, values: Sequence[float], start: float, stop: float, finest: float = 0.0
    ) -> "Scale":
        """Return the scale that spans ``values`` up to round numbers, ``finest`` apart or more."""
        low, high = min(values), max(values)
        if high <= low:
            margin = abs(low) / 2 or 1.0
            low, high = low - margin, high + margin
        step = max(finest, nice((high - low) / 4))
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        count = round((high - low) / step)
        ticks = tuple(low + step * i for i in range(count + 1))
        return cls(low, high, start, stop, ticks, max(0, -math.floor(math.log10(step))))

    def tick(self, value: float) -> str:
        """Return a tick in words."""
        return spelled(value) if self.digits > _MOST_DIGITS else f"{value:,.{self.digits}f}"

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def nice(step: float) -> float:
    """Return the round number, 1, 2 or 5 with zeros, that is next above or at ``step``."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def spelled(value: float) -> str:
    """Return a number short enough for an axis."""
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def y_axis(y: Scale) -> str:
    """Return lines across a chart at round values, named."""
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(t) + 4:.1f}" text-anchor="end">{y.tick(t)}</text>'
        for t in y.ticks
    )


def _x_axis(x: Scale, count: str) -> str:
    base = HEIGHT - BOTTOM + 16
    ticks = "".join(
        f'<text x="{x(t):.1f}" y="{base}" text-anchor="middle">{x.tick(t)}</text>' for t in x.ticks
    )
    return ticks + f'<text x="{LEFT}" y="{HEIGHT - 6}">{escape(count)}</text>'


def _x_grid(x: Scale, high: float) -> str:
    return "".join(
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="0" y2="{high}"/>'
        f'<text x="{x(t):.1f}" y="{high + 14}" text-anchor="middle">{x.tick(t)}</text>'
        for t in x.ticks
    )


def _legend(names: Sequence[str]) -> str:
    parts, left = [], LEFT + 60.0
    for at, name in enumerate(names):
        parts.append(
            f'<g class="s{at % _COLOURS}">'
            f'<rect x="{left:.0f}" y="{HEIGHT - 15}" width="10" height="10" rx="2"/>'
            f'<text x="{left + 15:.0f}" y="{HEIGHT - 6}">{escape(name)}</text></g>'
        )
        left += 34 + _LETTER * len(name)
    return "".join(parts)


def short(name: str, longest: int) -> str:
    """Return a name cut to so many letters, escaped."""
    return escape(name if len(name) <= longest else f"{name[: longest - 1]}…")


def _label(name: str, middle: float, indent: float = 0) -> str:
    shown = short(name, int((_LABEL - 12 - indent) / _LETTER))
    return (
        f'<text class="ink" x="{indent}" y="{middle + 4}">{shown}'
        f"<title>{escape(name)}</title></text>"
    )


def svg(title: str, high: float, parts: Sequence[str]) -> str:
    """Return a drawing as wide as all others."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {high:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
