"""The whole pipeline on the reference load at several sizes: what each stage takes, how it grows.

python -m benchmarks.growth --folder DIR [--scales 0.0625,0.25,1] [--to index]
    [--set train.epochs=3] [--plot growth.png]

Makes the load where it is missing, runs ``configs/amazon-electronics.yaml`` by the command line as
a user would, and reads the cost of every artifact: stages that are complete are not made again, and
their cost is that of when they were. Exponents are slopes of log seconds and log bytes between
sizes that follow one another; one is growth in proportion.
"""

import argparse
import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.artifacts import Store

CONFIG = "configs/amazon-electronics.yaml"
_PROGRAM = 250e6
"""Bytes of a stage's program and libraries, which do not grow with the load."""

Record = dict[str, Any]


def load(folder: Path, scale: float) -> Path:
    """Return the folder of the load of a scale, made if it is missing."""
    data = folder / f"load-{scale:g}"
    if not (data / "image_vectors.npy").is_file():
        command = ["data", "make", "--like", "amazon-electronics", "--scale", f"{scale:g}"]
        plotpointe([*command, "--out", str(data)])
    return data


def plotpointe(arguments: list[str]) -> str:
    """Return what the command line prints.

    Raises:
        SystemExit: it failed; its messages are shown.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"plotpointe {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


def stages(folder: Path, scale: float, to: str, changes: list[str]) -> list[Record]:
    """Return what every stage took at a scale."""
    data = load(folder.resolve(), scale)  # a path of a setting starts at the configuration
    paths = {
        "data.interactions": data / "reviews_Electronics_5.json.gz",
        "data.items": data / "meta_Electronics.json.gz",
        "data.images": data / "images",
        "data.vectors.image": data / "image_vectors.npy",
    }
    settings = [f"{name}={path}" for name, path in paths.items()] + changes
    sets = [part for setting in settings for part in ("--set", setting)]
    store = folder / "store"
    said = plotpointe(
        ["run", CONFIG, "--store", str(store), "--to", to, "--json", "--no-plan", *sets]
    )
    made = Store(store)
    return [
        {
            "scale": scale,
            "stage": step,
            "seconds": round(cost["wall_seconds"], 1),
            "cpu_seconds": round(cost["cpu_seconds"], 1),
            "peak_bytes": cost["peak_rss_bytes"],
        }
        for step, about in json.loads(said).items()
        if (artifact := made.find(about["kind"], about["fingerprint"]))
        and (cost := artifact.manifest["cost"])
    ]


def exponents(records: list[Record]) -> list[Record]:
    """Return the slopes of processor time, and of memory beside the program's, by stage."""
    found = []
    for stage in dict.fromkeys(record["stage"] for record in records):
        sizes = sorted((r for r in records if r["stage"] == stage), key=lambda r: r["scale"])
        for small, large in pairwise(sizes):
            times = math.log(large["scale"] / small["scale"])
            seconds = math.log(large["cpu_seconds"] / max(0.1, small["cpu_seconds"]))
            grown = [max(1e7, r["peak_bytes"] - _PROGRAM) for r in (small, large)]
            found.append(
                {
                    "stage": stage,
                    "from": small["scale"],
                    "to": large["scale"],
                    "time": round(seconds / times, 2),
                    "memory": round(math.log(grown[1] / grown[0]) / times, 2),
                }
            )
    return found


def plot(records: list[Record], path: Path) -> None:
    """Draw processor time and memory of every stage over the size of the load, both logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, sides = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    wanted = (("cpu_seconds", "processor seconds", 1.0), ("peak_bytes", "peak memory, GB", 1e9))
    for axes, (key, label, unit) in zip(sides, wanted, strict=True):
        for stage in dict.fromkeys(record["stage"] for record in records):
            own = sorted((r for r in records if r["stage"] == stage), key=lambda r: r["scale"])
            sizes, amounts = [r["scale"] for r in own], [r[key] / unit for r in own]
            axes.plot(sizes, amounts, marker="o", label=stage)
        scales = sorted({record["scale"] for record in records})
        start = min(r[key] / unit for r in records if r["scale"] == scales[0])
        axes.plot(scales, [start * x / scales[0] for x in scales], "k:", label="in proportion")
        axes.set(xscale="log", yscale="log", xlabel="share of the reference load", ylabel=label)
        axes.grid(visible=True, alpha=0.3)
    sides[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print one record as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--scales", default="0.0625,0.25,1")
    parser.add_argument("--to", default="index")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    records = []
    for scale in map(float, given.scales.split(",")):
        records += stages(given.folder, scale, given.to, given.changes)
    if given.plot:
        plot(records, given.plot)
    print(json.dumps({"theme": "growth", "stages": records, "exponents": exponents(records)}))


if __name__ == "__main__":
    main()
