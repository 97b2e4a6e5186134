"""The verb that tells whether data have changed: between two versions, or in service."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.artifacts import Store
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from pipeline.cli.output import print_json, print_table
from pipeline.errors import DriftError

if TYPE_CHECKING:
    from pipeline.measure.drift import Drift

Which = Annotated[
    str,
    typer.Argument(
        help="tables[/FINGERPRINT], embeddings[/FINGERPRINT], or the state folder of a service."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add this verb to the application."""
    app.command("drift")(drift)


def drift(
    reference: Which,
    current: Which,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions of data by feature; the exit code is not 0 where any drifted."""
    from pipeline.compare.inputs import drifts, open_inputs

    place = Store(store)
    before, now = open_inputs(place, reference), open_inputs(place, current)
    found = drifts(before, now)
    if as_json:
        about = {"reference": before.name, "current": now.name}
        print_json({**about, "features": [each.as_json() for each in found]})
    else:
        header = ("feature", "test", "statistic", "size", "p", "Holm", "reference", "now", "")
        print_table(f"{before.name} to {now.name}", header, [_row(each) for each in found])
    drifted = [each.feature for each in found if each.drifted]
    if drifted:
        raise DriftError(
            f"{len(drifted)} of {len(found)} features drifted: {', '.join(drifted)}. Look at what "
            f"changed; train again if it is to stay"
        )


def _row(each: "Drift") -> tuple[str, ...]:
    return (
        each.feature, each.test, f"{each.statistic:.4g}", f"{each.size:.3f}", f"{each.p:.2g}",
        f"{each.p_holm:.2g}", f"{each.n_reference:,}", f"{each.n_current:,}",
        "drifted" if each.drifted else "",
    )  # fmt: skip
