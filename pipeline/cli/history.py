"""The verbs of the history: what was measured over time, where it changed, what got worse."""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from pipeline.cli.output import complain, print_json, print_table, remark, say
from pipeline.errors import ConfigError, RegressionAlarmError, suggest

if TYPE_CHECKING:
    from pipeline.history.alarms import Rule, Watched
    from pipeline.history.series import Series

_SHOWN = 12
"""Newest runs of a series that are listed."""

history = typer.Typer(no_args_is_help=True)

StageOption = Annotated[str | None, typer.Option(help="A stage or step; all if left out.")]
SinceOption = Annotated[str | None, typer.Option(help="Runs from a day on: 2026-11-21.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.add_typer(history, name="history", help="All runs over time: trends, changes, alarms.")


@history.command("trend")
def trend(
    metric: Annotated[str, typer.Argument(help="wall_seconds, peak_rss_bytes, ndcg@20, …")],
    stage: StageOption = None,
    since: SinceOption = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw it in the terminal.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print a metric of every run that compares, and where its level changed."""
    from pipeline.history.alarms import changes
    from pipeline.history.database import metrics, series

    place = Store(store)
    found = series(place, metric, stage=stage, since=since)
    if not found:
        known = metrics(place)
        raise ConfigError(
            f"the history has no {metric!r} of {stage or 'any stage'}{suggest(metric, known)}; "
            f"it has {len(known)} metrics, such as wall_seconds, best_validation and ndcg@20"
        )
    if as_json:
        print_json([_as_json(each) for each in found])
        return
    for each in found:
        _print_series(each, changes(each))
        if plot:
            _plot(each)


def _as_json(series: "Series") -> dict[str, Any]:
    from pipeline.history.alarms import changes

    changed = [{"run_id": run, **vars(c), "relative": c.relative} for run, c in changes(series)]
    runs = zip(series.runs, series.at, series.values, strict=True)
    told = [{"run_id": run, "at": at, "value": value} for run, at, value in runs]
    return {**series.traits(), "runs": told, "changes": changed}


def _print_series(series: "Series", changed: list[tuple[str, Any]]) -> None:
    marks = {run: f"from {c.before:.4g} to {c.after:.4g}, p {c.p:.2g}" for run, c in changed}
    rows = [
        (run, at[:19].replace("T", " "), f"{value:.6g}", marks.get(run, ""))
        for run, at, value in zip(series.runs, series.at, series.values, strict=True)
    ]
    where = series.environment_id or "machine not known"
    title = f"{series.name} on {where}, data {series.data[:6]}, config {series.config[:6]}"
    print_table(title, ("run", "at", series.metric, "level changed"), rows[-_SHOWN:])
    if len(rows) > _SHOWN:
        say(f"the newest {_SHOWN} of {len(rows)} runs; --json has all")


def _plot(series: "Series") -> None:
    from pipeline.runs.curves import Curves
    from pipeline.runs.draw import in_terminal

    if len(series.values) > 1:
        points = [(float(at), value) for at, value in enumerate(series.values, 1)]
        width = shutil.get_terminal_size((100, 24)).columns
        typer.echo(in_terminal(Curves({series.metric: {series.step: points}}), width))


@history.command("alarms")
def alarms(
    metric: Annotated[str | None, typer.Option(help="Ask about one metric alone.")] = None,
    worse: Annotated[
        str | None, typer.Option(help="higher or lower, of a metric whose name does not say.")
    ] = None,
    stage: StageOption = None,
    recent: Annotated[int, typer.Option(min=1, help="Newest runs, held against others.")] = 5,
    least: Annotated[float, typer.Option(min=0, help="Relative shift that matters.")] = 0.05,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Chance of any false alarm in one asking.")
    ] = 0.01,
    webhook: Annotated[
        str | None,
        typer.Option(envvar="PLOTPOINTE_ALARM_WEBHOOK", help="URL that alarms are POSTed to."),
    ] = None,
    prometheus: Annotated[
        Path | None, typer.Option(help="A .prom file for node_exporter's textfile collector.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Say what got worse; the exit code is 13 where anything did."""
    from pipeline.history.alarms import Rule, summary, watch
    from pipeline.history.database import series

    if worse not in (None, "higher", "lower"):
        raise ConfigError(f"--worse {worse!r} must be higher or lower")
    rule = Rule(recent=recent, least=least, alpha=alpha)
    found = watch(series(Store(store), metric, stage=stage), rule, worse)
    told = summary(found, rule)
    if as_json:
        print_json(told)
    else:
        _print_alarms(found, rule)
    _tell(found, told, webhook, prometheus)
    raised = [each for each in found if each.raised]
    if raised:
        names = ", ".join(sorted({each.series.name for each in raised}))
        raise RegressionAlarmError(f"{len(raised)} of {len(found)} series got worse: {names}")


def _print_alarms(found: "list[Watched]", rule: "Rule") -> None:
    rows = [
        (
            each.series.name,
            "ALARM" if each.raised else "-",
            f"{each.alarm.reference:.4g}",
            f"{each.alarm.recent:.4g}",
            "-" if each.alarm.relative is None else f"{each.alarm.relative:+.1%}",
            f"{each.adjusted_p:.2g}",
            len(each.series.values),
            each.since if each.raised else "",
        )
        for each in found
    ]
    columns = ("series", "", "before", "recent", "shift", "p (Holm)", "runs", "since")
    if rows:
        print_table("recent runs against those before", columns, rows)
    say(
        f"{len(found)} series asked, those with too few runs left out; the chance of any false "
        f"alarm among them is {rule.alpha:.2g}; shifts below {rule.least:.0%} alarm nobody"
    )


def _tell(
    found: "list[Watched]", told: dict[str, Any], webhook: str | None, prometheus: Path | None
) -> None:
    """Tell others; where they cannot be told the alarm stands all the same."""
    from pipeline.history.telling import post, write_textfile

    if prometheus:
        write_textfile(prometheus, found, time.time())
        remark(f"wrote {prometheus}")
    if webhook and told["alarms"]:
        wrong = post(webhook, told)
        if wrong:
            complain(f"the webhook did not take the alarms: {wrong}")
        else:
            remark(f"told the webhook of {len(told['alarms'])} alarms")


@history.command("rebuild")
def rebuild(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Make the history again from the records of runs, and from manifests where there is none."""
    from pipeline.history.database import rebuild as made_again

    count = made_again(Store(store))
    if as_json:
        print_json({"files": count})
    else:
        say(f"the history of {store} has {count} runs")
