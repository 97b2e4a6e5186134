"""The report as one HTML file that needs nothing beside it."""

from collections.abc import Sequence
from typing import Any

from pipeline.carbon.plots import scatter
from pipeline.carbon.report import Report
from pipeline.carbon.units import energies, grams_told, kwh_told, money_told, sums
from pipeline.measure.energy.account import Total
from pipeline.page import html
from pipeline.page.charts import Bar, bar_chart
from pipeline.page.html import Panel

_GROUPS = (("stage", "By stage"), ("project", "By project"), ("month", "By month"))


def page(report: Report) -> str:
    """Return the page."""
    panels = [Panel(title, _bars(title, report.by[name]), half=True) for name, title in _GROUPS]
    if report.points:
        title, metric = "Accuracy against energy", report.terms.metric
        panels.append(Panel(title, scatter(title, report.points, report.front, metric)))
    columns, rows = sums(report.by["step"], report.whole, report.terms.currency)
    panels.append(Panel("Sums by step", html.table(("step", *columns), rows)))
    fields = [(name.replace("_", " "), _told(value)) for name, value in report.scope_2.items()]
    panels.append(Panel("Scope 2", html.table(("field", "value"), fields)))
    lead = "What the runs of a store drew, emitted and cost"
    return html.page("Energy and carbon", lead, panels, _tiles(report))


def _tiles(report: Report) -> str:
    whole, terms = report.whole, report.terms
    return html.tiles(
        [
            ("electricity of the computers", kwh_told(whole.kwh)),
            ("CO2e, location-based", grams_told(whole.grams)),
            (f"on {terms.machine}", money_told(whole.money, terms.currency)),
            ("of the machine", f"{whole.machine_seconds / 3600:.2f} h"),
            ("steps measured", f"{whole.entries - whole.unmeasured} of {whole.entries}"),
        ]
    )


def _bars(title: str, found: Sequence[Total]) -> str:
    unit, told = energies([total.kwh for total in found])
    bars = [Bar(t.name, t.kwh, f"{value} {unit}") for t, value in zip(found, told, strict=True)]
    return bar_chart(bars, f"{title}: energy")


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
