"""How fast this machine is: measured in a second and remembered for a day."""

import time
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from pipeline import files
from pipeline.measure.rates import Rates, measured_alone
from pipeline.planner.machine import Machine

MEMORY = ".machine.json"
VALID_SECONDS = 24 * 3600


def rates_of(machine: Machine, store: Path) -> Rates:
    """Return the machine's rates: those remembered in the store, or measured now."""
    path = store / MEMORY
    known = _remembered(path)
    key = f"{machine.processor}, {machine.cores} cores"
    if key not in known:
        known[key] = {"at": time.time(), **asdict(measured_alone())}
        with suppress(OSError):
            store.mkdir(parents=True, exist_ok=True)
            files.write_json(path, known)
    return Rates(**{f.name: known[key][f.name] for f in fields(Rates)})


def _remembered(path: Path) -> dict[str, dict[str, float]]:
    """Return the rates of machines that were measured less than a day ago."""
    wanted = {"at", *(f.name for f in fields(Rates))}
    try:
        found = files.read_json(path)
        fresh = time.time() - VALID_SECONDS
        return {k: v for k, v in found.items() if wanted <= {*v} and v["at"] > fresh}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
