"""The verbs about raw data: init looks at somebody's own files, data make writes raw ones."""

import typer

data = typer.Typer(help="Raw data of known shapes.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.command("init")(init)
    app.add_typer(data, name="data")
