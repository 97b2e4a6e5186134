"""How well runs are foretold: makes three sizes, compares, and fits the coefficients again.

python -m benchmarks.planner_accuracy --make DIR        run three sizes into DIR/store, and compare
python -m benchmarks.planner_accuracy STORE ...         compare what lies in these stores
python -m benchmarks.planner_accuracy STORE ... --refit write pipeline/planner/coefficients.json
    --only etl,rank,train:gat --since 2026-11-21T14:40    these stages and models, from then on

Measured seconds are wall seconds, or processor seconds where other work kept a stage waiting, as
in the planner. "calibrated" foretells a run from the other sizes of the store, never from a run of
the same tables.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from scipy.optimize import nnls

from pipeline import files
from pipeline.artifacts import Store
from pipeline.planner import costs
from pipeline.planner.history import History, Past
from pipeline.planner.machine import Machine, this_machine
from pipeline.planner.probe import Rates, rates_of

SCALES = (0.004, 0.016, 0.06)
WITHIN_MEMORY, WITHIN_TIME = 1.25, 1.4
PRIOR = 0.03
"""Weight of one coefficient's first guess against one run. Where amounts grow alike in all runs, as
those of ``train:gat`` do, more keeps every one of them from becoming nothing."""
PRIORS = {"train:gat": 0.1}
FIRST_TIME = {"gemm": 2.0, "copy": 3.0, "gather": 2.0, "python": 10.0, "parse": 1.0}
FIRST_MEMORY = 1.2
FIRST_START = 1.0
"""Seconds."""

CONFIG = {
    "name": "planner",
    "data": {"format": "amazon-reviews"},
    "etl": {"user_core": 5, "item_core": 5},
    "embed": {"text": {"encoder": "tiny"}, "image": None},
    "train": {
        "model": "gat", "loss": "softmax", "negatives": 256, "init_std": 0.1,
        "weight_decay": 1e-2, "epochs": 3,
    },
    "rank": {"second": "ease"},
    "baselines": {
        "popularity": {"model": "popularity"},
        "item_knn": {"model": "item_knn"},
        "ease": {"model": "ease"},
        "lightgcn": {"model": "lightgcn", "overrides": {"init_std": 0.1, "epochs": 3}},
    },
}  # fmt: skip


def main() -> None:
    """Make, compare or fit, as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="*", type=Path)
    parser.add_argument("--make", type=Path)
    parser.add_argument("--refit", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--since", default="", help="leave out older runs: 2026-11-21T14:40")
    asked = parser.parse_args()
    stores = [*asked.stores, *([make(asked.make)] if asked.make else [])]
    machine = this_machine(stores[0])
    rates = rates_of(machine, stores[-1])
    pooled: dict[str, list[Past]] = {}
    for store in stores:
        for key, found in runs_of(store, machine, rates).items():
            fresh = [past for past in found if past.made.manifest["created_at"] >= asked.since]
            if fresh:
                pooled.setdefault(key, []).extend(fresh)
    wanted = set(asked.only.split(",")) if asked.only else {*pooled}
    if asked.refit:
        refit({key: found for key, found in pooled.items() if key in wanted}, rates)
    for key in sorted(wanted & {*pooled}):
        report(key, pooled[key], rates)


def make(folder: Path) -> Path:
    """Return a store in which three sizes were run."""
    for scale in SCALES:
        data, config = folder / f"data-{scale}", folder / f"{scale}.yaml"
        if not data.exists():
            plotpointe("data", "make", "--like", "amazon-2014", "--scale", scale, "--out", data)
        raw = {
            "interactions": str((data / "reviews_2014.json.gz").resolve()),
            "items": str((data / "meta_2014.json.gz").resolve()),
        }
        config.write_text(yaml.safe_dump({**CONFIG, "data": {**CONFIG["data"], **raw}}))
        plotpointe("run", config, "--store", folder / "store")
    return folder / "store"


def plotpointe(*arguments: object) -> None:
    """Run the command line."""
    subprocess.run([sys.executable, "-m", "pipeline.cli", *map(str, arguments)], check=True)


def runs_of(store: Path, machine: Machine, rates: Rates) -> Mapping[str, list[Past]]:
    """Return the runs of a store by stage or model."""
    history = History(Store(store), machine, rates)
    return {key: [*history.runs(key)] for key in history.keys()}


def refit(runs: Mapping[str, list[Past]], rates: Rates) -> None:
    """Write the coefficients that explain the runs best; stages without a run keep theirs."""
    table = files.read_json(costs.COEFFICIENTS)
    table["others"] = {**FIRST_TIME, "memory": FIRST_MEMORY}
    for key, found in runs.items():
        prior = PRIORS.get(key, PRIOR)
        fitted_now = {**_time(found, rates, prior), **_memory(found, prior)}
        for part in ("time", "memory"):  # what these runs did not do keeps its coefficient
            fitted_now[part] = {**table["stages"].get(key, {}).get(part, {}), **fitted_now[part]}
        table["stages"][key] = fitted_now
    files.write_json(costs.COEFFICIENTS, table)
    costs._table.cache_clear()


def _time(runs: list[Past], rates: Rates, prior: float) -> dict[str, Any]:
    works = [costs.work_of(past.section, past.scene) for past in runs]
    first = {n: FIRST_TIME[a.rate] for w in works for n, a in w.time.items()}
    rows = [
        {"": 1.0, **{n: a.count / getattr(rates, a.rate) for n, a in work.time.items()}}
        for work in works
    ]
    spent = [float(past.made.manifest["cost"]["cpu_seconds"]) for past in runs]
    found = fitted(rows, spent, {"": FIRST_START, **first}, prior)
    return {"start": round(found.pop("") * rates.python), "time": _short(found)}


def _memory(runs: list[Past], prior: float) -> dict[str, Any]:
    works = [costs.work_of(past.section, past.scene) for past in runs]
    rows = [{"": 1e9, **work.memory} for work in works]
    peaks = [past.memory for past in runs]
    first = {n: FIRST_MEMORY for w in works for n in w.memory}
    found = fitted(rows, peaks, {"": 0.9 * min(peaks) / 1e9, **first}, prior)
    return {"base": round(found.pop("") * 1e9), "memory": _short(found)}


def _short(found: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def fitted(
    rows: list[dict[str, float]], wanted: list[float], first: Mapping[str, float], prior: float
) -> dict[str, float]:
    """Return non-negative coefficients by relative least squares, drawn a little to first guesses.

    Runs of like size count together as one, so that a hundred of one size do not drown the others.
    """
    names = [*first]
    alike = np.array([round(np.log(max(w, 1e-3)) * 2) for w in wanted])
    weights = np.array([1 / np.sqrt((alike == a).sum()) for a in alike])
    amounts = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    data = amounts / np.asarray(wanted)[:, None] * weights[:, None]
    guesses = np.array([first[name] for name in names])
    system = np.vstack([data, np.diag(prior / guesses)])
    target = np.concatenate([weights, np.full(len(names), prior)])
    return dict(zip(names, nnls(system, target)[0].tolist(), strict=True))


def report(key: str, runs: list[Past], rates: Rates) -> None:
    """Print foretold / measured of one stage, by size of its data."""
    sizes = sorted({past.scene.counts.interactions for past in runs})
    for size in sizes:
        alike = [past for past in runs if past.scene.counts.interactions == size]
        others = [past for past in runs if past.scene.counts.interactions != size]
        seconds, memory, calibrated = [], [], []
        for past in alike:
            cost = costs.cost_of(past.section, past.scene, rates)
            seconds.append(cost.seconds / past.seconds)
            memory.append(cost.memory / past.memory)
            ratios = History.ratios_from(others, past.section, past.scene, rates)
            calibrated.append(
                (
                    cost.seconds * ratios.seconds / past.seconds,
                    cost.memory * ratios.memory / past.memory,
                )
            )
        typical = median(past.seconds for past in alike)
        print(
            f"{key:18} {size:>9,} interactions {len(alike):3} runs, {typical:7.1f} s: "
            f"time x{median(seconds):.2f}{_mark(seconds, WITHIN_TIME)} "
            f"memory x{median(memory):.2f}{_mark(memory, WITHIN_MEMORY)} | calibrated "
            f"time x{median(c[0] for c in calibrated):.2f}"
            f"{_mark([c[0] for c in calibrated], WITHIN_TIME)} "
            f"memory x{median(c[1] for c in calibrated):.2f}"
            f"{_mark([c[1] for c in calibrated], WITHIN_MEMORY)}"
        )  # fmt: skip


def _mark(ratios: Iterable[float], within: float) -> str:
    middle = median(ratios)
    return " " if 1 / within <= middle <= within else "!"


if __name__ == "__main__":
    main()
