"""Rows over seeds: means with intervals, and differences from a reference, paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

from benchmarks.quality.numbers import Finished
from pipeline.arrays import Floats
from pipeline.measure.stats.bootstrap import intervals
from pipeline.measure.stats.draws import LEVEL, Draws, Interval


@dataclass(frozen=True)
class OverSeeds:
    """A mean over seeds with its 95 % t-interval; a single seed has none."""

    value: float
    low: float | None
    high: float | None
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "OverSeeds":
        """Return the mean of one value a seed."""
        n, mean = len(values), fmean(values)
        if n < 2:
            return cls(mean, None, None, n)
        error = float(np.std(values, ddof=1)) / np.sqrt(n)
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * float(error)
        return cls(mean, mean - half, mean + half, n)

    def text(self, sign: str = "") -> str:
        """Return ``0.0754 [0.0731, 0.0778]``, with a plus sign where ``sign`` is one."""
        mean = format(self.value, f"{sign}.4f")
        if self.low is None:
            return mean
        return f"{mean} [{self.low:{sign}.4f}, {self.high:{sign}.4f}]"


@dataclass(frozen=True)
class Variant:
    """A row: a model of an entry, by the seeds that are complete."""

    entry: str
    model: str
    runs: Mapping[int, Finished]

    @property
    def name(self) -> str:
        """Return ``ENTRY/MODEL``, as a plan's reference spells it."""
        return f"{self.entry}/{self.model}"

    def values(self, split: str, metric: str) -> dict[int, float]:
        """Return one number by seed; a seed whose report lacks it is left out."""
        found = {}
        for seed, run in self.runs.items():
            for number in run.numbers_of(self.model, [split], [metric]):
                found[seed] = float(number["value"])
        return found


@dataclass(frozen=True)
class Difference:
    """A variant less the reference, on one metric of one split."""

    metric: str
    seeds: OverSeeds
    """Of the differences of means, seed by seed."""
    users: Interval | None
    """Of the per-user differences of means over seeds, users resampled; None where the two were
    not measured on the same users."""


def differences(
    variant: Variant, reference: Variant, split: str, metrics: Sequence[str], draws: Draws
) -> list[Difference]:
    """Return how a variant differs from the reference on the seeds that both have."""
    both = [[side.values(split, m) for m in metrics] for side in (variant, reference)]
    shared = [s for s in variant.runs if all(s in values for side in both for values in side)]
    if not shared:
        return []
    users = _over_users(variant, reference, split, metrics, shared)
    found = [None] * len(metrics) if users is None else intervals(users, draws)
    return [
        Difference(m, OverSeeds.of([ours[s] - theirs[s] for s in shared]), by_user)
        for m, ours, theirs, by_user in zip(metrics, *both, found, strict=True)
    ]


def _over_users(
    variant: Variant, reference: Variant, split: str, metrics: Sequence[str], seeds: list[int]
) -> Floats | None:
    """Return per-user differences of means over seeds, (B, M); None if the users differ."""
    sides = []
    for each in (variant, reference):
        read = [each.runs[seed].per_user(each.model, split, metrics) for seed in seeds]
        sides.append((read[0][0], np.mean([values for _, values in read], axis=0)))
    (users, ours), (others, theirs) = sides
    same = _tables(variant, seeds) == _tables(reference, seeds) and np.array_equal(users, others)
    return ours - theirs if same else None


def _tables(variant: Variant, seeds: list[int]) -> set[str]:
    return {variant.runs[seed].made["etl"].fingerprint for seed in seeds}
