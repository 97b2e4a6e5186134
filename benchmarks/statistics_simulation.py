"""Do the statistics keep their word? Simulated users whose truth is known, and how often it is hit.

python -m benchmarks.statistics_simulation [--times 4000] [--users 200,1000,5000] [--out FILE]

Every record has what was counted, out of how many, the 99 % interval of its share (Clopper and
Pearson 1934), and what was promised. Prints the table and writes it to ``benchmarks/results``.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import betaln, xlogy

from benchmarks.statistics_worlds import World, related, seeded
from pipeline.measure.alarms import find_change_points, regression_alarm
from pipeline.measure.stats.bootstrap import bca_intervals
from pipeline.measure.stats.contrast import difference_intervals
from pipeline.measure.stats.corrections import holm
from pipeline.measure.stats.draws import ALPHA, Draws, Floats, Interval
from pipeline.measure.stats.permutation import sign_flip_p
from pipeline.measure.stats.power import least_effect, power_of
from pipeline.measure.stats.seeds import spread

METRICS = ("hit", "recall", "ndcg", "novelty")
RESULTS = Path(__file__).with_name("results")
_TOGETHER = 200
"""Simulated samples that are resampled with the same weights."""
_RESAMPLES = 2000
_LARGE = 4_000_000
_FAMILY_USERS = 1000
"""Families of more users take too long: each of them is resampled thousands of times."""


@dataclass(frozen=True)
class Record:
    """How often something happened, and how often it should."""

    what: str
    world: str
    users: int
    count: int
    of: int
    promised: str
    expected: float | None = None
    """The share that was foretold, where it was."""

    @property
    def share(self) -> float:
        """Return how often it happened."""
        return self.count / self.of

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the 99 % interval of the share."""
        found = stats.binomtest(self.count, self.of).proportion_ci(0.99, "exact")
        return float(found.low), float(found.high)

    def as_json(self) -> dict[str, object]:
        """Return the record with its share and bounds."""
        return asdict(self) | {"share": self.share, "bounds": self.bounds}


def _covered(intervals: list[Interval | None], truth: float) -> int:
    return sum(each is not None and each.low <= truth <= each.high for each in intervals)


def coverage(world: World, users: int, times: int, seed: int) -> list[Record]:
    """Return how often 95 % intervals of a mean, a difference and a ratio hold the truth."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(3, dtype=int)
    for at in range(0, times, _TOGETHER):
        ours, theirs = world.draw(users, min(_TOGETHER, times - at), rng)
        draws = Draws(_RESAMPLES, seed + at)
        absolute, relative = difference_intervals(ours - theirs, theirs, draws)
        counts += [
            _covered([*bca_intervals(ours, draws)], world.mean),
            _covered([*absolute], world.difference),
            _covered(relative, world.effect),
        ]
    names = ("mean", "difference", "relative difference")
    return [
        Record(
            f"95 % interval of the {name} covers", world.name, users, int(c), times, "94 to 96 %"
        )
        for name, c in zip(names, counts, strict=True)
    ]


def false_alarms(users: int, times: int, seed: int) -> list[Record]:
    """Return how often comparisons of equal models are significant: each, and any after Holm."""
    rng = np.random.default_rng(seed)
    alarms = first = 0
    for at in range(times):
        apart = related(users, rng)
        draws = Draws(1000, seed + at).enough_for(apart.shape[1])
        p_values = sign_flip_p(apart, draws)
        alarms += bool((holm(p_values) < ALPHA).any())
        first += bool(p_values[0] < ALPHA)
    world, promised = "hits, 4 depths x 3 slices", "at most 5 %"
    return [
        Record("A/A: any of 12 comparisons significant after Holm", world, users, alarms, times,
               promised),
        Record("A/A: one comparison significant by itself", world, users, first, times, promised),
    ]  # fmt: skip


def power(world: str, users: int, times: int, seed: int, wanted: float = 0.8) -> Record:
    """Return how often an effect is found that is foretold to be found ``wanted`` of the time."""
    rng = np.random.default_rng(seed)
    error = _deviation(World(world)) / np.sqrt(users)
    least = least_effect(error, users - 1, ALPHA, wanted)
    effective = World(world, least / (World(world).mean - least))
    error = _deviation(effective) / np.sqrt(users)
    foretold = power_of(effective.difference, error, users - 1, ALPHA)
    found = 0
    for at in range(0, times, _TOGETHER):
        ours, theirs = effective.draw(users, min(_TOGETHER, times - at), rng)
        found += int((sign_flip_p(ours - theirs, Draws(_RESAMPLES, seed + at)) < ALPHA).sum())
    what = f"effect of {effective.effect:.0%} found"
    return Record(what, world, users, found, times, f"{foretold:.1%} foretold", foretold)


def _deviation(world: World) -> float:
    """Return the standard deviation of a user's difference, from very many users."""
    ours, theirs = world.draw(_LARGE, 1, np.random.default_rng(9))
    return float((ours - theirs).std())


