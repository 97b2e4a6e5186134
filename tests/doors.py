"""Fake stages, run through the real processes: each door does one awkward thing."""

import os
import signal
import sys
import time
from types import ModuleType

import numpy as np

from pipeline import files, measure
from pipeline.errors import DataError


def _door(name: str):
    def keep(function):
        module = ModuleType(f"tests.doors.{name}")
        module.run = function
        sys.modules[module.__name__] = module
        return function

    return keep


@_door("writes")
def writes(job):
    """Write what is asked, count the runs of this step in a file beside the store."""
    with job.task.progress("writing", total=1, unit="files") as bar:
        files.write_json(job.into / "value.json", {"value": job.seed, "threads": job.threads})
        bar.advance()
    tally = job.scratch.parents[2] / "tally.txt"
    with tally.open("a") as log:
        log.write(job.task.name + "\n")
    return {"made": True}


@_door("prints")
def prints(job):
    """Print, as libraries do below Python as well: DuckDB draws a bar on what takes seconds."""
    sys.stdout.write("from Python\n")
    sys.stdout.flush()
    os.write(1, b"from below\n")
    return {}


@_door("refuses")
def refuses(job):
    files.write_json(job.into / "half.json", {})
    raise DataError("the catalogue is empty: give one with items")


@_door("is_killed")
def is_killed(job):
    files.write_json(job.into / "half.json", {})
    os.kill(os.getpid(), signal.SIGKILL)


@_door("has_a_bug")
def has_a_bug(job):
    return {"x": 1 / 0}


@_door("fills_the_disk")
def fills_the_disk(job):
    raise OSError(28, "No space left on device", str(job.into / "vectors.npy"))


@_door("meets")
def meets(job):
    """End only when another step runs at the same time."""
    folder = job.scratch.parents[2]
    (folder / f"here-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("here-*"))) < 2:
        if time.monotonic() > deadline:
            raise DataError("nobody else came")
        time.sleep(0.01)
    return {}


@_door("sleeps")
def sleeps(job):
    (job.scratch.parents[2] / "pid").write_text(str(os.getpid()))
    time.sleep(120)
    return {}


@_door("logs")
def logs(job):
    """Log one number at each of two steps, from a task inside the stage's."""
    with measure.task("fit") as task:
        for step in (1, 2):
            task.log({"loss": 1 / step}, step)
    files.write_json(job.into / "value.json", {})
    return {}


@_door("allocates")
def allocates(job):
    return {"sum": float(np.ones(30_000_000).sum())}


@_door("works_on")
def works_on(job):
    """Leave half a file and keep a processor busy for longer than any test waits."""
    files.write_json(job.into / "half.json", {})
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass
    return {}


@_door("tells_its_energy")
def tells_its_energy(job):
    first = job.energy()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    return {"joules": [first.joules, job.energy().joules]}
