"""What the same energy would have emitted elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.carbon.prices import Prices
from pipeline.measure.energy.grid import Grid, known_grids


@dataclass(frozen=True)
class Elsewhere:
    """One place, and what the work would have been there."""

    grid: Grid
    grams: float
    money: float | None
    """None where the table knows no such machine there."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**self.grid.as_dict(), "grams_co2e": self.grams, "money": self.money}


def elsewhere(
    joules: float, hours: float, prices: Prices, pue: float = 1.0, only: str = ""
) -> list[Elsewhere]:
    """Return the places that one can choose, the cleanest first: the regions of clouds.

    ``only`` keeps the places, of any kind, whose names begin so, ``*`` all of them.
    Money is that of the cheapest priced machine in the place, for the same hours.
    """
    found = []
    for place, grid in known_grids().items():
        if _asked_for(place, only):
            hourly = [m.hourly for m in prices.machines.values() if m.place == place]
            money = hours * min(hourly) if hourly else None
            found.append(Elsewhere(grid, (grid.grams(joules) or 0.0) * pue, money))
    return sorted(found, key=lambda each: (each.grams, each.grid.place))


def _asked_for(place: str, only: str) -> bool:
    if not only:
        return ":" in place
    return only == "*" or place.lower().startswith(only.lower())


def cheapest(places: Sequence[Elsewhere]) -> Elsewhere | None:
    """Return the place that costs least, among those with a price."""
    priced = [each for each in places if each.money is not None]
    return min(priced, key=lambda each: (each.money, each.grams), default=None)
