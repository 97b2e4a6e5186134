"""Costs beside what others measure of the same load: agreement, as a table.

OMP_NUM_THREADS=1 python -m benchmarks.measure_accuracy [--scale 1.0] [--json]

Known loads (sleep, matrix products, an allocation, a file written and read back) run in a process
of their own, under ``/usr/bin/time -v`` (Debian: ``apt-get install time``) and, where the system
lets us make one, in a control group of their own. Beside the counters of both stand what the load
is known to take, and for the products the totals of torch's profiler. Agreement is the smaller of
both numbers over the larger. A reference that this machine cannot give is left out, with the reason
on standard error.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TIME = Path("/usr/bin/time")
WANTED = 0.95
CGROUPS = Path("/sys/fs/cgroup")
_BLOCK, _KIBIBYTE = 512, 1024

Known = tuple[str, float, str]
"""A quantity, what it is known to be, and by whom."""


@dataclass(frozen=True)
class Line:
    """One number of a load, as we and as somebody else measured it."""

    load: str
    quantity: str
    ours: float
    theirs: float
    reference: str

    @property
    def agreement(self) -> float:
        """Return the smaller over the larger; 1 where both are nothing."""
        low, high = sorted((abs(self.ours), abs(self.theirs)))
        return low / high if high else 1.0


def sleep(scale: float) -> Iterator[Known]:
    """Sleep; yields the wall time that it is known to take."""
    time.sleep(scale)
    yield "wall_seconds", scale, "known"


def products(scale: float) -> Iterator[Known]:
    """Multiply matrices under torch's profiler; yields the processor time that it counts."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    square = torch.rand(1024, 1024)
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as taken:
        from pipeline import measure

        with measure.task("products") as task:
            for _ in range(max(4, round(40 * scale))):
                square @ square
    assert task.cost is not None
    total = sum(event.self_cpu_time_total for event in taken.key_averages()) / 1e6
    yield "products_wall_seconds", total, "torch.profiler"


def allocation(scale: float) -> Iterator[Known]:
    """Fill memory; yields how much."""
    import numpy as np

    size = round(400e6 * scale)
    block = np.ones(size, np.int8)
    assert block[-1]
    yield "grown_bytes", float(size), "known"


def storage(scale: float) -> Iterator[Known]:
    """Write a file to storage and read it back from there; yields its size, twice."""
    size = round(100e6 * scale) // 4096 * 4096
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        while file.read(1 << 20):
            pass
    yield "written_bytes", float(size), "known"
    yield "read_bytes", float(size), "known"


LOADS: Mapping[str, Callable[[float], Iterator[Known]]] = {
    "sleep": sleep, "products": products, "allocation": allocation, "storage": storage,
}  # fmt: skip


def run_here(load: str, scale: float) -> dict[str, Any]:
    """Return what we measured of a load that is run in this process, and what is known of it.

    Shapes of the answer: ``inside`` is of the load alone, ``whole`` of the process since its start.
    """
    import numpy  # noqa: F401 - its start is no part of a load

    from pipeline import measure
    from pipeline.measure.counters import counters

    before = counters().rss_bytes() or 0
    with measure.task(load) as task:
        known = [*LOADS[load](scale)]
    cost = task.cost
    assert cost is not None
    inside = {key: value for key, value in cost.as_dict().items() if isinstance(value, int | float)}
    inside["grown_bytes"] = (cost.peak_rss_bytes or 0) - before
    for each in cost.tasks:
        inside[f"{each.name}_wall_seconds"] = each.cost.wall_seconds
    whole = counters().read()._asdict()
    if cost.peak_rss_bytes is not None:  # the mark was set back when the task began
        whole["peak_rss_bytes"] = max(cost.peak_rss_bytes, whole["peak_rss_bytes"])
    return {"inside": inside, "whole": whole, "known": known}


