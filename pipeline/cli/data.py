"""The verbs about raw data: init looks at somebody's own files, data make writes raw ones."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import print_table, remark, say
from pipeline.errors import ConfigError, suggest

_LOAD = "amazon-electronics"
_SHAPES = {_LOAD: 2014, "amazon-2014": 2014, "amazon-2018": 2018, "amazon-2023": 2023}
_SMALL = 0.01

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
    like: Annotated[str, typer.Option(help=f"{', '.join(_SHAPES)}.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    scale: Annotated[
        float | None,
        typer.Option(
            help="1 is Electronics of 2014: 1.69M reviews, 498K items; the default is 1 for "
            "amazon-electronics, 0.01 for the others."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    bad_share: Annotated[float, typer.Option(min=0, max=1, help="Share of bad lines.")] = 0.0,
) -> None:
    """Write raw files of an exact public shape, planted tastes and oddities in them.

    amazon-electronics, which configs/amazon-electronics.yaml reads, has vectors of the pictures of
    all items and a folder of pictures of some.
    """
    from pipeline.etl.generate import AmazonSpec, make_amazon, make_electronics

    if like not in _SHAPES:
        raise ConfigError(f"no shape {like!r}{suggest(like, [*_SHAPES])}; known: {[*_SHAPES]}")
    size = (1.0 if like == _LOAD else _SMALL) if scale is None else scale
    spec = replace(AmazonSpec.scaled(_SHAPES[like], size, seed), bad_share=bad_share)
    write = make_electronics if like == _LOAD else make_amazon
    for what, path in write(out, spec).items():
        say(f"{what}: {path}")
