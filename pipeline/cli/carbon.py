"""The verbs about energy, carbon and money: what runs took, and what they would take elsewhere."""

import csv
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.artifacts import Store
from pipeline.carbon.units import grams_told, kwh_told, masses, money_told, sums
from pipeline.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from pipeline.cli.output import print_json, print_table, remark, say
from pipeline.cli.run import shipped_config
from pipeline.errors import ConfigError, DataError
from pipeline.measure.energy.account import Entry

group = typer.Typer(help="Energy, carbon and money of what was run.", no_args_is_help=True)


class By(StrEnum):
    """What the report is told apart by."""

    project = "project"
    stage = "stage"
    step = "step"
    run = "run"
    month = "month"


PueOption = Annotated[
    float, typer.Option(min=1.0, help="Energy of the building for one unit of the computers'.")
]
PricesOption = Annotated[
    Path | None,
    typer.Option("--prices", envvar="PLOTPOINTE_PRICES", help="Price table; configs/prices.yaml."),
]
MachineOption = Annotated[
    str | None, typer.Option("--machine", help="Whose price counts; the table's own if left out.")
]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the application."""
    app.add_typer(group, name="carbon")


@group.command("report")
def report(
    by: Annotated[By, typer.Option(help="What to tell apart.")] = By.stage,
    store: StoreOption = DEFAULT_STORE,
    since: Annotated[str, typer.Option(help="Only what ended on this day (UTC) or later.")] = "",
    until: Annotated[str, typer.Option(help="Only what ended before this day.")] = "",
    machine: MachineOption = None,
    prices: PricesOption = None,
    pue: PueOption = 1.0,
    market: Annotated[
        float | None,
        typer.Option("--market-factor", min=0, help="Grams of CO2e per kWh of your contracts."),
    ] = None,
    metric: Annotated[str, typer.Option(help="Accuracy to draw against energy.")] = "ndcg@20",
    to_csv: Annotated[Path | None, typer.Option("--csv", help="Write every step here.")] = None,
    to_html: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the store's runs drew, emitted and cost; the parts add up to the whole."""
    from pipeline.carbon.page import page
    from pipeline.carbon.prices import load_prices
    from pipeline.carbon.report import Terms, points_of, report_on
    from pipeline.measure.energy.account import priced

    place, table = Store(store), load_prices(prices or shipped_config("prices.yaml"))
    price = table.of(machine)
    entries = priced(_entries(place, since, until), price, pue)
    terms = Terms(price.machine, table.currency, pue, market, metric)
    found = report_on(entries, points_of(place, metric), terms)
    if to_csv:
        _write_csv(to_csv, entries, table.currency)
    if to_html:
        to_html.write_text(page(found), encoding="utf-8")
        remark(f"wrote {to_html}")
    if as_json:
        print_json(found.as_dict())
        return
    columns, rows = sums(found.by[by], found.whole, table.currency)
    print_table(f"energy and carbon by {by.value}", (by.value, *columns), rows)
    say(f"cost: on machine {price.machine} of the price table; the machine's time is shared out")
    _say_terms(found.scope_2)


def _entries(store: Store, since: str, until: str) -> list[Entry]:
    from pipeline.carbon.ledger import entries_of

    def within(entry: Entry) -> bool:
        day = f"{entry.ended_at:%Y-%m-%d}"
        return since <= day and (not until or day < until)

    _must_be_days(since, until)
    found = [entry for entry in entries_of(store) if within(entry)]
    if not found:
        raise DataError(
            f"{store.root} holds no step that was made in this time. Make some: plotpointe run "
            f"CONFIG --store {store.root}"
        )
    return found


def _must_be_days(*days: str) -> None:
    from datetime import date

    for day in days:
        try:
            date.fromisoformat(day or "2000-01-01")
        except ValueError:
            raise ConfigError(f"{day!r} is no day; write it as 2026-11-21") from None


def _say_terms(scope_2: Mapping[str, Any]) -> None:
    say(
        f"scope 2, location-based: {scope_2['location_based_kg_co2e']:.6g} kg CO2e from "
        f"{scope_2['facility_energy_kwh']:.6g} kWh (PUE {scope_2['pue']:g} assumed), "
        f"{scope_2['period_from'][:10]} to {scope_2['period_to'][:10]}"
    )
    market = scope_2["market_based_kg_co2e"]
    told = "not known; give your contracts' factor with --market-factor"
    say(f"scope 2, market-based: {told if market is None else f'{market:.6g} kg CO2e'}")
    for factor in scope_2["location_based_factors"]:
        say(
            f"- {factor['place']}: {factor['grams_per_kwh']:.4g} g CO2e/kWh "
            f"({factor['source']}, {factor['date']})"
        )
    for source, kwh in scope_2["measured_by"].items():
        say(f"- {kwh_told(kwh)} by {source}")


