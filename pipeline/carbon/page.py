"""The report as one HTML file that needs nothing beside it."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from pipeline.carbon.plots import bars, scatter
from pipeline.carbon.report import Report
from pipeline.carbon.units import energies, grams_told, kwh_told, money_told, sums
from pipeline.measure.energy.account import Total

_OWN = """
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--soft); } svg .name { fill: var(--ink); }
svg .beam { fill: var(--accent); } svg .grid { stroke: var(--line); }
svg .front { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .dot { fill: var(--r-other); } svg .dot.on { fill: var(--accent); }
.drawn { padding: 1.1rem; overflow-x: auto; }
.drawn.points svg { max-width: 820px; min-width: 460px; margin: auto; }
 td.words, th.words { text-align: left; white-space: normal; }
"""
_GROUPS = (("stage", "By stage"), ("project", "By project"), ("month", "By month"))


def page(report: Report, style: str) -> str:
    """Return the page; ``style`` is the style sheet of the service's own page."""
    parts = [_tiles(report), '<div class="stack">', '<div class="sides">']
    for name, title in _GROUPS:
        parts.append(_panel(title, _bars(title, report.by[name])))
    parts.append("</div>")
    if report.points:
        metric = report.terms.metric
        drawn = scatter("Accuracy against energy", report.points, report.front, metric)
        parts.append(_panel("Accuracy against energy", f'<div class="drawn points">{drawn}</div>'))
    parts += [_panel("Sums by step", _sums(report)), _panel("Scope 2", _scope_2(report)), "</div>"]
    return _document(style, "".join(parts))


def _document(style: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        "<title>Energy and carbon · PlotPointe</title>"
        '<link rel="icon" href="data:,">'
        f"<style>{style}{_OWN}</style></head><body>"
        '<header><div class="across"><span class="brand">PlotPointe</span></div></header>'
        f"<main><h1>Energy and carbon</h1>{body}</main></body></html>\n"
    )


def _tiles(report: Report) -> str:
    whole, currency = report.whole, report.terms.currency
    told = [
        (kwh_told(whole.kwh), "electricity of the computers"),
        (grams_told(whole.grams), "CO2e, location-based"),
        (money_told(whole.money, currency), f"on {report.terms.machine}"),
        (f"{whole.machine_seconds / 3600:.2f} h", "of the machine"),
        (f"{whole.entries - whole.unmeasured} of {whole.entries}", "steps measured"),
    ]
    tiles = "".join(
        f'<div class="panel tile"><b>{escape(value)}</b>'
        f'<span class="soft">{escape(what)}</span></div>'
        for value, what in told
    )
    return f'<div class="tiles">{tiles}</div>'


def _panel(title: str, body: str) -> str:
    return f'<section class="panel"><div class="top"><h2>{escape(title)}</h2></div>{body}</section>'


def _bars(title: str, found: Sequence[Total]) -> str:
    unit, told = energies([total.kwh for total in found])
    rows = [(t.name, t.kwh, f"{value} {unit}") for t, value in zip(found, told, strict=True)]
    return f'<div class="drawn">{bars(f"{title}: energy", rows)}</div>'


def _sums(report: Report) -> str:
    columns, rows = sums(report.by["step"], report.whole, report.terms.currency)
    return _table(("step", *columns), rows)


def _scope_2(report: Report) -> str:
    rows = [(name.replace("_", " "), _told(value)) for name, value in report.scope_2.items()]
    return _table(("field", "value"), rows, words=True)


def _told(value: Any) -> str:  # noqa: ANN401 - JSON is any value
    if value is None:
        return "not known"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_told(child)}" for name, child in value.items())
    if isinstance(value, list):
        return " | ".join(_told(child) for child in value) or "none"
    return str(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False) -> str:
    kind = ' class="words"' if words else ""
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide-table">{table}</div>'