def lines_of(load: str, scale: float, said: Callable[[str], None]) -> list[Line]:
    """Return the comparisons of one load, run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.measure_accuracy", "--inside", load]
    command += ["--scale", str(scale)]
    with tempfile.TemporaryDirectory() as folder, _groups(said) as groups:
        timed = Path(folder) / "time.txt"
        if TIME.exists():
            command = [str(TIME), "-v", "-o", str(timed), *command]
        else:
            said(f"no {TIME}: apt-get install time")
        printed = subprocess.run(_within(groups, command), check=True, capture_output=True).stdout
        ours = json.loads(printed)
        others = _of_time(timed) if timed.exists() else []
        others += _of_groups(groups)
    lines = [Line(load, q, ours["inside"][q], value, by) for q, value, by in ours["known"]]
    lines += [Line(load, q, ours["whole"][q], value, by) for q, value, by in others]
    return [line for line in lines if _says_something(line)]


def _says_something(line: Line) -> bool:
    """Return whether a load moves a quantity at all: noise agrees with nothing."""
    least = {"cpu_seconds": 0.2, "peak_rss_bytes": 1e8, "read_bytes": 1e6, "written_bytes": 1e6}
    return line.theirs >= least.get(line.quantity, 0.0)


def _of_time(path: Path) -> list[Known]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.strip().rpartition(": ")
        found[name] = value
    name = "time -v"
    cpu = float(found["User time (seconds)"]) + float(found["System time (seconds)"])
    return [
        ("cpu_seconds", cpu, name),
        ("peak_rss_bytes", _KIBIBYTE * float(found["Maximum resident set size (kbytes)"]), name),
        ("read_bytes", _BLOCK * float(found["File system inputs"]), name),
        ("written_bytes", _BLOCK * float(found["File system outputs"]), name),
    ]


@contextmanager
def _groups(said: Callable[[str], None]) -> Iterator[list[Path]]:
    """Yield control groups of our own, of the first or the second kind; none where refused."""
    parents = [CGROUPS] if (CGROUPS / "cgroup.procs").exists() else []
    parents = parents or [CGROUPS / name for name in ("cpuacct", "memory")]
    made = []
    try:
        for parent in parents:
            group = parent / f"measure-accuracy-{os.getpid()}"
            group.mkdir()
            made.append(group)
    except OSError as error:
        said(f"no control group: {error.strerror} ({error.filename})")
    try:
        yield made
    finally:
        for group in made:
            group.rmdir()


def _within(groups: Sequence[Path], command: Sequence[str]) -> list[str]:
    """Return the command as one that joins the groups first."""
    joins = "".join(f"echo $$ > '{group}/cgroup.procs'; " for group in groups)
    return ["sh", "-c", f'{joins}exec "$@"', "sh", *command]


def _of_groups(groups: Sequence[Path]) -> list[Known]:
    found = []
    for group in groups:
        if (usage := group / "cpuacct.usage").exists():
            found.append(("cpu_seconds", int(usage.read_text()) / 1e9, "cgroup"))
        if (stat := group / "cpu.stat").exists() and "usage_usec" in (text := stat.read_text()):
            found.append(("cpu_seconds", int(text.split()[1]) / 1e6, "cgroup"))
    return found


def printed(lines: Sequence[Line]) -> str:
    """Return the table."""
    columns = f"{'load':<11} {'quantity':<22} {'ours':>14} {'theirs':>14} {'agree':>7}  reference"
    rows = [
        f"{e.load:<11} {e.quantity:<22} {e.ours:>14,.3f} {e.theirs:>14,.3f} "
        f"{100 * e.agreement:>6.1f}%  {e.reference}"
        for e in lines
    ]
    return "\n".join([columns, *rows])


def main() -> None:
    """Print the table; the exit code is 1 where a number agrees by less than is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--inside", choices=LOADS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(run_here(asked.inside, asked.scale)), flush=True)
        os._exit(0)  # what a library does at its end is no part of the load, and others count it
    said: list[str] = []
    lines = [line for load in LOADS for line in lines_of(load, asked.scale, said.append)]
    for sentence in dict.fromkeys(said):
        print(sentence, file=sys.stderr)
    records = [{**asdict(line), "agreement": round(line.agreement, 4)} for line in lines]
    print("\n".join(map(json.dumps, records)) if asked.json else printed(lines))
    if any(line.agreement < WANTED for line in lines):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
