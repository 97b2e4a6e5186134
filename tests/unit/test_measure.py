"""Measuring code is tested with known loads and a fake clock."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from pipeline import measure
from pipeline.measure import progress
from pipeline.measure.counters import counters
from pipeline.measure.progress import Bar, Event

MEGABYTE = 1_000_000


class Ear:
    def __init__(self):
        self.events: list[Event] = []

    def hear(self, event):
        self.events.append(event)


def test_wall_and_cpu_time_differ_for_sleep_and_work():
    with measure.task("sleep") as slept:
        time.sleep(0.2)
    with measure.task("work") as worked:
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
    assert slept.cost.wall_seconds >= 0.2
    assert slept.cost.cpu_seconds < 0.1
    assert worked.cost.cpu_seconds >= 0.2


def test_what_is_not_measured_is_none():
    with measure.task("nothing") as task:
        pass
    assert task.cost.energy_joules is None
    assert task.cost.as_dict()["energy_source"] == "none"


PEAKS = """
import json, numpy as np
from pipeline import measure
def load(): np.ones(50_000_000, dtype=np.int8).sum()
with measure.task("outer") as outer:
    {before}
    with measure.task("large") as large:
        {inside}
    with measure.task("small") as small:
        pass
names = [child.name for child in outer.children]
peaks = [t.cost.peak_rss_bytes for t in (outer, large, small)]
print(json.dumps([names, *peaks]))
"""


def peaks(before: str, inside: str) -> list:
    """Run the tasks in a fresh interpreter, as stages do: a used heap hides an allocation."""
    code = PEAKS.format(before=before, inside=inside)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


resettable = pytest.mark.skipif(
    not counters().resettable, reason="the system cannot set the peak back"
)


@resettable
def test_a_peak_belongs_to_the_task_that_had_it():
    names, outer, large, small = peaks(before="pass", inside="load()")
    assert names == ["large", "small"]
    assert large - small > 40 * MEGABYTE
    assert outer >= large


@resettable
def test_a_peak_before_a_nested_task_is_not_forgotten():
    _, outer, large, _ = peaks(before="load()", inside="pass")
    assert outer - large > 40 * MEGABYTE


def test_a_failed_task_still_has_its_cost():
    with pytest.raises(ValueError, match="broken"), measure.task("fails") as task:
        raise ValueError("broken")
    assert task.cost is not None


def test_a_bar_tells_the_start_the_end_and_little_between(monkeypatch):
    clock = iter(np.arange(0, 1000, 0.01))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    ear = Ear()
    bar = Bar("b", 100, "items", ear)
    for _ in range(100):
        bar.advance(note="n")
    bar.close()
    assert ear.events[0] == Event("b", 0, 100, "items")
    assert ear.events[-1] == Event("b", 100, 100, "items", True, "n")
    assert len(ear.events) < 30
    assert [e.done for e in ear.events] == sorted(e.done for e in ear.events)


def test_a_nested_task_inherits_the_listener():
    ear = Ear()
    with measure.task("outer", ear), measure.task("inner") as inner:
        with inner.progress("counting", 2, "things") as bar:
            bar.advance(2)
    assert ear.events[-1].bar == "inner: counting"
    assert ear.events[-1].finished


def test_the_console_draws_rate_and_name(capsys):
    with measure.Console() as console:
        console.hear(Event("embed: text", 5, 10, "items"))
        console.hear(Event("embed: text", 10, 10, "items", finished=True))
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "embed: text" in drawn.err
    assert "items/s" in drawn.err