def seeds(counts: tuple[int, int], users: int, times: int, seed: int) -> list[Record]:
    """Return how often intervals over seeds hold the truth, and those over users alone."""
    rng = np.random.default_rng(seed)
    both = users_alone = 0
    for _ in range(times):
        ours, theirs = seeded(users, counts, 0.02, rng)
        value = float(ours.mean() - theirs.mean())
        interval = spread(ours, theirs).interval(value)
        both += interval.low <= 0 <= interval.high
        apart = ours.mean(axis=0) - theirs.mean(axis=0)
        users_alone += abs(value) <= 1.96 * apart.std(ddof=1) / np.sqrt(users)
    world = f"{counts[0]} and {counts[1]} seeds"
    return [
        Record(
            "95 % interval over seeds and users covers", world, users, both, times, "94 to 96 %"
        ),
        Record("the same over users alone", world, users, users_alone, times, "shown as a warning"),
    ]


def gate(users: int, times: int, seed: int) -> Record:
    """Return how often a candidate exactly at a gate's bound passes it."""
    world = World("recall", -0.05)
    rng = np.random.default_rng(seed)
    passed = 0
    for at in range(0, times, _TOGETHER):
        ours, theirs = world.draw(users, min(_TOGETHER, times - at), rng)
        _, relative = difference_intervals(ours - theirs, theirs, Draws(_RESAMPLES, seed + at))
        passed += sum(each is not None and each.low >= world.effect for each in relative)
    return Record(
        "gate passed by a candidate at its bound", "recall", users, passed, times, "2.5 %"
    )


def monitored(rate: float, times: int, answers: int, every: int, seed: int) -> list[Record]:
    """Return how often experiments of equal arms are ever decided, looked at all along."""
    rng = np.random.default_rng(seed)
    ours = naive = 0
    n = np.arange(every, answers + 1, every)
    for _ in range(times):
        yes = np.cumsum(rng.random((2, answers)) < rate, axis=1)[:, every - 1 :: every]
        both, mixture = yes.sum(axis=0), sum(betaln(k + 0.5, n - k + 0.5) for k in yes)
        pooled = both / (2 * n)
        likely = xlogy(both, pooled) + xlogy(2 * n - both, 1 - pooled)
        ours += bool((mixture - 2 * betaln(0.5, 0.5) - likely >= -np.log(ALPHA)).any())
        error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
        naive += bool((np.abs(yes[1] - yes[0]) / n > 1.96 * error).any())
    world = f"rate {rate:.0%}, {answers:,} users an arm, looked at after every {every}"
    return [
        Record("A/A: always-valid interval ever decides", world, answers, ours, times,
               "at most 5 %"),
        Record("A/A: z-test ever decides", world, answers, naive, times, "shown as a warning"),
    ]  # fmt: skip


def run_times(count: int, rng: np.random.Generator) -> Floats:
    """Return seconds of runs: skewed, one in twenty on a busy machine.

    Shapes:
        returns: (N,).
    """
    usual = 10 * (1 + rng.gamma(2, 0.01, count))
    return np.where(rng.random(count) < 0.05, usual * 3, usual)


def alarms(times: int, seed: int) -> Iterator[Record]:
    """Yield how often runs that did not change raise an alarm, and a 5 % slower one does."""
    rng = np.random.default_rng(seed)
    for alpha in (0.01, 0.05):
        found = sum(
            bool(find_change_points(run_times(40, rng), alpha=alpha, seed=seed + at))
            for at in range(times)
        )
        promised = f"at most {alpha:.0%}"
        yield Record("change found where there is none", "40 run times", 40, found, times, promised)
    for slower, what in ((1.0, "alarm of equal runs"), (1.1, "alarm of runs slower by 10 %")):
        raised = sum(
            regression_alarm(run_times(10, rng), slower * run_times(5, rng)).raised
            for _ in range(times)
        )
        promised = "at most 1 %" if slower == 1 else "shown"
        yield Record(what, "10 and 5 run times", 15, raised, times, promised)


def everything(times: int, sizes: list[int]) -> Iterator[Record]:
    """Yield every record; ``times`` simulated samples each."""
    for users in sizes:
        for name in METRICS:
            for effect in (0.0, 0.1):
                yield from coverage(World(name, effect), users, times, 1)
            yield power(name, users, times, 2)
        if users <= _FAMILY_USERS:
            yield from false_alarms(users, times // 2, 3)
        yield gate(users, times, 4)
    for counts in ((3, 3), (5, 5), (10, 10), (5, 1)):
        yield from seeds(counts, 1000, times, 5)
    for rate in (0.02, 0.2):
        yield from monitored(rate, times, 20_000, 10, 7)
    yield from alarms(times, 6)


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=4000)
    parser.add_argument("--users", default="200,1000,5000")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    records = []
    for record in everything(given.times, [int(each) for each in given.users.split(",")]):
        low, high = record.bounds
        print(f"{record.share:7.2%} [{low:.2%}, {high:.2%}]  {record.promised:>16}  {record.what}, "
              f"{record.world}, {record.users} users", flush=True)  # fmt: skip
        records.append(record.as_json())
    now = datetime.now(UTC)
    out = given.out or RESULTS / f"statistics_simulation_{now:%Y%m%d}.json"
    about = {"date": f"{now:%Y-%m-%d}", "times": given.times, "resamples": _RESAMPLES}
    out.write_text(json.dumps(about | {"records": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
