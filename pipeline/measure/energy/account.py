"""What work drew, added up: by any grouping, the parts are the whole."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pipeline.measure.energy.grid import JOULES_PER_KWH


@dataclass(frozen=True)
class Entry:
    """One piece of work that was paid for, such as a stage of a run."""

    name: str
    project: str
    stage: str
    run: str
    ended_at: datetime
    wall_seconds: float
    joules: float | None
    """None where nobody measured."""
    grams: float | None
    source: str
    """How the energy is known."""
    place: str
    """Whose electricity it was."""
    factor: tuple[float, str, str] | None = None
    """Grams per kWh, their source and their date."""
    machine_seconds: float = 0.0
    """The share of the machine's time that was this work's."""
    money: float = 0.0

    @property
    def month(self) -> str:
        """Return the calendar month (UTC) in which it ended."""
        return f"{self.ended_at:%Y-%m}"


@dataclass(frozen=True)
class Total:
    """Entries added up."""

    name: str
    entries: int
    unmeasured: int
    """Of the entries, those whose energy nobody measured: they add nothing, and are not zero."""
    machine_seconds: float
    kwh: float
    grams: float
    money: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))


def total(name: str, entries: Sequence[Entry]) -> Total:
    """Return the sum of entries."""
    return Total(
        name,
        len(entries),
        sum(entry.joules is None for entry in entries),
        math.fsum(entry.machine_seconds for entry in entries),
        math.fsum(entry.joules or 0.0 for entry in entries) / JOULES_PER_KWH,
        math.fsum(entry.grams or 0.0 for entry in entries),
        math.fsum(entry.money for entry in entries),
    )


def grouped(entries: Iterable[Entry], by: Callable[[Entry], str]) -> dict[str, list[Entry]]:
    """Return the entries of each group, groups in order of their names."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(by(entry), []).append(entry)
    return {name: found[name] for name in sorted(found)}


def totals(entries: Iterable[Entry], by: Callable[[Entry], str]) -> list[Total]:
    """Return the sum of each group, in order of their names."""
    return [total(name, same) for name, same in grouped(entries, by).items()]


def sharing_the_machine(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with the machine's time shared among those that ran side by side.

    At each moment the machine belongs to all that run, in equal parts; so the parts add up to the
    time in which anything ran, however steps overlapped.
    """
    spans = [(e.ended_at.timestamp() - e.wall_seconds, e.ended_at.timestamp()) for e in entries]
    changes: dict[float, int] = {}
    for begins, ends in spans:
        changes[begins] = changes.get(begins, 0) + 1
        changes[ends] = changes.get(ends, 0) - 1
    # What one step that had always run would have got until each moment.
    running, before, until = 0, 0.0, 0.0
    received: dict[float, float] = {}
    for moment in sorted(changes):
        until += (moment - before) / running if running else 0.0
        received[moment] = until
        running, before = running + changes[moment], moment
    return [
        replace(entry, machine_seconds=received[ends] - received[begins])
        for entry, (begins, ends) in zip(entries, spans, strict=True)
    ]


@dataclass(frozen=True)
class Price:
    """What a machine costs."""

    machine: str
    hourly: float
    per_kwh: float = 0.0
    """Of electricity, where the hour does not include it."""

    def of(self, machine_seconds: float, joules: float | None, pue: float = 1.0) -> float:
        """Return what so much of the machine and its energy costs."""
        hours, kwh = machine_seconds / 3600, (joules or 0.0) / JOULES_PER_KWH
        return hours * self.hourly + kwh * pue * self.per_kwh


def priced(entries: Sequence[Entry], price: Price, pue: float = 1.0) -> list[Entry]:
    """Return the entries with what each costs; the machine's time is shared out first.

    ``pue`` is the energy of the whole building for one unit of its computers': grams, and money
    for electricity, become those of the building, while joules stay those of the computers.
    """
    return [
        replace(
            entry,
            money=price.of(entry.machine_seconds, entry.joules, pue),
            grams=None if entry.grams is None else entry.grams * pue,
        )
        for entry in sharing_the_machine(entries)
    ]


def scope_2(
    entries: Sequence[Entry], pue: float = 1.0, market_grams_per_kwh: float | None = None
) -> dict[str, Any]:
    """Return what a sustainability report asks for on purchased electricity (GHG Protocol).

    The entries are priced with the same ``pue``.
    ``market_grams_per_kwh`` is the factor of the user's own contracts; without it the market-based
    number is not known.
    """
    whole = total("all", entries)
    times = [entry.ended_at for entry in entries]
    contracts = market_grams_per_kwh
    return {
        "standard": "GHG Protocol, Scope 2 Guidance: purchased electricity",
        "period_from": min(times).isoformat() if times else None,
        "period_to": max(times).isoformat() if times else None,
        "it_energy_kwh": whole.kwh,
        "pue": pue,
        "facility_energy_kwh": whole.kwh * pue,
        "location_based_kg_co2e": whole.grams / 1000,
        "location_based_factors": _factors(entries),
        "market_based_kg_co2e": None if contracts is None else whole.kwh * pue * contracts / 1000,
        "market_based_factor_grams_per_kwh": contracts,
        "measured_by": {t.name: t.kwh for t in totals(entries, _source)},
        "entries": whole.entries,
        "entries_not_measured": whole.unmeasured,
        "left_out": "making of the hardware (scope 3), network and storage services",
    }


def _source(entry: Entry) -> str:
    return entry.source


def _factors(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return each emission factor with its source, date, and the energy that it was used for."""
    used = grouped((e for e in entries if e.factor), lambda e: f"{e.place} {e.factor}")
    found = []
    for same in used.values():
        first = same[0]
        assert first.factor is not None
        grams, source, date = first.factor
        found.append(
            {
                "place": first.place,
                "grams_per_kwh": grams,
                "source": source,
                "date": date,
                "energy_kwh": total("", same).kwh,
            }
        )
    return found


def limits_passed(
    spent: Mapping[str, float], limits: Mapping[str, float], share: float = 1.0
) -> list[str]:
    """Return which limits so much has reached, or a share of each."""
    return [name for name, limit in limits.items() if spent.get(name, 0.0) >= limit * share]
