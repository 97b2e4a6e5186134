"""The verbs about raw data: init looks at somebody's own files, data make writes raw ones."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import print_table, remark, say
from pipeline.errors import ConfigError, suggest

_SHAPES = {"amazon-2014": 2014, "amazon-2018": 2018, "amazon-2023": 2023}

data = typer.Typer(help="Raw data of known shapes.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.command("init")(init)
    data.command("make")(make)
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


def make(
    like: Annotated[str, typer.Option(help="amazon-2014, amazon-2018 or amazon-2023.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    scale: Annotated[
        float, typer.Option(help="1 is Electronics: 1.69M reviews, 498K items.")
    ] = 0.01,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    bad_share: Annotated[float, typer.Option(min=0, max=1, help="Share of bad lines.")] = 0.0,
) -> None:
    """Write raw files of an exact public shape, planted tastes and oddities in them."""
    from pipeline.etl.generate import AmazonSpec, make_amazon

    if like not in _SHAPES:
        raise ConfigError(f"no shape {like!r}{suggest(like, [*_SHAPES])}; known: {[*_SHAPES]}")
    spec = replace(AmazonSpec.scaled(_SHAPES[like], scale, seed), bad_share=bad_share)
    for what, path in make_amazon(out, spec).items():
        say(f"{what}: {path}")
