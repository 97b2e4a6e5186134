"""The verb that profiles a stage: both profilers behind one command, and the answer in words."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline import flow, measure
from pipeline.artifacts import Store
from pipeline.children import Children
from pipeline.cli.options import DEFAULT_STORE, ConfigArgument, JsonOption, SetOption, StoreOption
from pipeline.cli.output import print_json, print_table, remark, say
from pipeline.cli.run import make
from pipeline.config import load_config
from pipeline.errors import ConfigError, suggest
from pipeline.execute import threads_of
from pipeline.flow import Step
from pipeline.measure.profile import Profile
from pipeline.measure.profile.operators import Row
from pipeline.measure.profile.words import stack_sentences
from pipeline.orders import Order
from pipeline.profiled import Asked, Found, profiled

DEFAULT_SECONDS = 30.0
SHOWN = 12


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.command("profile")(profile)


def profile(
    config: ConfigArgument,
    stage: Annotated[str, typer.Option(help="The step to profile: train, or train:ease.")],
    overrides: SetOption = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Of the stage, then it is left; 0 for all of it.")
    ] = DEFAULT_SECONDS,
    after: Annotated[
        float, typer.Option(min=0, help="Seconds of the stage that pass before.")
    ] = 0.0,
    rate: Annotated[
        int, typer.Option(min=0, help="Stacks a second that py-spy takes; 0 for none.")
    ] = 50,
    out: Annotated[Path | None, typer.Option(help="Folder; profile-STEP if left out.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Show where the time of a stage goes; its result is thrown away."""
    place = Store(store)
    resolved = flow.prepare(load_config(config, overrides or ()), place)
    steps = flow.plan(resolved, place)
    step = _named(stage, steps)
    make(_before(step), resolved, place)
    into = out or Path(f"profile-{step.name.replace(':', '-')}")
    order = Order.of(step, resolved, place, threads_of(steps, resolved)[step.name])
    found = _taken(Asked(into, seconds, after), order, rate)
    files = found.write(into, f"{step.name} {step.fingerprint}")
    if as_json:
        print_json({**found.as_dict(), "files": [str(path) for path in files]})
    else:
        _print(step, found, files)


def _taken(asked: Asked, order: Order, rate: int) -> Profile:
    """Return the profile of a step, from a run for rates and, where asked for, one for stacks."""
    name = order.step.name
    remark(f"running {name} under the profiler; nothing of it is published")
    found = _in_a_child(asked, order)
    assert found.profile is not None
    if not rate:
        return found.profile
    remark(f"running {name} again, for stacks")
    stacks = _in_a_child(replace(asked, stacks_per_second=rate), order)
    return replace(found.profile, sampled=stacks.sampled)


def _named(stage: str, steps: Sequence[Step]) -> Step:
    for step in steps:
        if step.name == stage:
            return step
    names = [step.name for step in steps]
    raise ConfigError(
        f"there is no step {stage!r} in this configuration{suggest(stage, names)}; "
        f"it has {', '.join(names)}"
    )


def _before(step: Step) -> list[Step]:
    """Return the steps that a step needs, however far back, each after what it needs itself."""
    found: dict[str, Step] = {}

    def gather(needed: Step) -> None:
        """Add a step behind its own."""
        for each in needed.needs.values():
            gather(each)
            found.setdefault(each.name, each)

    gather(step)
    return [*found.values()]


def _in_a_child(asked: Asked, order: Order) -> Found:
    with measure.Console() as console:
        child = Children(partial(profiled, asked), console)
        try:
            child.start(order)
            return child.next_finished()[1]
        finally:
            child.stop()


def _print(step: Step, found: Profile, files: Sequence[Path]) -> None:
    if found.outside_seconds is not None:
        _print_operators(found.operators, found.cost.wall_seconds)
    if found.parts:
        _print_parts(found.parts)
    _print_words(step, found)
    for path in files:
        say(f"wrote {path}")


def _print_operators(rows: Sequence[Row], seconds: float) -> None:
    shown = [
        (
            row.name,
            row.calls,
            f"{row.self_seconds:.3f}",
            f"{100 * row.self_seconds / max(seconds, 1e-9):.1f}",
            _giga(row.flops_per_second),
            _giga(row.bytes_per_second),
        )
        for row in rows[:SHOWN]
    ]
    columns = ("operator", "calls", "self s", "% of time", "GFLOP/s", "GB/s")
    print_table("operators, by the time in themselves", columns, shown)


def _print_parts(rows: Sequence[Row]) -> None:
    shown = [
        (
            row.name,
            row.calls,
            f"{row.seconds:.3f}",
            f"{row.self_seconds:.3f}",
            "-" if row.backward_seconds is None else f"{row.backward_seconds:.3f}",
        )
        for row in rows[:SHOWN]
    ]
    columns = ("layer or function", "calls", "s", "self s", "backward s")
    print_table("layers and functions", columns, shown)


def _print_words(step: Step, found: Profile) -> None:
    cost, most, rates = found.cost, found.ceilings, found.rates
    say(
        f"{step.name}: {cost.wall_seconds:.1f} s of wall time, {cost.cpu_seconds:.1f} s of "
        f"processor time"
    )
    for sentence in (*found.sentences, *stack_sentences(found.sampled)):
        say(f"- {sentence}")
    if found.sampled.missing:
        say(f"- no stacks: {found.sampled.missing}")
    say(
        f"the machine's ceilings with {most.threads} threads: {_giga(most.flops_per_second)} "
        f"GFLOP/s ({most.by}), {_giga(most.bytes_per_second)} GB/s; reached by what is "
        f"counted: {_share(rates.flops_share)} and {_share(rates.bytes_share)}"
    )
    limit = found.bottleneck
    say(f"bottleneck: {limit.name or 'not known'} ({limit.why})")


def _giga(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e9:.1f}"


def _share(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.1f} %"
