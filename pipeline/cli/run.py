"""The verbs that make artifacts: run, one verb per stage, demo, config."""

import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from pipeline import execute, flow, history, measure, places, runs
from pipeline.artifacts import Artifact, Store
from pipeline.cli import report
from pipeline.cli.options import (
    DEFAULT_STORE,
    ConfigArgument,
    FirstOption,
    JsonOption,
    LastOption,
    SetOption,
    StoreOption,
)
from pipeline.cli.output import megabytes, print_json, print_table, remark, say
from pipeline.cli.plan import announce, compare
from pipeline.config import Config, load_config
from pipeline.errors import ConfigError
from pipeline.flow import STAGES, Step
from pipeline.promotion import promote

if TYPE_CHECKING:
    from pipeline.carbon.allowance import Allowance

PlanOption = Annotated[
    bool,
    typer.Option(
        "--plan/--no-plan",
        help="Foretell the cost, refuse what cannot fit, compare at the end.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.command("run")(run)
    app.command("demo")(demo)
    app.command("config")(show_config)
    for name in STAGES:
        app.command(name, help=f"Run stage {name} alone; its inputs must exist.")(_verb_of(name))


def run(
    config: ConfigArgument,
    overrides: SetOption = None,
    first: FirstOption = None,
    last: LastOption = None,
    store: StoreOption = DEFAULT_STORE,
    force: Annotated[bool, typer.Option(help="Make again what exists.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be made, make nothing.")] = False,
    planned: PlanOption = True,
    as_json: JsonOption = False,
) -> None:
    """Make every artifact that is missing, then promote the bundle."""
    place = Store(store)
    resolved = flow.prepare(load_config(config, overrides or ()), place)
    steps = flow.between(flow.plan(resolved, place), first, last)
    if dry_run:
        _print_plan(steps, place, as_json)
        return
    told = None
    if planned:
        told = announce(steps, resolved, place, force=force, quiet=as_json)
    made = make(steps, resolved, place, force=force)
    _print_made(steps, made, as_json)
    if told and not as_json:
        compare(told, made)
    if not as_json:
        report.print_findings(made)


def _verb_of(stage: str) -> Callable[..., None]:
    def verb(
        config: ConfigArgument,
        overrides: SetOption = None,
        store: StoreOption = DEFAULT_STORE,
        force: Annotated[bool, typer.Option(help="Make it again.")] = False,
        planned: PlanOption = True,
        as_json: JsonOption = False,
    ) -> None:
        """Run the one stage."""
        run(config, overrides, stage, stage, store, force, False, planned, as_json)

    return verb


def make(
    steps: list[Step], config: Config, store: Store, *, force: bool = False
) -> dict[str, Artifact]:
    """Carry out the steps with progress on standard error; promote a bundle that has a report."""
    fresh: list[str] = []

    def told(step: Step, artifact: Artifact, made_now: bool) -> None:
        """Say what was made just now."""
        if made_now:
            fresh.append(step.name)
            seconds = artifact.manifest["cost"]["wall_seconds"]
            remark(f"made {step.name}: {step.kind} {artifact.fingerprint} in {seconds:.1f} s")

    made = _recorded(steps, config, store, told, force=force)
    if not fresh:
        remark(f"nothing to do: all {len(steps)} artifacts are complete in {store.root}")
    places.remember(store, made.get("etl"), config.data.images)
    if "index" in made and "evaluate" in made:
        _promote(store, made["index"].fingerprint)
    return made


def _allowance(config: Config, store: Store, listener: measure.Listener) -> "Allowance":
    """Return what watches the run's budget.

    Raises:
        ConfigError: there is a budget, and nothing is metered.
    """
    from pipeline.carbon.allowance import Allowance, used_this_month

    budget = config.runtime.budget
    if budget.limits() and config.runtime.energy in ("off", "codecarbon"):
        raise ConfigError(
            f"runtime.budget needs a meter that tells while it counts; runtime.energy is "
            f"{config.runtime.energy}: set it to auto, or leave the budget out"
        )
    monthly = budget.month_wh is not None or budget.month_grams is not None
    before = used_this_month(store) if monthly else {}
    return Allowance(listener, budget, remark, before)


def _recorded(
    steps: list[Step], config: Config, store: Store, told: execute.Told, *, force: bool
) -> dict[str, Artifact]:
    """Carry out the steps, and keep a record of it."""
    with runs.recorded(config, store, _kept(store)) as recording, measure.Console() as console:
        allowance = _allowance(config, store, recording.listening(console))

        def noted(step: Step, artifact: Artifact, made_now: bool) -> None:
            """Say it, keep it, and count it."""
            told(step, artifact, made_now)
            recording.told(step, artifact, made_now)
            if made_now:
                allowance.made(step, artifact)

        runner = execute.Processes(allowance)
        return execute.run(steps, config, store, runner, force=force, told=noted)


def _kept(store: Store) -> Callable[[runs.Recording], None]:
    def kept(recording: runs.Recording) -> None:
        """Say which trackers were not told everything, and add the run to the history."""
        for sentence in recording.complaints():
            remark(sentence)
        history.append(store, recording.run_id)

    return kept


def _promote(store: Store, fingerprint: str) -> None:
    if store.current("bundle") != fingerprint:
        promote(store, "bundle", fingerprint)
        remark(f"promoted bundle {fingerprint}; serve it: plotpointe serve --store {store.root}")


def _print_plan(steps: list[Step], store: Store, as_json: bool) -> None:
    rows = [
        (step.name, step.kind, step.fingerprint, "complete" if artifact else "to make")
        for step, artifact in flow.found(steps, store)
    ]
    columns = ("step", "makes", "fingerprint", "state")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("plan", columns, rows)


def _print_made(steps: list[Step], made: dict[str, Artifact], as_json: bool) -> None:
    if as_json:
        print_json({n: {"kind": a.kind, "fingerprint": a.fingerprint} for n, a in made.items()})
        return
    rows = []
    for step in steps:
        cost = made[step.name].manifest["cost"]
        seconds = f"{cost['wall_seconds']:.1f}", f"{cost['cpu_seconds']:.1f}"
        fingerprint = made[step.name].fingerprint
        rows.append((step.name, fingerprint, *seconds, megabytes(cost["peak_rss_bytes"])))
    print_table("artifacts", ("step", "fingerprint", "wall s", "cpu s", "peak memory"), rows)


def demo(store: StoreOption = DEFAULT_STORE, overrides: SetOption = None) -> None:
    """Run the whole pipeline on the embedded catalogue, then show recommendations."""
    place = Store(store)
    config = flow.prepare(load_config(shipped_config("demo.yaml"), overrides or ()), place)
    steps = flow.plan(config, place)
    made = make(steps, config, place)
    _print_made(steps, made, as_json=False)
    report.print_findings(made)
    report.print_samples(place, made["index"])
    say(f"\nServe it:  plotpointe serve --store {store}     then open http://127.0.0.1:8000/")


def show_config(
    config: ConfigArgument, overrides: SetOption = None, as_json: JsonOption = False
) -> None:
    """Print the configuration with every default filled in."""
    values = load_config(config, overrides or ()).model_dump(mode="json")
    if as_json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(values, sort_keys=False), nl=False)


def shipped_config(name: str) -> Path:
    """Return a configuration that comes with PlotPointe: of the checkout, or as installed.

    Raises:
        ConfigError: neither place has it.
    """
    places_to_look = [
        Path(__file__).parents[2] / "configs" / name,
        Path(sysconfig.get_path("data")) / "share" / "plotpointe" / "configs" / name,
    ]
    for path in places_to_look:
        if path.exists():
            return path
    raise ConfigError(f"{name} is in none of {[str(p.parent) for p in places_to_look]}")
