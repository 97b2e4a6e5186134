"""What differs between two runs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.measure.track.protocol import flattened

_COSTS = ("wall_seconds", "cpu_seconds", "peak_rss_bytes", "energy_joules", "grams_co2e")


@dataclass(frozen=True)
class Change:
    """One thing that is not the same in both."""

    name: str
    a: Any
    b: Any

    @property
    def by(self) -> float | None:
        """Return how much more the second is, where both are numbers."""
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in (self.a, self.b)):
            return float(self.b) - float(self.a)
        return None


@dataclass(frozen=True)
class Difference:
    """Two runs side by side; what is the same is left out."""

    a: str
    b: str
    config: list[Change]
    git: list[Change]
    environment: list[Change]
    costs: list[Change]
    """Of the steps that both runs made: ``train/wall_seconds``."""
    metrics: list[Change]

    def as_json(self) -> dict[str, Any]:
        """Return the whole as JSON values."""
        return asdict(self)


def diff(a: Mapping[str, Any], b: Mapping[str, Any]) -> Difference:
    """Return what differs between two runs: settings, code, machine, costs and metrics."""
    return Difference(
        a["run_id"],
        b["run_id"],
        [*changes(a.get("config"), b.get("config"))],
        [*changes(a.get("git"), b.get("git"))],
        [*changes(a.get("environment"), b.get("environment"))],
        [*_costs(a, b)],
        [c for c in changes(a.get("metrics"), b.get("metrics")) if not _is_cost(c.name)],
    )


def changes(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> Iterator[Change]:
    """Yield what differs between two nested mappings, by dotted name; None is what one lacks."""
    left, right = flattened(a or {}), flattened(b or {})
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            yield Change(name, left.get(name), right.get(name))


def _costs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    left, right = a.get("steps", {}), b.get("steps", {})
    for step in left:
        if step in right and left[step]["made"] and right[step]["made"]:
            for name in _COSTS:
                found = left[step]["cost"].get(name), right[step]["cost"].get(name)
                if found[0] != found[1]:
                    yield Change(f"{step}/{name}", *found)


def _is_cost(name: str) -> bool:
    return name.rpartition("/")[2] in _COSTS
