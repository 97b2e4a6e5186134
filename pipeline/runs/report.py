"""The page of a run: what came of it, what it took, what it recommends, and where it was made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pipeline.artifacts import Artifact
from pipeline.evaluate.summary import (
    Summary,
    beyond_accuracy,
    cold_splits,
    nearest_k,
    re_ranked,
    summary,
)
from pipeline.page.charts import (
    Bar,
    Measured,
    bar_chart,
    interval_chart,
    line_chart,
    spelled,
)
from pipeline.page.html import Panel, folded, page, paragraphs, table, tiles
from pipeline.runs.numbers import report_numbers
from pipeline.runs.subject import Subject

_CHARTS = ("ndcg", "recall")
_SHORTEST = 0.01
"""Tasks inside a step that take less than this share of the longest step are left out."""


@dataclass(frozen=True)
class Shown:
    """An item as the page shows it."""

    title: str
    why: str = ""
    picture: str | None = None
    """A data URI."""


@dataclass(frozen=True)
class Sample:
    """What one user has, and what is recommended to them."""

    who: str
    has: Sequence[Shown]
    gets: Sequence[Shown]


def report_page(subject: Subject, samples: Sequence[Sample]) -> str:
    """Return the page as one HTML file that needs nothing else."""
    run = subject.run
    report = subject.made_by("evaluate")
    panels = [
        *(_quality(report) if report else [_unevaluated()]),
        *_curves(subject),
        *_samples(samples),
        *_costs(run),
        *_circumstances(run),
    ]
    lead = f"{run['status']}, began {str(run['started_at'])[:19].replace('T', ' ')} UTC"
    title = f"{run['config_name']} · run {run['run_id']}"
    foot = "Written by plotpointe report; the file needs no network."
    return page(title, lead, panels, tiles(_tiles(run, report)), foot)


def _tiles(run: Mapping[str, Any], report: Artifact | None) -> Iterator[tuple[str, str]]:
    if report:
        found = [*report_numbers(report)]
        main = report.facts.get("main")
        k = nearest_k(metric for _, metric, _ in found)
        values = {metric: value for model, metric, value in found if model == main}
        for name in _CHARTS:
            if (metric := f"{name}@{k}") in values:
                yield f"{metric} of {main}, test", f"{values[metric]:.4f}"
    made = [s["cost"] for s in run.get("steps", {}).values() if s["made"]]
    yield "steps made, of all", f"{len(made)} / {len(run.get('steps', {}))}"
    yield "processing, steps together", f"{_total(made, 'wall_seconds') or 0:,.1f} s"
    peaks = [cost["peak_rss_bytes"] for cost in made if cost.get("peak_rss_bytes")]
    if peaks:
        yield "highest memory of a step", f"{max(peaks) / 1e6:,.0f} MB"
    if (joules := _total(made, "energy_joules")) is not None:
        yield "energy", f"{spelled(joules / 3600)} Wh"
    if (grams := _total(made, "grams_co2e")) is not None:
        yield "CO₂e", f"{spelled(grams)} g"


def _total(costs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [cost[name] for cost in costs if cost.get(name) is not None]
    return sum(known) if known else None


def _unevaluated() -> Panel:
    return Panel("Quality", paragraphs(["This run has no report: evaluate was not run."], "soft"))


def _quality(report: Artifact) -> Iterator[Panel]:
    whole = summary(report)
    yield Panel(
        "Quality of recommendations", _summary(whole) + folded("Protocol cards", _cards(report))
    )
    for name in _CHARTS:
        numbers = [*_measured(report, name)]
        if numbers:
            metric = f"{name}@{nearest_k(n['metric'] for n in report.json('metrics.json'))}"
            yield Panel(
                f"{metric}, with 95 % intervals", interval_chart(numbers, metric), half=True
            )
    for split in cold_splits(report):
        yield Panel(f"Items held out, {split}", _summary(summary(report, split=split)))
    spread, ranked = beyond_accuracy(report), re_ranked(report)
    if spread:
        yield Panel("Beyond accuracy", table(spread.header, spread.rows, ours=0))
    if ranked.rows:
        notes = paragraphs(ranked.notes, "soft")
        yield Panel("What re-ranking costs", table(ranked.header, ranked.rows) + notes)


def _summary(found: Summary) -> str:
    verdicts = "".join(f"<li>{escape(verdict)}</li>" for verdict in found.verdicts)
    return (
        table(found.header, found.rows, ours=0)
        + paragraphs([found.protocol], "soft")
        + (f'<ul class="plain">{verdicts}</ul>' if verdicts else "")
    )


def _measured(report: Artifact, name: str) -> Iterator[Measured]:
    numbers = report.json("metrics.json")
    k = nearest_k(n["metric"] for n in numbers)
    for n in numbers:
        if n["split"] == numbers[-1]["split"] and n["metric"] == f"{name}@{k}":
            yield Measured(n["model"], n["value"], n["low"], n["high"])


def _cards(report: Artifact) -> str:
    """Return how every number was found, one table for all models: they share most of it."""
    numbers = report.json("metrics.json")
    last = [n for n in numbers if n["split"] == numbers[-1]["split"]]
    cards = {n["model"]: n["card"] for n in last}
    keys = [*dict.fromkeys(key for card in cards.values() for key in card)]
    rows = [[key, *(_card_cell(card.get(key)) for card in cards.values())] for key in keys]
    return table(["", *cards], rows)


def _card_cell(value: Any) -> str:  # noqa: ANN401 - JSON is any value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def _curves(subject: Subject) -> Iterator[Panel]:
    for metric, by_step in subject.curves.by_metric.items():
        yield Panel(f"{metric}, by epoch", line_chart(by_step, metric, "epoch"), half=True)


def _samples(samples: Sequence[Sample]) -> Iterator[Panel]:
    for sample in samples:
        body = (
            f"<h3>has, among others</h3>{_shown(sample.has)}"
            f"<h3>is recommended</h3>{_shown(sample.gets)}"
        )
        yield Panel(sample.who, body)


def _shown(items: Sequence[Shown]) -> str:
    return f'<ul class="cards">{"".join(_card(item) for item in items)}</ul>'


def _card(item: Shown) -> str:
    inside = escape(item.title[:1].upper())
    if item.picture:
        inside = f'<img alt="" src="{item.picture}">'
    why = f'<div class="why">{escape(item.why)}</div>' if item.why else ""
    return (
        f'<li class="card"><div class="picture">{inside}</div>'
        f'<div class="title">{escape(item.title)}</div>{why}</li>'
    )


def _costs(run: Mapping[str, Any]) -> Iterator[Panel]:
    steps = run.get("steps", {})
    if not steps:
        return
    drawn = bar_chart([*_bars(steps)], "Wall time of each step and of the tasks inside")
    header = ["step", "made", "wall s", "cpu s", "peak MB", "read MB", "written MB", "Wh", "g CO₂e"]
    rows = [
        [name, "now" if s["made"] else "before", *_cost(s["cost"])] for name, s in steps.items()
    ]
    yield Panel("What it took", drawn + table(header, rows))


def _bars(steps: Mapping[str, Any]) -> Iterator[Bar]:
    longest = max((s["cost"].get("wall_seconds") or 0.0) for s in steps.values())
    for name, step in steps.items():
        seconds = step["cost"].get("wall_seconds") or 0.0
        yield _bar(name, seconds, 0, "" if step["made"] else "before")
        yield from _inside(step["cost"], 1, _SHORTEST * longest)


def _inside(cost: Mapping[str, Any], depth: int, least: float) -> Iterator[Bar]:
    for task in cost.get("tasks") or ():
        if task["wall_seconds"] >= least:
            times = f"{task['times']} times" if task.get("times", 1) > 1 else ""
            yield _bar(task["name"], task["wall_seconds"], depth, times)
            yield from _inside(task, depth + 1, least)


def _bar(name: str, seconds: float, depth: int, note: str) -> Bar:
    told = f"{spelled(seconds)} s · {note}" if note else f"{spelled(seconds)} s"
    return Bar(name, seconds, told, depth)


def _cost(cost: Mapping[str, Any]) -> list[str]:
    scaled = {
        "wall_seconds": 1.0,
        "cpu_seconds": 1.0,
        "peak_rss_bytes": 1e6,
        "read_bytes": 1e6,
        "written_bytes": 1e6,
        "energy_joules": 3600.0,
        "grams_co2e": 1.0,
    }
    values = [(cost.get(name), by) for name, by in scaled.items()]
    return ["-" if value is None else spelled(value / by) for value, by in values]


def _circumstances(run: Mapping[str, Any]) -> Iterator[Panel]:
    rows = [[name, _card_cell(value)] for name, value in _about(run)]
    config = json.dumps(run.get("config") or {}, indent=1)
    body = table(["", ""], rows) if rows else ""
    if run.get("config"):
        body += folded("The whole configuration", f"<pre>{escape(config)}</pre>")
    if body:
        yield Panel("Where and how", body)


def _about(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("command", "started_at", "ended_at", "error"):
        if run.get(name):
            yield name, run[name]
    for name in ("git", "environment"):
        for key, value in (run.get(name) or {}).items():
            yield f"{name}: {key}", value
    for name, step in run.get("steps", {}).items():
        yield f"artifact of {name}", f"{step['kind']}/{step['fingerprint']}"
