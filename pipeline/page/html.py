"""Pieces of a page as HTML; whatever comes from data is escaped here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files


@dataclass(frozen=True)
class Panel:
    """A titled part of a page; ``body`` is HTML."""

    title: str
    body: str
    half: bool = False
    """Whether another may stand beside it."""


def page(title: str, lead: str, panels: Iterable[Panel], tiles: str = "", foot: str = "") -> str:
    """Return a whole page; ``tiles`` is HTML that stands above the panels."""
    style = files("pipeline.page").joinpath("style.css").read_text()
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{style}</style></head>\n<body>\n"
        f'<header><div><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></div></header>\n'
        f"<main>\n{tiles}{_panels(panels)}</main>\n<footer>{escape(foot)}</footer>\n</body></html>\n"
    )


def _panels(panels: Iterable[Panel]) -> str:
    parts: list[str] = []
    beside = False
    for panel in panels:
        if panel.half != beside:
            parts.append('<div class="sides">\n' if panel.half else "</div>\n")
            beside = panel.half
        parts.append(
            f'<section class="panel"><h2>{escape(panel.title)}</h2>'
            f'<div class="in">{panel.body}</div></section>\n'
        )
    return "".join(parts) + "</div>\n" * beside


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return numbers with what they are."""
    found = "".join(
        f'<div class="panel tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in pairs
    )
    return f'<div class="tiles">{found}</div>\n'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, ours: int | None = None) -> str:
    """Return a table; columns of numbers are set flush right, row ``ours`` is set apart."""
    numeric = [bool(rows) and all(_is_number(row[at]) for row in rows) for at in range(len(header))]
    body = "".join(
        f"<tr{' class=ours' if at == ours else ''}>{_cells('td', row, numeric)}</tr>"
        for at, row in enumerate(rows)
    )
    head = _cells("th", header, numeric)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cells(tag: str, values: Sequence[str], numeric: Sequence[bool]) -> str:
    return "".join(
        f"<{tag}{' class=number' if number else ''}>{escape(value)}</{tag}>"
        for value, number in zip(values, numeric, strict=True)
    )


def _is_number(text: str) -> bool:
    return (
        text in ("", "-", "?") or text[:1].isdigit() or (text[:1] in "+-−." and text[1:2].isdigit())
    )


def paragraphs(texts: Iterable[str], kind: str = "") -> str:
    """Return texts as paragraphs of a class."""
    opened = f'<p class="{kind}">' if kind else "<p>"
    return "".join(f"{opened}{escape(text)}</p>" for text in texts)


def folded(summary: str, body: str) -> str:
    """Return HTML that is shown when asked for."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"
