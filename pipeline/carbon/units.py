"""Energy, mass and money as people say them."""

from collections.abc import Sequence

from pipeline.measure.energy.account import Total

_ENERGY = (("MWh", 1e3), ("kWh", 1.0), ("Wh", 1e-3), ("mWh", 1e-6))
_MASS = (("t", 1e6), ("kg", 1e3), ("g", 1.0), ("mg", 1e-3))
_DIGITS = 4


def kwh_told(kwh: float) -> str:
    """Return energy in the unit that leaves few digits."""
    unit, (told,) = energies([kwh])
    return f"{told} {unit}"


def grams_told(grams: float) -> str:
    """Return a mass in the unit that leaves few digits."""
    unit, (told,) = masses([grams])
    return f"{told} {unit}"


def energies(kwh: Sequence[float]) -> tuple[str, list[str]]:
    """Return one unit for all, that of the largest, and the numbers in it."""
    return _in_one_unit(kwh, _ENERGY)


def masses(grams: Sequence[float]) -> tuple[str, list[str]]:
    """Return one unit for all, that of the largest, and the numbers in it."""
    return _in_one_unit(grams, _MASS)


def _in_one_unit(
    values: Sequence[float], units: Sequence[tuple[str, float]]
) -> tuple[str, list[str]]:
    largest = max(values, default=0.0)
    unit, size = next(((u, s) for u, s in units if largest >= s / 10), units[-1])
    return unit, [short(value / size) for value in values]


def short(number: float) -> str:
    """Return a number in four digits, without an exponent where it is not tiny."""
    if number == 0:
        return "0"
    return f"{number:,.0f}" if number >= 10**_DIGITS else f"{number:.{_DIGITS}g}"


def money_told(money: float, currency: str) -> str:
    """Return an amount with its currency; small ones keep three digits."""
    if money >= 1:
        return f"{money:,.2f} {currency}"
    return f"{money:.6f} {currency}" if money >= 1e-4 or money == 0 else f"{money:.2e} {currency}"


def sums(
    parts: Sequence[Total], whole: Total, currency: str
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns after the name, and the rows with the whole as the last."""
    rows = [*parts, whole]
    energy, kwh = energies([row.kwh for row in rows])
    mass, grams = masses([row.grams for row in rows])
    columns = ("steps", "machine s", f"energy {energy}", f"CO2e {mass}", f"cost {currency}")
    told: list[tuple[str, ...]] = [
        (
            "total" if row is whole else row.name,
            f"{row.entries}" + (f" ({row.unmeasured} not measured)" if row.unmeasured else ""),
            f"{row.machine_seconds:,.1f}",
            kwh[at],
            grams[at],
            money_told(row.money, "").strip(),
        )
        for at, row in enumerate(rows)
    ]
    return columns, told
