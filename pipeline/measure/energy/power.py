"""What a processor and memory draw, by CodeCarbon's power models, without loading CodeCarbon.

CodeCarbon's own tracker takes 1.8 s to start in a fresh process (it loads pandas for one table) and
runs two threads; a stage of ours may last half a second. Its tables are read where it is installed,
and the tests hold these models against its classes.
"""

import csv
import importlib.util
import math
import os
import platform
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.measure.processor import CPUINFO, described

WATTS_PER_UNKNOWN_THREAD = 4.0
"""CodeCarbon's assumption where its table does not know the processor."""

IDLE_SHARE = 0.1
"""Of the design power, drawn by a processor that does nothing."""

_SLOT, _SLOT_ARM = 5.0, 1.5
_DISCOUNTS = ((4, 1.0), (8, 0.9), (16, 0.8), (math.inf, 0.7))
"""Watts of a memory module fall with their number: up to so many, by so much."""


@dataclass(frozen=True)
class Processor:
    """The processors of a machine, all of them together."""

    name: str
    threads: int
    watts: float
    """Design power."""
    known: bool
    """Whether the power is that of the model, not an assumption for each thread."""

    def own_watts(self, busy: float) -> float:
        """Return what ``busy`` processors, on average, draw; what is idle is nobody's."""
        return self.watts * busy / self.threads

    def machine_watts(self, share: float) -> float:
        """Return what the machine's processors draw when a share of 0 to 1 is busy."""
        return self.watts * (IDLE_SHARE + (1 - IDLE_SHARE) * share**3)

    @property
    def label(self) -> str:
        """Return what the estimate rests on."""
        how = "its design power" if self.known else "assumed for each thread"
        return f"{self.name}, {self.watts:g} W ({how}) of {self.threads} threads"


def this_processor(watts: float | None = None, cpuinfo: Path = CPUINFO) -> Processor:
    """Return this machine's processors; ``watts`` overrides what the table says of all of them."""
    found = described(cpuinfo)
    threads = os.cpu_count() or 1
    if watts is not None:
        return Processor(found.name, threads, watts, known=True)
    known = design_watts(found.name)
    if known is None:
        return Processor(found.name, threads, threads * WATTS_PER_UNKNOWN_THREAD, known=False)
    return Processor(found.name, threads, known * found.sockets, known=True)


@lru_cache
def design_watts(name: str) -> float | None:
    """Return the design power of one processor by its name, None where it is not known.

    The rule is CodeCarbon's: the same name, or the only one whose words are all in ``name`` or the
    other way round; where several are, none.
    """
    folder = codecarbon_data()
    if folder is None or not name:
        return None
    with (folder / "hardware" / "cpu_power.csv").open(newline="") as file:
        rows = [(row["Name"], row["TDP"]) for row in csv.DictReader(file)]
    # A few rows of the table hold no number.
    table = {known: float(watts) for known, watts in rows if re.fullmatch(r"\d+(\.\d+)?", watts)}
    plain = _plain(name)
    lower = {known.lower(): watts for known, watts in reversed(table.items())}
    for spelled in (name, plain):
        if spelled.lower() in lower:
            return lower[spelled.lower()]
    words = _words(plain)
    close = [watts for known, watts in table.items() if _contain(words, _words(known))]
    return close[0] if len(close) == 1 else None


def _plain(name: str) -> str:
    before = name.replace("(R)", "").partition(" CPU @ ")[0].replace(" CPU", "")
    return re.sub(r" @\s*\d+\.\d+GHz", "", before)


def _words(name: str) -> frozenset[str]:
    return frozenset(re.sub(r"[\W_]", " ", name.lower()).split())


def _contain(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other) and (one <= other or other <= one)


def codecarbon_data() -> Path | None:
    """Return the folder of CodeCarbon's tables, None where it is not installed."""
    found = importlib.util.find_spec("codecarbon")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) / "data" if places else None


def memory_watts(gibibytes: float, *, arm: bool | None = None) -> float:
    """Return what memory of a size draws: so much for each module that one supposes there are."""
    arm = platform.machine().lower().startswith(("arm", "aarch")) if arm is None else arm
    slot = _SLOT_ARM if arm else _SLOT
    left, watts, below = _modules(gibibytes), 0.0, 0.0
    for up_to, discount in _DISCOUNTS:
        here = min(left, up_to - below)
        watts, left, below = watts + slot * discount * here, left - here, up_to
    return max(3.0 if arm else 2 * slot, watts)


def _modules(gibibytes: float) -> float:
    for up_to, modules in ((2, 1), (16, 2), (32, 4), (64, 4), (128, 8)):
        if gibibytes <= up_to:
            return modules
    largest = max(size for size in (4, 8, 16, 32, 64, 128) if size <= gibibytes / 8)
    return min(32, math.ceil(gibibytes / largest))
