"""The verb that foretells a run, and what ``run`` says before and after it."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from pipeline import flow
from pipeline.artifacts import Artifact, Store
from pipeline.cli.options import (
    DEFAULT_STORE,
    ConfigArgument,
    FirstOption,
    JsonOption,
    LastOption,
    SetOption,
    StoreOption,
)
from pipeline.cli.output import megabytes, print_json, print_table, remark, remark_table, say
from pipeline.config import Config, load_config
from pipeline.errors import PlotpointeError
from pipeline.flow import Step
from pipeline.measure.forecast import Interval, NextRun
from pipeline.planner import Forecast, Range, StepForecast, forecast, refuse_what_cannot_fit

_MINUTE, _HOUR = 90, 5400
_COLUMNS = ("step", "time", "at most", "memory", "at most", "disk", "by", "how")


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.command("plan")(plan)


def plan(
    config: ConfigArgument,
    overrides: SetOption = None,
    first: FirstOption = None,
    last: LastOption = None,
    store: StoreOption = DEFAULT_STORE,
    force: Annotated[bool, typer.Option(help="Foretell what is complete, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print what a run will take on this machine; the exit code is not 0 where it cannot fit."""
    place = Store(store)
    resolved = flow.prepare(load_config(config, overrides or ()), place)
    steps = flow.between(flow.plan(resolved, place), first, last)
    told = forecast(steps, resolved, place, force=force)
    if as_json:
        print_json(told.as_json())
    else:
        _print(told)
    refuse_what_cannot_fit(told)


def _print(told: Forecast) -> None:
    counts, machine = told.counts, told.machine
    about = "" if counts.exact else "about "
    say(
        f"{about}{counts.interactions:,} interactions of {counts.users:,} users with "
        f"{counts.items:,} items ({counts.source})"
    )
    say(
        f"{machine.processor}, {machine.cores} cores; free: {megabytes(machine.memory)} of memory, "
        f"{megabytes(machine.disk)} of disk"
    )
    if told.complete:
        say(f"complete: {', '.join(step.name for step in told.complete)}")
    if not told.steps:
        say("nothing to do")
        return
    print_table("plan", _COLUMNS, [_row(each) for each in told.steps])
    _print_past(told.steps)
    say(_whole(told))
    if any(each.epochs for each in told.steps):
        say("a training's time is that of the epochs expected; at most, that of all it may run")


def _print_past(steps: Sequence[StepForecast]) -> None:
    rows = [
        (each.step.name, str(time.runs), span(time.expected), _spans(time), *_memory(each.past))
        for each in steps
        if each.past and (time := each.past.seconds)
    ]
    if rows:
        columns = ("step", "runs", "time", "9 of 10 between", "memory", "9 of 10 between")
        print_table("what past runs of this store say alone", columns, rows)


def _spans(time: Interval) -> str:
    return f"{span(time.low)} and {span(time.high)}"


def _memory(past: NextRun) -> tuple[str, str]:
    peak = past.memory_bytes
    if peak is None:
        return "?", "?"
    return megabytes(peak.expected), f"{megabytes(peak.low)} and {megabytes(peak.high)}"


def _row(each: StepForecast) -> tuple[str, ...]:
    how = each.mode if each.epochs is None else f"{each.mode}, {each.epochs} expected"
    return (
        each.step.name,
        span(each.seconds.value),
        span(each.seconds.high),
        megabytes(each.memory.value),
        megabytes(each.memory.high),
        megabytes(each.disk),
        each.by,
        how,
    )


def _whole(told: Forecast) -> str:
    memory = told.memory
    return (
        f"in all {span(told.seconds.value)} ({_between(told.seconds)}), at the peak "
        f"{megabytes(memory.value)} of memory ({' + '.join(told.together)}), "
        f"{megabytes(told.disk)} of disk"
    )


def _between(seconds: Range) -> str:
    return f"{span(seconds.low)} to {span(seconds.high)}"


def span(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds >= _HOUR:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= _MINUTE else f"{seconds:.1f} s"


def announce(
    steps: Sequence[Step], config: Config, store: Store, *, force: bool, quiet: bool
) -> Forecast | None:
    """Say what is to come on standard error, and return it; None where there is nothing to say.

    A plan is a courtesy: where it cannot be made, the stages themselves will say what is wrong.

    Raises:
        DoesNotFitError: the run cannot fit into this machine.
    """
    if not force and all(artifact for _, artifact in flow.found([*steps], store)):
        return None
    try:
        told = forecast(steps, config, store, force=force)
    except (PlotpointeError, OSError, ValueError):
        if not quiet:
            remark("plan: none can be made of this input")
        return None
    if not quiet:
        names = [f"{e.step.name} {span(e.seconds.value)}" for e in told.steps]
        remark(f"plan: {', '.join(names)}\nplan: {_whole(told)}")
    refuse_what_cannot_fit(told)
    return told


def compare(told: Forecast, made: Mapping[str, Artifact]) -> None:
    """Say on standard error how what was foretold compares with what was measured."""
    rows = []
    for each in told.steps:
        cost = made[each.step.name].manifest["cost"] if each.step.name in made else {}
        rows.append(
            (
                each.step.name,
                f"{each.seconds.value:.1f}",
                f"{cost['wall_seconds']:.1f}" if cost else "-",
                f"{each.memory.value / 1e6:.0f}",
                f"{cost['peak_rss_bytes'] / 1e6:.0f}" if cost.get("peak_rss_bytes") else "-",
            )
        )
    columns = ("step", "predicted s", "measured s", "predicted MB", "measured MB")
    remark_table("plan and outcome", columns, rows)
