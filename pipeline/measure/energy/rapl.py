"""Joules of processor packages as the kernel counts them (RAPL, through powercap)."""

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_MICRO = 1e-6
_SAME_JOULES = 1.0
"""Counters this close are two views of one package, read one after the other."""


@dataclass
class Counter:
    """One package's counter; it wraps around every few minutes at full load."""

    path: Path
    wraps_at: float
    last: float = 0.0

    def joules(self) -> float:
        """Return what was counted since the last call."""
        now = _read(self.path)
        if now is None:
            return 0.0
        before, self.last = self.last, now
        gone = now - before
        return gone if gone >= 0 else max(0.0, gone + self.wraps_at)


def counters(powercap: Path = POWERCAP) -> list[Counter]:
    """Return the readable counter of each package, none where the system shows none.

    Sub-domains (core, uncore, dram) are parts of a package; some processors show one package's
    counter once for each die.
    """
    found: list[Counter] = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        if folder.name.count(":") > 1 or not _text(folder / "name").startswith("package"):
            continue
        joules, wraps = _read(folder / "energy_uj"), _read(folder / "max_energy_range_uj")
        mirrored = joules and any(abs(joules - one.last) <= _SAME_JOULES for one in found)
        if joules is not None and not mirrored:
            found.append(Counter(folder / "energy_uj", wraps or 0.0, joules))
    return found


def _read(path: Path) -> float | None:
    try:
        return int(path.read_text()) * _MICRO
    except (OSError, ValueError):  # only root may read it since 2020
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
