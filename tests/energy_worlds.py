"""Fakes of what meters read: powercap counters, a GPU library, and accounts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from pipeline.measure.energy.account import Entry

WRAPS_AT = 262_143_328_850


def powercap(root: Path, microjoules: list[int], names: list[str] | None = None) -> Path:
    """Return a folder like /sys/class/powercap, with a sub-domain in each package."""
    for at, count in enumerate(microjoules):
        for folder, name in ((f"intel-rapl:{at}", f"package-{at}"), (f"intel-rapl:{at}:0", "core")):
            place = root / folder
            place.mkdir(parents=True)
            (place / "name").write_text((names[at] if names and name != "core" else name) + "\n")
            (place / "energy_uj").write_text(f"{count}\n")
            (place / "max_energy_range_uj").write_text(f"{WRAPS_AT}\n")
    return root


def count_up(root: Path, microjoules: list[int]) -> None:
    for at, more in enumerate(microjoules):
        for folder in (f"intel-rapl:{at}", f"intel-rapl:{at}:0"):
            path = root / folder / "energy_uj"
            path.write_text(f"{(int(path.read_text()) + more) % WRAPS_AT}\n")


class Library:
    """Like pynvml, for GPUs that draw what the test says."""

    class NVMLError(Exception):
        pass

    def __init__(self, millijoules: list[float | None], watts: float = 100.0) -> None:
        self.millijoules, self.watts = millijoules, watts
        self.users: list[list[int]] = [[] for _ in millijoules]
        self.busy = 0

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, at: int) -> int:
        return at

    def nvmlDeviceGetTotalEnergyConsumption(self, at: int) -> float:
        counted = self.millijoules[at]
        if counted is None:
            raise self.NVMLError
        return counted

    def nvmlDeviceGetPowerUsage(self, at: int) -> float:
        return self.watts * 1000

    def nvmlDeviceGetComputeRunningProcesses(self, at: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in self.users[at]]

    def nvmlDeviceGetUtilizationRates(self, at: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=self.busy)


START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def entry(
    name: str = "train", after: float = 10.0, seconds: float = 10.0, **named: object
) -> Entry:
    """Return an entry that ended so many seconds after the start."""
    usual = {
        "project": "demo", "stage": name.partition(":")[0], "run": "r1", "joules": 3600.0,
        "grams": 0.4, "source": "rapl", "place": "DEU", "factor": (400.0, "a table", "2023"),
    }  # fmt: skip
    ended = START + timedelta(seconds=after)
    return Entry(**{"name": name, "ended_at": ended, "wall_seconds": seconds, **usual, **named})
