"""The verbs that look after the service's API keys: new, list, revoke."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer

from pipeline.cli.options import JsonOption
from pipeline.cli.output import print_json, print_table, remark, say
from pipeline.errors import ConfigError

group = typer.Typer(help="API keys of the service.", no_args_is_help=True)

FileOption = Annotated[
    Path, typer.Option("--keys", envvar="PLOTPOINTE_KEYS", help="File that keeps the keys' hashes.")
]
_FILE = Path("keys.json")


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.add_typer(group, name="keys")


@group.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or admin; may be repeated.")
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="Ends after so many; never if left out.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Most requests, such as 600/minute; else the service's.")
    ] = None,
    keys: FileOption = _FILE,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from serving.keys import KeyFile, Scope, make_key, read_keys, write_keys

    chosen = scope or ["read"]
    if unknown := {*chosen} - {*get_args(Scope)}:
        raise ConfigError(f"no scope {sorted(unknown)}; one of {[*get_args(Scope)]}")
    if rate is not None:
        from serving.middleware.guard import parsed

        parsed(rate)
    kept = read_keys(keys) if keys.exists() else KeyFile()
    secret, key = make_key(name, chosen, days, rate)  # type: ignore[arg-type]
    write_keys(keys, KeyFile(keys=(*kept.keys, key)))
    say(secret)
    until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "until revoked"
    remark(f"{key.id} allows {', '.join(key.scopes)} {until}; it is not shown again")


@group.command("list")
def list_keys(keys: FileOption = _FILE, as_json: JsonOption = False) -> None:
    """Print every key without its secret."""
    from serving.keys import read_keys

    found, now = read_keys(keys).keys, datetime.now(UTC)
    if as_json:
        print_json([key.model_dump(mode="json", exclude={"sha256"}) for key in found])
        return
    rows = [
        (
            key.id, key.name, " ".join(key.scopes), f"{key.created_at:%Y-%m-%d}",
            f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
            key.rate or "", "yes" if key.valid(now) else "no",
        )
        for key in found
    ]  # fmt: skip
    print_table(str(keys), ("id", "name", "scopes", "made", "ends", "rate", "valid"), rows)


@group.command("revoke")
def revoke(
    which: Annotated[str, typer.Argument(help="Id of the key.")], keys: FileOption = _FILE
) -> None:
    """Take a key back; a running service refuses it within a second."""
    from serving.keys import read_keys, revoked, write_keys

    write_keys(keys, revoked(read_keys(keys), which, datetime.now(UTC)))
    say(f"revoked {which}")
