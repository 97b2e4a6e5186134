"""The verbs about raw data: init looks at somebody's own files, data make writes raw ones."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import print_table, remark
from pipeline.errors import ConfigError

data = typer.Typer(help="Raw data of known shapes.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.command("init")(init)
    app.add_typer(data, name="data")


def init(
    interactions: Annotated[Path, typer.Option(help="Your log: CSV, TSV, Parquet, JSON lines.")],
    items: Annotated[Path | None, typer.Option(help="Your catalogue.")] = None,
    images: Annotated[Path | None, typer.Option(help="Your folder of pictures.")] = None,
    out: Annotated[Path, typer.Option(help="The configuration to write.")] = Path(
        "plotpointe.yaml"
    ),
    force: Annotated[bool, typer.Option(help="Overwrite the configuration.")] = False,
) -> None:
    """Look at your own files and write a configuration to review."""
    from pipeline.etl.guess import guess

    if out.exists() and not force:
        raise ConfigError(f"{out} exists; choose another --out or give --force")
    found = guess(interactions, items, images)
    for sample in found.samples:
        print_table(f"{sample.path.name}: first rows as read", sample.columns, sample.rows)
    out.write_text(found.yaml(out.parent))
    for doubt in found.doubts:
        remark(f"please check: {doubt}")
    remark(f"wrote {out}; review it, then: plotpointe run {out}")
