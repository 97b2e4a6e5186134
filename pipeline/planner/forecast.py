"""The forecast of a run: every step's time, memory and disk, and of all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.flow import Step
from pipeline.measure.forecast import NextRun
from pipeline.planner.counts import Counts
from pipeline.planner.machine import Machine


@dataclass(frozen=True)
class Range:
    """A number with what it may be at least and at most."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, factor: float) -> "Range":
        """Return a value that may be wrong by a factor."""
        return cls(value, value / factor, value * factor)

    def as_json(self) -> dict[str, float]:
        """Return the three numbers."""
        return {"expected": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class StepForecast:
    """What one step is expected to take."""

    step: Step
    seconds: Range
    """Expected; of a training that may stop early, ``high`` is that of all epochs."""
    memory: Range
    """Bytes at the peak."""
    disk: float
    """Bytes written."""
    mode: str
    """What is chosen where the configuration leaves a choice."""
    runs: int
    """Past runs that put the formula right; 0 where it stands alone."""
    epochs: int | None = None
    """Epochs expected, of a model that trains in epochs."""
    past: NextRun | None = None
    """What comparable runs of this store say alone, where there are enough."""

    @property
    def by(self) -> str:
        """Return what the numbers rest on."""
        return f"{self.runs} past run{'s' * (self.runs > 1)}" if self.runs else "formula"

    def as_json(self) -> dict[str, Any]:
        """Return everything a program may want to know."""
        return {
            "step": self.step.name,
            "stage": self.step.stage.name,
            "fingerprint": self.step.fingerprint,
            "seconds": self.seconds.as_json(),
            "memory_bytes": self.memory.as_json(),
            "disk_bytes": self.disk,
            "mode": self.mode,
            "by": "past runs" if self.runs else "formula",
            "past_runs": self.runs,
            "epochs": self.epochs,
            "past_runs_say": None if self.past is None else _as_json(self.past),
        }


def _as_json(past: NextRun) -> dict[str, Any]:
    seconds, memory = past.seconds, past.memory_bytes
    return {
        "seconds": seconds and seconds.as_dict(),
        "memory_bytes": memory and memory.as_dict(),
    }


@dataclass(frozen=True)
class Forecast:
    """What the steps that are to be made will take, on this machine."""

    steps: Sequence[StepForecast]
    complete: Sequence[Step]
    """Steps whose artifacts exist."""
    counts: Counts
    machine: Machine
    seconds: Range
    """From the first to the last, side by side where they may run so."""
    memory: Range
    """At the worst moment, of all steps that run at once."""
    together: Sequence[str]
    """Names of the steps that run at that moment."""
    disk: float
    cures: Sequence[str] = ()
    """Settings that would help, where it does not fit."""

    @property
    def fits(self) -> bool:
        """Return whether at least the lower end fits into memory, and disk suffices."""
        return self.memory.low <= self.machine.memory and self.disk <= self.machine.disk

    def as_json(self) -> dict[str, Any]:
        """Return everything a program may want to know."""
        return {
            "fits": self.fits,
            "what_would_help": [*self.cures],
            "steps": [each.as_json() for each in self.steps],
            "complete": [step.name for step in self.complete],
            "counts": {
                "users": self.counts.users,
                "items": self.counts.items,
                "interactions": self.counts.interactions,
                "exact": self.counts.exact,
                "source": self.counts.source,
            },
            "machine": {
                "name": self.machine.name,
                "processor": self.machine.processor,
                "cores": self.machine.cores,
                "memory_bytes": self.machine.memory,
                "disk_bytes": self.machine.disk,
            },
            "seconds": self.seconds.as_json(),
            "memory_bytes": self.memory.as_json(),
            "memory_of": [*self.together],
            "disk_bytes": self.disk,
        }