def _write_csv(path: Path, entries: list[Entry], currency: str) -> None:
    columns = (
        "ended_at", "run", "project", "stage", "step", "wall_seconds", "machine_seconds",
        "energy_joules", "grams_co2e", "energy_source", "place", "grams_per_kwh",
        "factor_source", "factor_date", f"cost_{currency}",
    )  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for e in entries:
            factor = e.factor or ("", "", "")
            writer.writerow(
                (
                    e.ended_at.isoformat(), e.run, e.project, e.stage, e.name, e.wall_seconds,
                    e.machine_seconds, "" if e.joules is None else e.joules,
                    "" if e.grams is None else e.grams, e.source, e.place, *factor, e.money,
                )
            )  # fmt: skip
    remark(f"wrote {path}")


@group.command("regions")
def regions(
    only: Annotated[
        str,
        typer.Argument(metavar="[PLACE]", help="Places that begin so, * all; else cloud regions."),
    ] = "",
    store: StoreOption = DEFAULT_STORE,
    run: Annotated[str, typer.Option(help="A run's id, or its beginning; all if left out.")] = "",
    hours: Annotated[float | None, typer.Option(help="Instead of the store's runs.")] = None,
    wh: Annotated[float | None, typer.Option(help="Watt-hours, with --hours.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the cleanest to print.")] = 12,
    prices: PricesOption = None,
    pue: PueOption = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Print what the same work would have emitted, and cost, in other places."""
    from pipeline.carbon.prices import load_prices
    from pipeline.carbon.regions import cheapest, elsewhere

    table = load_prices(prices or shipped_config("prices.yaml"))
    joules, took = _work(Store(store), run, hours, wh)
    places = elsewhere(joules, took, table, pue, only)
    if not places:
        raise ConfigError(
            f"no place begins with {only!r}, or its table is not installed: "
            f"pip install 'plotpointe[measure]'"
        )
    if as_json:
        print_json(
            {"joules": joules, "machine_hours": took, "places": [p.as_dict() for p in places]}
        )
        return
    shown = places[:top] + ([places[-1]] if len(places) > top else [])
    unit, told = masses([each.grams for each in shown])
    rows = [
        (
            each.grid.place,
            each.grid.name,
            f"{each.grid.grams_per_kwh:.0f}",
            grams,
            "-" if each.money is None else money_told(each.money, table.currency),
            each.grid.date,
        )
        for each, grams in zip(shown, told, strict=True)
    ]
    columns = ("place", "where", "g CO2e/kWh", f"this work {unit}", "cost", "of")
    print_table(f"{kwh_told(joules / 3.6e6)} elsewhere, the cleanest first", columns, rows)
    say(f"cleanest: {places[0].grid.place}; dirtiest: {places[-1].grid.place}")
    if found := cheapest(places):
        money = money_told(found.money or 0.0, table.currency)
        say(f"cheapest with a price: {found.grid.place}, {money}")


def _work(store: Store, run: str, hours: float | None, wh: float | None) -> tuple[float, float]:
    """Return the joules and the machine's hours to price."""
    from pipeline.measure.energy.account import sharing_the_machine, total

    if hours is not None or wh is not None:
        return (wh or 0.0) * 3600, hours or 0.0
    entries = [e for e in _entries(store, "", "") if not run or e.run.startswith(run)]
    if not entries:
        raise DataError(
            f"{store.root} holds no step of a run {run!r}; see plotpointe carbon report"
        )
    whole = total("all", sharing_the_machine(entries))
    return whole.kwh * 3.6e6, whole.machine_seconds / 3600


@group.command("served")
def served(
    metrics: Annotated[
        str, typer.Argument(help="Address of a service's /metrics, or a file of its answer.")
    ] = "http://127.0.0.1:8000/metrics",
    machine: MachineOption = None,
    prices: PricesOption = None,
    per_second: Annotated[
        float | None,
        typer.Option(min=0.001, help="Lists a second that the machine is paid for; else as seen."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the machine.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Print energy and CO2e of 1,000 recommendations, and the money of a million."""
    from pipeline.carbon.prices import load_prices
    from pipeline.carbon.served import costs_of, read_metrics

    table = load_prices(prices or shipped_config("prices.yaml"))
    price = table.of(machine)
    found = costs_of(read_metrics(metrics), price, per_second, workers)
    if as_json:
        print_json({**found, "machine": price.machine, "currency": table.currency})
        return
    say(f"{found['lists']:,.0f} lists in {found['seconds']:,.0f} s")
    say(f"1,000 recommendations: {found['joules_per_1000']:.4g} J")
    say(f"1,000 recommendations: {grams_told(found['grams_co2e_per_1000'])} CO2e")
    money = money_told(found["money_per_million"], table.currency)
    say(f"1,000,000 recommendations: {money} on {price.machine}")
