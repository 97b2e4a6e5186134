"""Peak memory and speed of the etl stage by size of the log: one process per size, real readers.

python benchmarks/etl_memory.py --sizes 200000,2000000 --limit 300MB --threads 2
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import measure
from pipeline.config import DataConfig, EtlConfig, RuntimeConfig
from pipeline.etl.stage import run
from pipeline.job import Job

CHUNK = 100_000


def write_log(path: Path, lines: int) -> None:
    """Write a rating log with a heavy tail: an eighth as many users, a twentieth as many items."""
    chance = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("user,item,rating,timestamp\n")
        for start in range(0, lines, CHUNK):
            size = min(CHUNK, lines - start)
            users = (lines / 8 * chance.random(size) ** 2).astype(int)
            items = (lines / 20 * chance.random(size) ** 3).astype(int)
            stars = chance.integers(1, 6, size)
            days = chance.integers(11_000, 16_000, size) * 86_400
            rows = zip(users, items, stars, days, strict=True)
            file.writelines(f"A{u:012d},B{i:08d},{s}.0,{t}\n" for u, i, s, t in rows)


def write_items(path: Path, items: int) -> None:
    """Write a catalogue with about a kilobyte of text per item."""
    with path.open("w") as file:
        for item in range(items):
            text = f"words about item {item} " * 40
            record = {"key": f"B{item:08d}", "title": f"Item {item}", "description": text}
            file.write(json.dumps(record) + "\n")


def one(lines: int, limit: str, threads: int) -> dict[str, Any]:
    """Return the cost of the stage for one size, in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_log(folder / "log.csv", lines)
        write_items(folder / "items.jsonl", lines // 20)
        raw = sum(path.stat().st_size for path in folder.iterdir())
        (folder / "into").mkdir()
        data = DataConfig(
            format="table", interactions=folder / "log.csv", items=folder / "items.jsonl",
            columns={"weight": "rating"},
        )  # fmt: skip
        begun = time.perf_counter()
        with measure.task("etl") as task:
            job = Job(
                config=EtlConfig(user_core=3, item_core=3), data=data, inputs={},
                into=folder / "into", scratch=folder / "scratch", task=task, threads=threads,
                runtime=RuntimeConfig(memory_limit=limit),
            )  # fmt: skip
            facts = run(job)
    assert task.cost is not None
    return {
        "interactions": lines,
        "raw_bytes": raw,
        "kept": facts["counts"]["interactions"],
        "core_rounds": facts["core_rounds"],
        "peak_rss_bytes": task.cost.peak_rss_bytes,
        "wall_seconds": round(time.perf_counter() - begun, 2),
    }


def main() -> None:
    """Print one record per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="200000,2000000")
    parser.add_argument("--limit", default="300MB")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", type=int)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one, asked.limit, asked.threads)))
        return
    for size in asked.sizes.split(","):
        again = ["--limit", asked.limit, "--threads", str(asked.threads), "--one", size]
        done = subprocess.run([sys.executable, __file__, *again], check=True, capture_output=True)
        print(done.stdout.decode().strip())


if __name__ == "__main__":
    main()
