"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_STORE = "artifacts"

ConfigArgument = Annotated[Path, typer.Argument(help="A YAML file; see configs/.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override one value: train.epochs=5.")
]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="PLOTPOINTE_STORE", help="Folder of artifacts.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
KOption = Annotated[int, typer.Option("-k", "--k", min=1, max=500, help="Length of the list.")]
BundleOption = Annotated[
    str | None, typer.Option("--bundle", help="Fingerprint; the promoted one if left out.")
]
FirstOption = Annotated[str | None, typer.Option("--from", help="First stage.")]
LastOption = Annotated[str | None, typer.Option("--to", help="Last stage.")]


def given(context: typer.Context, name: str, value: Any) -> Any:  # noqa: ANN401 - any option
    """Return an option that may also stand before the subcommand's name."""
    source = context.get_parameter_source(name)
    here = source is not None and source.name == "COMMANDLINE"
    return value if here or context.parent is None else context.parent.params[name]
