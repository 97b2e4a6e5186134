"""The verbs about what a service was told while it ran."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, BundleOption, JsonOption, StoreOption
from pipeline.cli.output import print_json, remark

live = typer.Typer(help="What a service was told while it ran.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    live.command("export")(export)
    app.add_typer(live, name="live")


def export(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    state: Annotated[
        Path | None, typer.Option(help="The service's state; .service in the store if left out.")
    ] = None,
    bundle: BundleOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Write interactions with feedback, and items as they are now, as raw files for the next run.

    A configuration takes them with data.format: table. Pictures that were sent stand in pictures/,
    to be put into the folder of data.images.
    """
    from serving.live.export import export as write

    where = Store(store)
    told = write(where, where.open("bundle", bundle), state or where.root / ".service", out)
    if as_json:
        print_json(told)
        return
    remark(f"wrote {', '.join(f'{count:,} {what}' for what, count in told.items())} to {out}")
