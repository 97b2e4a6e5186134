"""Every benchmark of speed, one after another: ratios beside peers in the same run.

python -m benchmarks [--full] [--only knn,training] [--folder DIR]     (make bench, make bench-full)

Prints what it measures and writes it, with machine and date, to ``benchmarks/results``. A peer that
is not installed is skipped with the reason. Minutes; ``--full`` takes the whole reference load and
hours. Quality is measured by ``make quality``.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.measure.processor import machine_name

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Benchmark:
    """A module that prints JSON records, with its arguments for the reduced and the whole set."""

    reduced: tuple[str, ...]
    full: tuple[str, ...]


def benchmarks(folder: Path) -> dict[str, Benchmark]:
    """Return all benchmarks by the name of their module; ``folder`` keeps what they make."""
    kept = str(folder)
    return {
        "etl": Benchmark(("--scales", "0.015625"), ("--scales", "0.015625,0.0625,0.25")),
        "embed_throughput": Benchmark(("--texts", "300"), ()),
        "embed_pictures": Benchmark(("--pictures", "64"), ()),
        "knn": Benchmark(
            ("--items", "31137"), ("--items", "498196", "--ways", "approximate,flat,exact")
        ),
        "propagation": Benchmark((), ()),
        "sampled_softmax": Benchmark((), ()),
        "training": Benchmark(("--scale", "0.0625", "--batch", "8192"), ()),
        "index_recipes": Benchmark(("--items", "31137", "--users", "12025"), ()),
        "bundle_load": Benchmark(
            ("--folder", f"{kept}/small", "--items", "31137", "--users", "12025"),
            ("--folder", f"{kept}/large"),
        ),
        "service_middleware": Benchmark((), ()),
        "measure_overhead": Benchmark(("--pairs", "50"), ()),
        "measure_accuracy": Benchmark(("--json", "--scale", "0.5"), ("--json",)),
        "growth": Benchmark(
            ("--folder", f"{kept}/growth", "--scales", "0.015625", "--set", "train.epochs=3"),
            ("--folder", f"{kept}/growth"),
        ),
        "factorization": Benchmark((f"{kept}/growth/store",), (f"{kept}/growth/store",)),
    }


def records_of(name: str, arguments: tuple[str, ...]) -> tuple[list[dict[str, Any]], str]:
    """Return the JSON records a benchmark printed, and why it failed, if it did."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    found = "".join(_joined(done.stdout))
    decoder, records, at = json.JSONDecoder(), [], 0
    while at < len(found):
        record, at = decoder.raw_decode(found, at)
        records.append(record)
    return records, done.stderr[-2000:] if done.returncode else ""


def _joined(printed: str) -> list[str]:
    """Return the lines of JSON objects without the space between them."""
    begins = printed.find("{")
    return [line.strip() for line in printed[max(0, begins) :].splitlines()] if begins >= 0 else []


def main() -> None:
    """Run the benchmarks and write their records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path, default=Path("artifacts-bench"))
    given = parser.parse_args()
    chosen = [name for name in given.only.split(",") if name]
    results = []
    for name, benchmark in benchmarks(given.folder).items():
        if chosen and name not in chosen:
            continue
        begun = time.perf_counter()
        records, why = records_of(name, benchmark.full if given.full else benchmark.reduced)
        seconds = round(time.perf_counter() - begun, 1)
        print(f"== {name}, {seconds} s {why}", flush=True)
        for record in records:
            print(json.dumps(record), flush=True)
        results.append({"benchmark": name, "seconds": seconds, "failed": why, "records": records})
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{'full' if given.full else 'reduced'}_{now:%Y%m%d_%H%M}.json"
    about = {"date": f"{now:%Y-%m-%d}", "machine": machine_name(), "results": results}
    path.write_text(json.dumps(about, indent=1) + "\n")
    print(f"written to {path}")
    if any(each["failed"] for each in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
