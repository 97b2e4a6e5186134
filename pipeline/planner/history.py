"""Past runs of a stage in the store, and how they put the formula right."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any

from pipeline.artifacts import Artifact, Store
from pipeline.config import EmbedConfig, TrainConfig
from pipeline.errors import PlotpointeError
from pipeline.measure.forecast import NextRun, predicted
from pipeline.measure.rates import Rates
from pipeline.planner.costs import cost_of, key_of
from pipeline.planner.machine import Machine
from pipeline.planner.scene import Scene, Witness, section_of
from pipeline.planner.work_train import learns
from pipeline.schema import KINDS
from pipeline.sections import Section

NEAREST = 5
"""Past runs, of the most like sizes, that put a formula right."""
ENOUGH = 3
"""Past runs that may speak without the formula's level."""
MOST = 60
"""Newest artifacts of a kind that are looked at."""
_FAR = 4.0
"""A run of this many powers of e more or less work says half as much."""
_DOUBT = 0.2
"""What stands against the past runs: with n of them, their ratio counts n / (n + this)."""


@dataclass(frozen=True)
class Past:
    """A run of a stage that this machine made."""

    section: Section
    scene: Scene
    seconds: float
    """Of wall time; of processor time where other work kept the stage waiting."""
    memory: float
    made: Artifact

    @property
    def epochs_share(self) -> float | None:
        """Return the share of the epochs allowed that were run, None where there are none."""
        run, allowed = self.made.facts.get("epochs_run"), self.made.manifest["config"].get("epochs")
        return run / allowed if run and allowed else None


@dataclass(frozen=True)
class Ratios:
    """What past runs took against what the formula says."""

    seconds: float = 1.0
    memory: float = 1.0
    runs: int = 0


class History:
    """The past runs of a store on this machine."""

    def __init__(self, store: Store, machine: Machine, rates: Rates) -> None:
        """Look at nothing yet."""
        self._store, self._machine, self._rates = store, machine, rates
        self._witness = Witness(store)

    @cached_property
    def _runs(self) -> Mapping[str, list[Past]]:
        """Return the runs by the key of their coefficients, newest last."""
        found: dict[str, list[Past]] = {}
        for kind in KINDS:
            for past in self._of_kind(kind):
                found.setdefault(key_of(past.section), []).append(past)
        return found

    def _of_kind(self, kind: str) -> Iterator[Past]:
        for artifact in self._store.all(kind)[-MOST:]:
            past = past_of(artifact, self._witness)
            if past is not None and self._is_ours(artifact):
                yield past

    def _is_ours(self, artifact: Artifact) -> bool:
        environment: Mapping[str, Any] = artifact.manifest.get("environment", {})
        return environment.get("machine") == self._machine.name

    def keys(self) -> Sequence[str]:
        """Return the stages and models that have past runs."""
        return sorted(self._runs)

    def runs(self, key: str) -> Sequence[Past]:
        """Return the past runs of a stage or model."""
        return self._runs.get(key, [])

    def ratios(self, section: Section, scene: Scene) -> Ratios:
        """Return what the runs of the most like sizes took against the formula."""
        return self.ratios_from(self.runs(key_of(section)), section, scene, self._rates)

    @staticmethod
    def ratios_from(runs: Sequence[Past], section: Section, scene: Scene, rates: Rates) -> Ratios:
        """Return what those of the runs that are of the most like sizes took."""
        here = cost_of(section, scene, rates)
        seconds, memory = [], []
        for past in runs:
            there = cost_of(past.section, past.scene, rates)
            apart = _distance(there.cpu_seconds, here.cpu_seconds)
            seconds.append((apart, past.seconds / there.seconds))
            memory.append((_distance(there.memory, here.memory), past.memory / there.memory))
        return Ratios(ratio(seconds), ratio(memory), min(NEAREST, len(seconds)))

    def alone(self, section: Section, scene: Scene) -> NextRun | None:
        """Return what the past runs say without the formula's level; None where they are few.

        The formula tells how much work each was; how much that takes, and how surely, they tell.
        """
        runs = self.runs(key_of(section))
        if len(runs) < ENOUGH:
            return None
        costs = [cost_of(past.section, past.scene, self._rates) for past in runs]
        here = cost_of(section, scene, self._rates)
        times = [({"work": c.seconds}, p.seconds) for c, p in zip(costs, runs, strict=True)]
        peaks = [({"work": c.memory}, p.memory) for c, p in zip(costs, runs, strict=True)]
        return NextRun(
            predicted(times, {"work": here.seconds}), predicted(peaks, {"work": here.memory})
        )

    def epochs_share(self, section: TrainConfig) -> float | None:
        """Return the median share of the allowed epochs that past trainings of a model ran."""
        shares = [past.epochs_share for past in self.runs(key_of(section))]
        known = [share for share in shares if share is not None]
        return median(known) if known else None


def _distance(a: float, b: float) -> float:
    return abs(math.log(max(a, 1e-9) / max(b, 1e-9)))


def ratio(found: Sequence[tuple[float, float]]) -> float:
    """Return the factor for the formula, of (distance in size, measured / formula) of past runs.

    It is the median of the nearest, drawn towards 1 where they are few or far away in size.
    """
    nearest = sorted(found)[:NEAREST]
    if not nearest:
        return 1.0
    trust = len(nearest) / (len(nearest) + _DOUBT)
    trust /= 1 + (median(distance for distance, _ in nearest) / _FAR) ** 2
    return math.exp(trust * math.log(max(1e-6, median(value for _, value in nearest))))


def past_of(artifact: Artifact, witness: Witness) -> Past | None:
    """Return the run that left an artifact; None where that is not known any more."""
    cost: Mapping[str, Any] = artifact.manifest.get("cost", {})
    wall, cpu = cost.get("wall_seconds"), cost.get("cpu_seconds")
    memory = cost.get("peak_rss_bytes")
    if not (wall and cpu and memory):
        return None
    try:
        section = section_of(artifact)
        scene = witness.scene(artifact, section)
    except (PlotpointeError, KeyError, OSError):  # of another version, or no longer readable
        return None
    if scene is None or _from_before(artifact, wall):
        return None
    section = _as_run(section, artifact)
    waited = isinstance(section, EmbedConfig) and section.image is not None
    seconds = wall if waited else min(wall, cpu)
    return Past(section, replace(scene, threads=max(1, scene.threads)), seconds, memory, artifact)


def _from_before(artifact: Artifact, wall: float) -> bool:
    """Return whether most of what an artifact holds was computed by an earlier run."""
    modalities: Mapping[str, Any] = artifact.facts.get("modalities", {})
    took = [about.get("seconds") or 0.0 for about in modalities.values()]
    resumed = any(about.get("resumed") for about in modalities.values())
    return resumed or max(took, default=0.0) > wall


def _as_run(section: Section, artifact: Artifact) -> Section:
    """Return the settings with the number of epochs that were run."""
    run = artifact.facts.get("epochs_run")
    if isinstance(section, TrainConfig) and learns(section) and run:
        return section.model_copy(update={"epochs": int(run)})
    return section
