"""The verbs that look after the store: show, verify, promote, rollback, gc."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline import promises, promotion, runs
from pipeline.artifacts import Artifact, Store, check_kind
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from pipeline.cli.output import megabytes, print_json, print_table, say
from pipeline.cli.report import print_metrics
from pipeline.cli.runs import draw_curves, show_run
from pipeline.errors import ArtifactError
from pipeline.runs.curves import curves_of_model
from pipeline.runs.listing import LAST
from pipeline.schema import KINDS

WhichArgument = Annotated[str, typer.Argument(help="KIND or KIND/FINGERPRINT.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.command("show")(show)
    app.command("verify")(verify)
    app.command("promote")(promote)
    app.command("rollback")(rollback)
    app.command("gc")(gc)


def _pick(store: Store, which: str) -> Artifact:
    """Return an artifact by ``kind/fingerprint``; a bare kind is the promoted or newest one."""
    kind, _, fingerprint = which.partition("/")
    check_kind(kind)
    if fingerprint or store.current(kind):
        return store.open(kind, fingerprint or None)
    everything = store.all(kind)
    if not everything:
        raise ArtifactError(f"{store.root} holds no {kind}. Make one: plotpointe run CONFIG")
    return everything[-1]


def show(
    which: Annotated[
        str | None, typer.Argument(help="KIND, KIND/FINGERPRINT, or RUN: an id, or last.")
    ] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the curves of a run, or of a model.")
    ] = False,
    png: Annotated[Path | None, typer.Option(help="Draw them into this picture.")] = None,
    html: Annotated[Path | None, typer.Option(help="Draw them into this page.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print an artifact's manifest, a report's tables, a run, or the list of all artifacts."""
    place = Store(store)
    if plot or png or html:
        _draw(place, which or LAST, png, html)
    elif which is None:
        _print_all(place, as_json)
    elif which.partition("/")[0] in KINDS or not _is_run(which):
        _print_one(_pick(place, which), as_json)
    else:
        show_run(place, which, as_json=as_json)


def _is_run(which: str) -> bool:
    """Return whether a name that is no kind is meant as a run's, rather than misspelt."""
    return which == LAST or which[:1].isdigit()


def _draw(store: Store, which: str, png: Path | None, html: Path | None) -> None:
    if which.partition("/")[0] == "model":
        model = _pick(store, which)
        draw_curves(curves_of_model(model), f"model {model.fingerprint}", png, html)
        return
    run = runs.find(store, which)
    title = f"{run['config_name']}, run {run['run_id']}"
    draw_curves(runs.curves_of(run, store), title, png, html)


def _print_one(chosen: Artifact, as_json: bool) -> None:
    if chosen.kind == "report" and not as_json:
        print_metrics(chosen)
    else:
        print_json(dict(chosen.manifest))


def _print_all(store: Store, as_json: bool) -> None:
    everything = [a for kind in KINDS for a in store.all(kind)]
    if as_json:
        print_json([dict(a.manifest) for a in everything])
        return
    columns = ("kind", "fingerprint", "step", "made", "size", "promoted")
    print_table(str(store.root), columns, [_row(a, store) for a in everything])


def _row(artifact: Artifact, store: Store) -> tuple[str, ...]:
    size = sum(f["bytes"] for f in artifact.manifest["files"].values())
    promoted = "yes" if store.current(artifact.kind) == artifact.fingerprint else ""
    made = str(artifact.manifest["created_at"])[:19]
    step = str(artifact.manifest.get("step", ""))
    return artifact.kind, artifact.fingerprint, step, made, megabytes(size), promoted


def verify(
    which: Annotated[
        str | None, typer.Argument(help="KIND or KIND/FINGERPRINT; all if left out.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Check files, hashes and promises; the exit code is not 0 where any is broken."""
    place = Store(store)
    chosen = [_pick(place, which)] if which else [a for k in KINDS for a in place.all(k)]
    broken: dict[str, list[str]] = {}
    for artifact in chosen:
        broken[f"{artifact.kind}/{artifact.fingerprint}"] = promises.broken(artifact)
    if as_json:
        print_json(broken)
    else:
        rows = [(name, "; ".join(found) or "keeps its promises") for name, found in broken.items()]
        print_table("verify", ("artifact", "result"), rows)
    if any(broken.values()):
        raise typer.Exit(ArtifactError.exit_code)


def promote(which: WhichArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Make an artifact the one that is served, after verifying it."""
    place = Store(store)
    kind, _, fingerprint = which.partition("/")
    if not fingerprint:
        raise ArtifactError(
            f"name one: plotpointe promote {kind}/FINGERPRINT (see: plotpointe show)"
        )
    artifact = place.open(kind, fingerprint)
    promotion.promote(place, kind, artifact.fingerprint)
    say(f"promoted {kind} {artifact.fingerprint}")


def rollback(
    kind: Annotated[str, typer.Argument(help="Kind to roll back.")] = "bundle",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Promote what was promoted before."""
    say(f"promoted {kind} {Store(store).roll_back(kind)}")


def gc(
    keep: Annotated[int, typer.Option(help="Newest runs to keep.")] = 3,
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Remove artifacts that neither a promoted nor one of the newest runs uses."""
    removed = promotion.collect_garbage(Store(store), keep=keep, dry_run=dry_run)
    rows = [(f"{r.kind}/{r.fingerprint}", megabytes(r.bytes)) for r in removed]
    if as_json:
        print_json([{"artifact": name, "size": size} for name, size in rows])
    else:
        print_table("would remove" if dry_run else "removed", ("artifact", "size"), rows)
