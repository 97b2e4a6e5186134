"""The verbs that look at runs: runs, runs diff, runs replay, and what ``show`` does with a run."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import runs
from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption, given
from pipeline.cli.output import megabytes, print_json, print_table, remark, say
from pipeline.errors import ArtifactError, ConfigError
from pipeline.measure import track
from pipeline.measure.errors import MeasureError

if TYPE_CHECKING:
    from pipeline.runs.diff import Change

_COLUMNS = ("run", "config", "started", "status", "made", "steps s")
_SHOWN = ("ndcg@20", "recall@20", "best_validation")
"""Metrics that a list shows without being asked."""

RunArgument = Annotated[str, typer.Argument(help="A run's id, the beginning of one, or last.")]

runs_app = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.add_typer(runs_app, name="runs")


@runs_app.callback()
def list_runs(
    context: typer.Context,
    where: Annotated[
        list[str] | None, typer.Option(help="Keep runs: 'metrics.ndcg@20 > 0.05 and seed = 0'.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Keep running, done, failed or interrupted ones.")
    ] = None,
    config: Annotated[str | None, typer.Option(help="Keep runs of a configuration's name.")] = None,
    since: Annotated[str | None, typer.Option(help="Keep runs from a day on: 2026-11-21.")] = None,
    sort: Annotated[
        str | None, typer.Option(help="Largest first; -metrics.loss puts the smallest first.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Parts of a run to show, separated by commas.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a store, oldest first, or as they are sorted."""
    if context.invoked_subcommand is not None:
        return
    simple = {"status": status, "config_name": config}
    wanted = [runs.Condition(path, "=", value) for path, value in simple.items() if value]
    wanted += [runs.Condition("started_at", ">=", since)] if since else []
    wanted += [each for text in where or () for each in runs.Condition.parse(text)]
    found = runs.chosen(runs.all_runs(Store(store)), wanted, sort)
    if as_json:
        print_json(found)
        return
    shown = [c.strip() for c in columns.split(",")] if columns else _known(found)
    rows = [(*_row(run), *(_cell(runs.look(run, path)) for path in shown)) for run in found]
    print_table(f"runs of {store}", (*_COLUMNS, *shown), rows)


def _known(found: list[dict[str, Any]]) -> list[str]:
    return [name for name in _SHOWN if any(name in run["metrics"] for run in found)]


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    steps = run.get("steps", {}).values()
    made = [step for step in steps if step["made"]]
    seconds = sum(step["cost"].get("wall_seconds") or 0.0 for step in made)
    started = str(run["started_at"])[:19].replace("T", " ")
    count = f"{len(made)}/{len(steps)}"
    return run["run_id"], run["config_name"], started, run["status"], count, f"{seconds:.1f}"


def _cell(value: Any) -> str:  # noqa: ANN401 - JSON is any value
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@runs_app.command("diff")
def diff(
    context: typer.Context,
    a: RunArgument,
    b: RunArgument,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print what differs between two runs: settings, code, machine, costs and metrics."""
    place = Store(given(context, "store", store))
    found = runs.diff(runs.find(place, a), runs.find(place, b))
    if given(context, "as_json", as_json):
        print_json(found.as_json())
        return
    of_both = [each for each in found.metrics if None not in (each.a, each.b)]
    alone = len(found.metrics) - len(of_both)
    parts = {
        "configuration": found.config,
        "code": found.git,
        "environment": found.environment,
        "costs of steps that both made": found.costs,
        "metrics": of_both,
    }
    for title, changes in parts.items():
        if changes:
            columns = ("what", found.a, found.b, "change")
            print_table(title, columns, [_change(each) for each in changes])
    if alone:
        say(f"{alone:,} metrics are of one of the two runs alone; --json has them")
    same = [title for title, changes in parts.items() if not changes]
    if same:
        say(f"the same in both: {', '.join(same)}")


def _change(each: "Change") -> tuple[str, ...]:
    bytes_ = each.name.endswith("_bytes")
    cells = [megabytes(v) if bytes_ and v is not None else _cell(v) for v in (each.a, each.b)]
    by = "" if each.by is None else f"{each.by / abs(each.a):+.1%}" if each.a else f"{each.by:+.4g}"
    return each.name, *cells, by


@runs_app.command("replay")
def replay(
    context: typer.Context,
    run: RunArgument,
    to: Annotated[str, typer.Option(help="tensorboard, wandb, mlflow, or one's own.")],
    settings: Annotated[
        list[str] | None, typer.Option("--with", help="A setting of the tracker: mode=offline.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Hand a run to a tracker: what it was not told yet, or all of it."""
    folder = runs.folder_of(Store(given(context, "store", store)), run)
    if track.Record(folder).alive():
        raise ConfigError(f"run {folder.name} goes on and tells its trackers itself; wait for it")
    values = dict(_pair(each) for each in settings or ())
    try:
        track.backend_of(to, values)
    except MeasureError as error:
        raise ConfigError(f"--to: {error}") from None
    told = track.replay(folder, to, values or None)
    if given(context, "as_json", as_json):
        print_json({"run_id": folder.name, **vars(told)})
    if not told.complete:
        raise ArtifactError(runs.behind(folder.name, told))
    remark(f"{to} knows run {folder.name}: {told.lines} lines")


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise ConfigError(f"--with {text!r} must look like mode=offline")
    return name.strip(), value.strip()


def show_run(store: Store, name: str, *, as_json: bool) -> None:
    """Print a run: where, what it made and at which cost, and its metrics; or its record."""
    run = runs.find(store, name)
    if as_json:
        print_json(run)
        return
    say(f"run {run['run_id']} of {run['config_name']}: {run['status']}")
    for title, told in _about(run):
        say(f"{title}: {told}")
    rows = [_step_row(name, step) for name, step in run.get("steps", {}).items()]
    print_table("steps", ("step", "artifact", "made", "wall s", "cpu s", "peak memory"), rows)
    metrics = [(name, _cell(value)) for name, value in runs.headline(run).items()]
    print_table("metrics", ("metric", "value"), metrics)


def _about(run: dict[str, Any]) -> list[tuple[str, str]]:
    git, environment = run.get("git"), run.get("environment", {})
    told = [
        ("command", str(run.get("command"))),
        ("from", f"{run['started_at']} to {run['ended_at'] or 'now'}"),
        ("on", f"{environment.get('cpu_model')}, {environment.get('cores')} cores"),
    ]
    if git:
        changed = ", with changes" if git["dirty"] else ""
        told.append(("code", f"{git['commit'][:10]} on {git['branch']}{changed}"))
    return told + ([("failed", run["error"])] if run.get("error") else [])


def _step_row(name: str, step: dict[str, Any]) -> tuple[str, ...]:
    cost, made = step["cost"], "now" if step["made"] else "before"
    seconds = [
        f"{cost[key]:.1f}" if key in cost else "-" for key in ("wall_seconds", "cpu_seconds")
    ]
    reference = f"{step['kind']}/{step['fingerprint']}"
    return name, reference, made, *seconds, megabytes(cost.get("peak_rss_bytes"))


def draw_curves(curves: runs.Curves, title: str, png: Path | None, html: Path | None) -> None:
    """Draw curves in the terminal, or into the files that are named."""
    from pipeline.runs import draw

    if png:
        draw.into_png(curves, png, title)
    if html:
        draw.into_html(curves, html, title)
    for path in filter(None, (png, html)):
        remark(f"wrote {path}")
    if not (png or html):
        width = shutil.get_terminal_size((100, 24)).columns
        typer.echo(draw.in_terminal(curves, width, coloured=_coloured()))


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
