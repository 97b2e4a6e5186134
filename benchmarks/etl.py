"""Raw gzip to tables at the shape of Amazon Electronics: our stage beside plain pandas and DuckDB.

python -m benchmarks.etl [--scales 0.015625,0.0625,0.25] [--ways ours,pandas,duckdb]
    [--limit 4GB] [--threads 2] [--data DIR]

Every measurement is a process of its own, its memory that of the whole tree of processes, looked
at many times a second. The peers do less, and what they do in the usual way:

- ``pandas``: ``read_json(lines=True)`` of the reviews and ``ast.literal_eval`` of the metadata (no
  library reads Python literals), last of duplicates, the 5-core, rows for keys, Parquet. No
  rejects, no split, no cleaned texts, no report.
- ``duckdb``: ``read_json`` of the reviews alone into Parquet; the metadata are no JSON.
"""

import argparse
import ast
import gzip
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline import measure
from pipeline.config import DataConfig, EtlConfig, RuntimeConfig, SplitConfig
from pipeline.etl.generate import AmazonSpec, make_electronics
from pipeline.etl.generate.files import METADATA, REVIEWS
from pipeline.etl.stage import run
from pipeline.job import Job

Record = dict[str, Any]
_CORE = 5
_LOOK_SECONDS = 0.02
_NARROW = 8
"""Width of the vectors of pictures, which this stage does not read."""


def ours(data: Path, into: Path, limit: str, threads: int) -> None:
    """Run our stage."""
    (into / "tables").mkdir()
    with measure.task("etl") as task:
        run(
            Job(
                config=EtlConfig(
                    user_core=_CORE, item_core=_CORE, split=SplitConfig(rule="random")
                ),
                data=DataConfig(
                    format="amazon-reviews", interactions=data / REVIEWS, items=data / METADATA
                ),
                inputs={}, into=into / "tables", scratch=into / "scratch", task=task,
                threads=threads, runtime=RuntimeConfig(memory_limit=limit),
            )
        )  # fmt: skip


def pandas(data: Path, into: Path, limit: str, threads: int) -> None:
    """Do what a notebook does."""
    import pandas as pd

    del limit, threads
    log = pd.read_json(data / REVIEWS, lines=True, compression="gzip")
    log = log[["reviewerID", "asin", "overall", "unixReviewTime"]]
    log = log.sort_values("unixReviewTime", kind="stable")
    log = log.drop_duplicates(["reviewerID", "asin"], keep="last")
    before = -1
    while before != len(log):
        before = len(log)
        for column in ("reviewerID", "asin"):
            log = log[log.groupby(column)[column].transform("size") >= _CORE]
    with gzip.open(data / METADATA, "rt", encoding="utf-8") as file:
        items = pd.DataFrame([ast.literal_eval(line) for line in file])
    items = items.drop_duplicates("asin", keep="last").reset_index(drop=True)
    kept = ["asin", "title", "description", "brand", "categories", "price", "imUrl"]
    items[kept].to_parquet(into / "items.parquet")
    rows = pd.Series(items.index, index=items["asin"])
    log["user"] = pd.factorize(log["reviewerID"], sort=True)[0]
    log["item"] = rows.reindex(log["asin"]).to_numpy()
    log[["user", "item", "overall", "unixReviewTime"]].to_parquet(into / "interactions.parquet")


def duckdb(data: Path, into: Path, limit: str, threads: int) -> None:
    """Read and write the reviews."""
    import duckdb as engine

    settings: dict[str, Any] = {"threads": threads, "memory_limit": limit}
    with engine.connect(config=settings) as connection:
        connection.execute(
            f"""COPY (SELECT reviewerID, asin, overall, unixReviewTime
                FROM read_json('{data / REVIEWS}', format = 'newline_delimited'))
                TO '{into / "reviews.parquet"}' (FORMAT parquet)"""
        )


WAYS = {"ours": ours, "pandas": pandas, "duckdb": duckdb}
READS = {"ours": "both", "pandas": "both", "duckdb": "reviews"}


def watched(command: list[str]) -> tuple[float, float, int]:
    """Return seconds, CPU seconds and peak resident bytes of a command and all its children."""
    import psutil

    begun, peak, cpu = time.perf_counter(), 0, 0.0
    with subprocess.Popen(command) as child:
        tree = psutil.Process(child.pid)
        while child.poll() is None:
            with suppress(psutil.Error):
                family = [tree, *tree.children(recursive=True)]
                peak = max(peak, sum(each.memory_info().rss for each in family))
                spent = [each.cpu_times() for each in family]
                cpu = max(cpu, sum(each.user + each.system for each in spent))
            time.sleep(_LOOK_SECONDS)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return time.perf_counter() - begun, cpu, peak


def records(folder: Path, asked: argparse.Namespace) -> Iterator[Record]:
    """Yield one record per scale and way, each beside pandas at the same scale."""
    ways = asked.ways.split(",")
    for scale in (float(scale) for scale in asked.scales.split(",")):
        spec, data = AmazonSpec.scaled(2014, scale), folder / f"{scale:g}"
        if not (data / METADATA).exists():
            make_electronics(data, spec, _NARROW)
        counts = {"reviews": spec.interactions, "both": spec.interactions + spec.items}
        seconds: dict[str, float] = {}
        for way in sorted(ways, key=[*WAYS].index, reverse=True):
            with tempfile.TemporaryDirectory(dir=folder) as into:
                again = [sys.executable, "-m", "benchmarks.etl", "--one", way, "--into", into]
                again += ["--data", str(data), "--limit", asked.limit]
                again += ["--threads", str(asked.threads)]
                seconds[way], cpu, peak = watched(again)
            yield {
                "scale": scale,
                "way": way,
                "records": counts[READS[way]],
                "raw_bytes": sum((data / name).stat().st_size for name in (REVIEWS, METADATA)),
                "seconds": round(seconds[way], 2),
                "cpu_seconds": round(cpu, 2),
                "peak_bytes": peak,
                "records_per_second": round(counts[READS[way]] / seconds[way]),
                "times_pandas": round(seconds[way] / seconds["pandas"], 3)
                if "pandas" in seconds
                else None,
            }


def growth(found: list[Record]) -> list[Record]:
    """Return by way and step between scales the exponents of time, CPU time and memory."""
    steps = []
    for way in WAYS:
        own = [record for record in found if record["way"] == way]
        for low, high in pairwise(own):
            times = math.log(high["records"] / low["records"])
            exponents = {
                name: round(math.log(high[name] / low[name]) / times, 3)
                for name in ("seconds", "cpu_seconds", "peak_bytes")
            }
            steps.append({"way": way, "from": low["scale"], "to": high["scale"], **exponents})
    return steps


def main() -> None:
    """Print one record per scale and way, then the growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", default="0.015625,0.0625,0.25")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--limit", default="4GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="a folder to keep the generated files in")
    parser.add_argument("--one", choices=[*WAYS])
    parser.add_argument("--into", type=Path)
    asked = parser.parse_args()
    if asked.one:
        WAYS[asked.one](asked.data, asked.into, asked.limit, asked.threads)
        return
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = asked.data or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for record in records(folder, asked):
            found.append(record)
            print(json.dumps(record), flush=True)
    for step in growth(found):
        print(json.dumps(step))


if __name__ == "__main__":
    main()
