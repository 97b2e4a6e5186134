"""A flame graph as one SVG file: frames named, zoomed by a click, searched, dark where asked."""

import html
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.measure.profile.stacks import Stacks

_WIDTH, _ROW, _TOP, _SIDE = 1200.0, 18, 56, 10
_LEAST = 0.0005
"""Share of all samples below which a frame is not drawn."""
_STYLE_AND_SCRIPT = Path(__file__).with_name("flame.part.svg")


@dataclass
class Frame:
    """A function at one place of the stacks."""

    name: str
    samples: int = 0
    inside: "dict[str, Frame]" = field(default_factory=dict)

    @classmethod
    def of(cls, stacks: Stacks) -> "Frame":
        """Return the frame that holds all stacks."""
        root = cls("all")
        for stack, count in stacks.items():
            root.samples += count
            at = root
            for name in stack:
                at = at.inside.setdefault(name, cls(name))
                at.samples += count
        return root


@dataclass(frozen=True)
class Box:
    """A frame as drawn: shares of the width, and the level, 0 at the top."""

    name: str
    samples: int
    left: float
    share: float
    level: int


def boxes(root: Frame) -> Iterator[Box]:
    """Yield what is drawn: inside its caller, in the order of names; the rarest are left out."""
    whole = max(1, root.samples)
    waiting = [(root, 0.0, 0)]
    while waiting:
        frame, left, level = waiting.pop()
        share = frame.samples / whole
        if share < _LEAST:
            continue
        yield Box(frame.name, frame.samples, left, share, level)
        for _, inner in sorted(frame.inside.items()):
            waiting.append((inner, left, level + 1))
            left += inner.samples / whole


def svg(stacks: Stacks, title: str) -> str:
    """Return the picture; an empty one says that there were no samples."""
    root = Frame.of(stacks)
    drawn = [*boxes(root)] if root.samples else []
    levels = 1 + max((box.level for box in drawn), default=0)
    height = _TOP + levels * _ROW + 30
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height}" '
        f'width="{_WIDTH:.0f}" height="{height}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">'
        f"<title>{html.escape(title)}</title>"
    )
    body = "\n".join(_drawn(box, root.samples) for box in drawn)
    if not drawn:
        body = f'<text x="{_SIDE}" y="{_TOP + 14}">no samples</text>'
    words = (
        f'<text id="heading" x="{_SIDE}" y="22" font-size="15">{html.escape(title)}</text>'
        f'<text id="told" x="{_SIDE}" y="42" role="status">{root.samples:,} samples</text>'
        f'<text id="search" x="{_WIDTH - 170:.0f}" y="22" class="button" role="button" '
        f'tabindex="0">search (Ctrl-F)</text>'
        f'<text id="reset" x="{_WIDTH - 170:.0f}" y="42" class="button" role="button" '
        f'tabindex="0">show all</text>'
    )
    return (
        f'{head}\n{_STYLE_AND_SCRIPT.read_text()}\n{words}\n<g id="frames">\n{body}\n</g>\n</svg>\n'
    )


def _drawn(box: Box, whole: int) -> str:
    wide = _WIDTH - 2 * _SIDE
    y = _TOP + box.level * _ROW
    name = html.escape(box.name, quote=True)
    told = f"{name}: {box.samples:,} samples, {100 * box.samples / max(1, whole):.1f} %"
    return (
        f'<g class="frame" data-name="{name}" data-samples="{box.samples}" '
        f'data-left="{box.left:.6f}" data-share="{box.share:.6f}" data-level="{box.level}">'
        f'<title>{told}</title><rect x="{_SIDE + box.left * wide:.2f}" y="{y}" '
        f'width="{box.share * wide:.2f}" height="{_ROW - 1}" rx="2" fill="{colour(box.name)}"/>'
        f'<text x="{_SIDE + box.left * wide + 3:.2f}" y="{y + 12.5}">'
        f"{_fitting(box.name, box.share * wide)}</text></g>"
    )


def _fitting(name: str, pixels: float) -> str:
    letters = int((pixels - 6) / 7.3)
    if letters < 3:
        return ""
    return html.escape(name if len(name) <= letters else name[: letters - 1] + "…")


def colour(name: str) -> str:
    """Return a warm colour for Python, a cold one for compiled code; the same for a name always."""
    shade = zlib.crc32(name.encode()) % 40
    python = ".py" in name or "<" in name
    return f"hsl({20 + shade if python else 190 + shade} 62% {62 + shade % 9}%)"
