"""What a piece of work took, with units in names; None means not measured, never zero."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

NO_SOURCE = "none"


@dataclass(frozen=True)
class Energy:
    """What a meter counted between its start and its stop."""

    joules: float | None
    grams_co2e: float | None
    source: str
    """How it was found: counters of the processor or GPU, or an estimate."""


class Meter(Protocol):
    """Counts the energy of what happens between its start and its stop."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> Energy:
        """Return what was counted since the start."""


class NoMeter:
    """Counts nothing: the energy is not known."""

    def start(self) -> None:
        """Begin nothing."""

    def stop(self) -> Energy:
        """Return that nothing is known."""
        return Energy(None, None, NO_SOURCE)


@dataclass(frozen=True)
class Throughput:
    """How much was done, and how fast."""

    count: int
    unit: str
    per_second: float


@dataclass(frozen=True)
class Cost:
    """What a task took. None means not measured; zero would be a lie."""

    wall_seconds: float
    cpu_seconds: float
    """Of this process and of the children that it waited for."""
    peak_rss_bytes: int | None = None
    """Of this process."""
    energy_joules: float | None = None
    grams_co2e: float | None = None
    energy_source: str = NO_SOURCE
    mean_rss_bytes: int | None = None
    """Over the task's time, from samples; None where no sample fell into it."""
    read_bytes: int | None = None
    """From storage; what the page cache held is not counted."""
    written_bytes: int | None = None
    """To storage, now or when the page cache is written back."""
    gpu_peak_bytes: int | None = None
    gpu_utilisation_share: float | None = None
    """Mean share of the time in which the GPU worked, from 0 to 1."""
    throughput: Throughput | None = None
    tasks: "Sequence[TaskCost]" = ()
    """What was inside, in order of first appearance; tasks of one name together."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        speed = asdict(self.throughput) if self.throughput else None
        return {**vars(self), "throughput": speed, "tasks": [each.as_dict() for each in self.tasks]}


@dataclass(frozen=True)
class TaskCost:
    """The cost of the nested tasks of one name."""

    name: str
    times: int
    """How often the task was done; times, energy and I/O are sums, peaks are the highest."""
    cost: Cost

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, those of the cost beside the name."""
        return {"name": self.name, "times": self.times, **self.cost.as_dict()}


def together(costs: Iterable[TaskCost]) -> list[TaskCost]:
    """Return one cost for each name, in order of first appearance."""
    found: dict[str, list[TaskCost]] = {}
    for each in costs:
        found.setdefault(each.name, []).append(each)
    return [_joined(name, same) for name, same in found.items()]


def _joined(name: str, same: list[TaskCost]) -> TaskCost:
    if len(same) == 1:
        return same[0]
    times = sum(each.times for each in same)
    return TaskCost(name, times, sum_of([each.cost for each in same]))


def sum_of(costs: Sequence[Cost]) -> Cost:
    """Return the cost of tasks done one after another; unknown where that of any is unknown.

    Peaks are the highest known: a task too short for a sample says nothing against the others.
    """
    wall = sum(c.wall_seconds for c in costs)
    return Cost(
        wall_seconds=wall,
        cpu_seconds=sum(c.cpu_seconds for c in costs),
        peak_rss_bytes=_highest(c.peak_rss_bytes for c in costs),
        energy_joules=_total([c.energy_joules for c in costs]),
        grams_co2e=_total([c.grams_co2e for c in costs]),
        energy_source=", ".join(sorted({c.energy_source for c in costs})),
        mean_rss_bytes=_whole(_mean([(c.wall_seconds, c.mean_rss_bytes) for c in costs])),
        read_bytes=_whole(_total([c.read_bytes for c in costs])),
        written_bytes=_whole(_total([c.written_bytes for c in costs])),
        gpu_peak_bytes=_highest(c.gpu_peak_bytes for c in costs),
        gpu_utilisation_share=_mean([(c.wall_seconds, c.gpu_utilisation_share) for c in costs]),
        throughput=_throughput([c.throughput for c in costs], wall),
        tasks=together(each for c in costs for each in c.tasks),
    )


def _highest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _mean(weighted: Sequence[tuple[float, float | None]]) -> float | None:
    """Return the mean of the known values, each weighted by its time."""
    known = [(max(seconds, 1e-12), value) for seconds, value in weighted if value is not None]
    weight = sum(seconds for seconds, _ in known)
    return sum(seconds * value for seconds, value in known) / weight if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _throughput(found: Sequence[Throughput | None], seconds: float) -> Throughput | None:
    known = [each for each in found if each is not None]
    units = {each.unit for each in known}
    if len(known) < len(found) or len(units) != 1:
        return None
    return throughput(sum(each.count for each in known), units.pop(), seconds)


def throughput(count: int, unit: str, seconds: float) -> Throughput:
    """Return how fast ``count`` were done."""
    return Throughput(count, unit, count / max(seconds, 1e-9))


def with_energy(cost: Cost, energy: Energy) -> Cost:
    """Return the cost with what a meter counted."""
    return replace(
        cost,
        energy_joules=energy.joules,
        grams_co2e=energy.grams_co2e,
        energy_source=energy.source,
    )
