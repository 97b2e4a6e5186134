"""Grams of CO2e in a kilowatt-hour, by country, state or cloud region, each with source and date.

The numbers are those that CodeCarbon ships; nothing is copied, they are read where it is installed.
All are averages over a year of what is generated there (location-based).
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.measure.energy.power import codecarbon_data
from pipeline.measure.errors import MeasureError

JOULES_PER_KWH = 3_600_000
_GRAMS_PER_POUND, _KWH_PER_MWH = 453.59237, 1000.0
_CANADIAN = {"coal": 995.725971, "petroleum": 816.6885263, "naturalGas": 743.8415916}
"""Grams per kWh; CodeCarbon's, from github.com/responsibleproblemsolving/energy-usage."""


@dataclass(frozen=True)
class Grid:
    """The electricity of a place."""

    place: str
    """``DEU``, ``USA/virginia``, ``aws:eu-central-1``, or ``world``."""
    name: str
    grams_per_kwh: float
    source: str
    date: str
    """The year that the number is of."""
    assumed: bool = False
    """Whether nobody said where this is, so that the world's average stands in."""

    def grams(self, joules: float | None) -> float | None:
        """Return the CO2e of so much energy, None where that is not known."""
        return None if joules is None else joules / JOULES_PER_KWH * self.grams_per_kwh

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


WORLD = Grid(
    "world", "the world's average", 475.0, "IEA, Global Energy & CO2 Status Report", "2018"
)
"""CodeCarbon's own stand-in where it knows no better."""


def grid_of(place: str | float) -> Grid:
    """Return the electricity of a place, or one of so many grams per kWh.

    Raises:
        MeasureError: the place is not known, with the closest ones; or no table is installed.
    """
    if isinstance(place, int | float):
        return Grid("given", "as configured", float(place), "the configuration", "-")
    if place == WORLD.place:
        return WORLD
    known = known_grids()
    if not known:
        raise MeasureError(
            f"the intensity of {place!r} stands in CodeCarbon's tables, which are not installed: "
            f"pip install 'plotpointe[measure]', or give grams of CO2e per kWh instead of a place"
        )
    spelled = {each.lower(): each for each in known}
    found = spelled.get(place.lower())
    if found is None:
        close = get_close_matches(place.lower(), [*spelled], n=3, cutoff=0.5)
        hint = f"; close: {[spelled[each] for each in close]}" if close else ""
        raise MeasureError(
            f"no grid intensity is known for {place!r}{hint}. Name a country (DEU), a state "
            f"(USA/oregon), a cloud region (aws:eu-north-1), world, or grams of CO2e per kWh"
        )
    return known[found]


@lru_cache
def known_grids() -> Mapping[str, Grid]:
    """Return every known place by its name here; none where CodeCarbon is not installed."""
    data = codecarbon_data()
    if data is None:
        return {}
    readers = (_countries, _states, _provinces, _zones, _google)
    grids = {grid.place: grid for reader in readers for grid in _read(reader, data)}
    return grids | {grid.place: grid for grid in _regions(grids)}


def _read(reader: Callable[[Path], Iterator[Grid]], data: Path) -> list[Grid]:
    try:
        return [*reader(data)]
    except FileNotFoundError:  # another version of CodeCarbon keeps its tables elsewhere
        return []


def _json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _countries(data: Path) -> Iterator[Grid]:
    source = "Our World in Data (Ember, Energy Institute), by CodeCarbon"
    for code, row in _json(data / "private_infra" / "global_energy_mix.json").items():
        grams = row.get("carbon_intensity")
        if grams:  # a nought is a gap of the table: no electricity is made for nothing
            yield Grid(code, row["country_name"], float(grams), source, str(row["year"]))


def _states(data: Path) -> Iterator[Grid]:
    table = _json(data / "private_infra" / "2023" / "usa_emissions.json")
    source, year = table["_source"]["name"], str(table["_source"]["year"])
    for name, row in table.items():
        if not name.startswith("_") and name != "usa":
            grams = row["emissions"] * _GRAMS_PER_POUND / _KWH_PER_MWH
            yield Grid(f"USA/{name}", name.title(), grams, source, year)


def _provinces(data: Path) -> Iterator[Grid]:
    source = "generation mix by CodeCarbon"
    for name, mix in _json(data / "private_infra" / "2023" / "canada_energy_mix.json").items():
        grams = sum(mix.get(fuel, 0) / mix["total"] * each for fuel, each in _CANADIAN.items())
        yield Grid(f"CAN/{name}", name.title(), grams, source, "2023")
    chinese = _json(data / "private_infra" / "2023" / "china_provincial_emissions.json")
    for row in chinese["data"].values():
        name = f"CHN/{row['names'][0]}"
        source = "MEE and NBS of China, 2025 No. 47 (CO2 alone)"
        yield Grid(
            name, row["description"], float(row["emission_factor"]), source, str(row["year"])
        )


def _zones(data: Path) -> Iterator[Grid]:
    country = {"SE": "SWE", "NO": "NOR", "FI": "FIN"}
    zones = _json(data / "private_infra" / "nordic_emissions.json")["data"]
    for zone, row in zones.items():
        if zone != "FI":  # its number is older than Finland's own
            place = f"{country[zone[:2]]}/{zone}"
            source = "ENTSO-E generation by type, by CodeCarbon"
            yield Grid(
                place, row["description"], float(row["emission_factor"]), source, str(row["year"])
            )


def _google(data: Path) -> Iterator[Grid]:
    with (data / "cloud" / "impact.csv").open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            region = row["region"].replace("me-cenrtal1", "me-central1")
            name = f"{row['city']}, {row['country_name']}"
            place = f"{row['provider']}:{region}"
            yield Grid(place, name, float(row["impact"]), row["source"], "as shipped by CodeCarbon")


def _regions(grids: Mapping[str, Grid]) -> Iterator[Grid]:
    """Yield the regions of clouds that publish no intensity: that of where they stand."""
    table = _json(Path(__file__).with_name("regions.json"))
    for provider in ("aws", "azure"):
        for region, place in table[provider].items():
            grid = grids.get(place)
            if grid is not None:
                source = f"average of {place}: {grid.source}"
                name = f"{region} ({grid.name})"
                yield Grid(f"{provider}:{region}", name, grid.grams_per_kwh, source, grid.date)
