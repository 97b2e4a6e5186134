"""The verb that looks for what is wrong: with this installation, or with a run's honesty."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import measure
from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption, given
from pipeline.cli.output import print_json, print_table, remark, say
from pipeline.errors import ArtifactError, ConfigError, suggest

if TYPE_CHECKING:
    from pipeline.doctor.examine import Check
    from pipeline.doctor.finding import Finding
    from pipeline.leaks import Examined

UNWELL = 1
"""The exit code where a check failed."""

doctor = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.add_typer(doctor, name="doctor")


@doctor.callback()
def machine(
    context: typer.Context,
    store: StoreOption = DEFAULT_STORE,
    configs: Annotated[
        list[Path] | None,
        typer.Option("--config", help="A configuration to check; may be repeated."),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="Address of the service; else as configured.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Make this check alone; may be repeated.")
    ] = None,
    adviser: Annotated[
        str | None,
        typer.Option(
            "--advise",
            envvar="PLOTPOINTE_ADVISE_URL",
            help="Send the shown summary, names and paths left out, to this OpenAI-compatible "
            "endpoint and print its suggestions.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this installation, machine and store; the exit code is not 0 where a check fails."""
    if context.invoked_subcommand is not None:
        return
    from pipeline.doctor.examine import examine, worst
    from pipeline.doctor.finding import FAIL, score

    place = Store(store)
    findings = examine(_chosen(_checks(place, configs or [], service), only))
    told = {"score": score(findings), "verdict": worst(findings)}
    advice = _advice(adviser, findings, place) if adviser else {}
    if as_json:
        print_json({**told, **advice, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(f.status, f.check, f.what, f.cure) for f in findings]
        print_table("doctor", ("", "check", "found", "what mends it"), rows)
        say(f"score {told['score']} of 100: {told['verdict']}")
        for title, lines in advice.items():
            say(f"\n{title}:\n{lines if isinstance(lines, str) else chr(10).join(lines)}")
    if told["verdict"] == FAIL:
        raise typer.Exit(UNWELL)


def _checks(store: Store, configs: Sequence[Path], service: str | None) -> "dict[str, Check]":
    from pipeline.doctor import bundle, encoders, installation, threads
    from pipeline.doctor import configs as configurations
    from pipeline.doctor import machine as hardware
    from pipeline.doctor import service as around
    from pipeline.doctor import store as artifacts

    here = Path.cwd()
    return {
        "python": installation.python,
        "packages": installation.packages,
        "native": installation.native,
        "processor": hardware.processor,
        "memory": hardware.memory,
        "disk": partial(hardware.disk, store.root),
        "gpu": hardware.gpus,
        "threads": threads.libraries,
        "variables": threads.environment,
        "encoders": encoders.packaged,
        "store": partial(artifacts.whole, store),
        "configs": partial(configurations.files, configs, here),
        "index": partial(bundle.self_check, store),
        "service": partial(around.reachable, service or around.configured_url()),
        "data": partial(around.shared_data, here),
    }


def _chosen(checks: "dict[str, Check]", only: Sequence[str] | None) -> "dict[str, Check]":
    unknown = [name for name in only or () if name not in checks]
    if unknown:
        known = [*checks]
        raise ConfigError(f"no check {unknown[0]!r}{suggest(unknown[0], known)}; one of {known}")
    return {name: check for name, check in checks.items() if not only or name in only}


def _advice(url: str, findings: "Sequence[Finding]", store: Store) -> dict[str, Any]:
    """Return our suggestions and the endpoint's, after showing what it is sent."""
    from pipeline.doctor import advise

    about = advise.summary(findings, store)
    remark("this is sent to the adviser, and nothing else:")
    remark(json.dumps(about, indent=1, sort_keys=True))
    key, model = os.environ.get(advise.KEY), os.environ.get(advise.MODEL, "default")
    return {
        "suggestions by rule": advise.by_rule(findings),
        "suggestions of the adviser": advise.asked(url, about, key, model),
    }


@doctor.command("leaks")
def leaks(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="KIND, KIND/FINGERPRINT or FINGERPRINT of any artifact of the run; the promoted "
            "bundle if left out.",
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Look for held-out interactions in what a run trained on; the exit code is not 0 on a leak."""
    from pipeline.leaks import CHECKS, LEAK, examine, find_run, name_of

    found = find_run(Store(given(context, "store", store)), run)
    with measure.Console() as console, measure.task("leaks", console) as task:
        with task.progress("checks", total=len(CHECKS), unit="groups") as bar:
            answers = [*examine(found, bar.advance)]
    counts = Counter(finding.severity for answer in answers for finding in answer.findings)
    if given(context, "as_json", as_json):
        about = {"run": name_of(found.asked), "gone": found.gone, "found": counts}
        print_json({**about, "checks": [answer.as_json() for answer in answers]})
    else:
        _print_answers(name_of(found.asked), answers)
        for gone in found.gone:
            remark(f"the store no longer holds {gone}; what needs it was not examined")
    if counts[LEAK]:
        raise typer.Exit(ArtifactError.exit_code)


def _print_answers(run: str, answers: "list[Examined]") -> None:
    rows = [(a.check, a.where, a.looked_at, _verdict(a)) for a in answers]
    print_table(f"leak checks of {run}", ("check", "where", "looked at", "result"), rows)
    findings = [(answer, finding) for answer in answers for finding in answer.findings]
    for answer, finding in findings:
        say(f"\n{finding.severity}: {finding.what}")
        say(f"  where: {answer.where}; {finding.count:,} of {finding.of:,}")
        if finding.examples:
            say(f"  for example: {'; '.join(finding.examples)}")
        say(f"  what to do: {finding.cure}")
    if not any(finding.severity != "note" for _, finding in findings):
        made = sum(answer.made for answer in answers)
        say(f"\nno leak found: {made} of {len(answers)} checks could be made")


def _verdict(answer: "Examined") -> str:
    if not answer.made:
        return "-"
    found = Counter(finding.severity for finding in answer.findings)
    return ", ".join(f"{count} {severity}" for severity, count in found.items()) or "clean"
