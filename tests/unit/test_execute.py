"""Steps run in their own processes, resume, fail in words and leave nothing half-made."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline import errors, execute
from pipeline.artifacts import SCRATCH, Store
from pipeline.config import Config, DataConfig, RuntimeConfig, TrainConfig
from pipeline.errors import DataError, StageFailedError
from pipeline.flow import Stage, Step
from pipeline.hashing import fingerprint
from pipeline.measure.progress import Event, Heard, Metrics, Silent
from tests.end_to_end.shop import heed_interrupts

CONFIG = Config(name="test", data=DataConfig(format="demo"), seed=7)


class Recorder:
    def __init__(self) -> None:
        self.events: list[Heard] = []

    def hear(self, event: Heard) -> None:
        self.events.append(event)


def step(door: str, name: str = "train", needs: dict[str, Step] | None = None) -> Step:
    stage = Stage(name.split(":")[0], "model", f"tests.doors.{door}", 1)
    request = {"stage": name, "inputs": {k: s.fingerprint for k, s in (needs or {}).items()}}
    return Step(name, stage, TrainConfig(), needs or {}, fingerprint(request), request)


@pytest.fixture(params=["in_process", "processes"])
def runner(request):
    return execute.InProcess() if request.param == "in_process" else execute.Processes(Silent())


def tally(store: Store) -> list[str]:
    path = store.root / "tally.txt"
    return path.read_text().split() if path.exists() else []


def leftovers(store: Store) -> list[str]:
    """Drafts and scratch folders that a finished run should not leave."""
    drafts = [p.name for p in store.root.glob("*/.*") if p.is_dir() and p.parent.name != SCRATCH]
    return [d for d in drafts if "." in d[1:]]


def test_a_step_becomes_an_artifact_with_its_cost(tmp_path, runner):
    store, only = Store(tmp_path / "s"), step("writes")
    made = execute.run([only], CONFIG, store, runner)["train"]
    assert made.json("value.json")["value"] == 7
    assert made.facts == {"made": True}
    assert made.manifest["cost"]["wall_seconds"] > 0
    assert made.manifest["cost"]["peak_rss_bytes"] > 1e6
    assert made.manifest["cost"]["energy_joules"] > 0
    assert made.manifest["cost"]["energy_source"].startswith(("estimate: ", "rapl", "nvml"))
    assert made.manifest["environment"]["grid"]["place"]
    assert made.manifest["environment"]["python"].startswith("3.")
    assert not (store.root / SCRATCH / "train" / only.fingerprint).exists()


def test_a_second_run_does_nothing(tmp_path, runner):
    store, only = Store(tmp_path / "s"), step("writes")
    execute.run([only], CONFIG, store, runner)
    fresh = []
    execute.run([only], CONFIG, store, runner, told=lambda s, a, now: fresh.append(now))
    assert fresh == [False]
    assert tally(store) == ["train"]


def test_force_makes_it_again(tmp_path, runner):
    store, only = Store(tmp_path / "s"), step("writes")
    execute.run([only], CONFIG, store, runner)
    execute.run([only], CONFIG, store, runner, force=True)
    assert tally(store) == ["train", "train"]


def test_a_step_waits_for_what_it_needs(tmp_path, runner):
    store = Store(tmp_path / "s")
    first = step("writes", "train:first")
    second = step("writes", "train", {"model": first})
    execute.run([second, first], CONFIG, store, runner)
    assert tally(store) == ["train:first", "train"]


def test_a_missing_input_names_the_command_that_makes_it(tmp_path, runner):
    first = step("writes", "train:first")
    second = step("writes", "train", {"model": first})
    with pytest.raises(errors.ArtifactError, match="plotpointe run CONFIG --to train"):
        execute.run([second], CONFIG, Store(tmp_path / "s"), runner)


def test_a_refusal_crosses_the_process_border_as_itself(tmp_path, runner):
    store = Store(tmp_path / "s")
    with pytest.raises(DataError, match="give one with items"):
        execute.run([step("refuses")], CONFIG, store, runner)
    assert leftovers(store) == []
    assert store.all("model") == []


def test_what_a_stage_prints_is_no_part_of_the_command_s_answer(tmp_path, capfd):
    execute.run([step("prints")], CONFIG, Store(tmp_path / "s"), execute.Processes(Silent()))
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.split("\n")[:2] == ["from Python", "from below"]


@pytest.mark.parametrize(
    ("door", "words"),
    [
        ("is_killed", "SIGKILL.*same command resumes"),
        ("has_a_bug", "has a bug(.|\n)*ZeroDivisionError"),
        ("fills_the_disk", "No space left.*vectors.npy.*another --store"),
    ],
)
def test_a_dead_process_is_explained(tmp_path, door, words):
    store = Store(tmp_path / "s")
    with pytest.raises(StageFailedError, match=words):
        execute.run([step(door)], CONFIG, store, execute.Processes(Silent()))
    assert store.all("model") == []


def test_a_killed_draft_is_swept_by_the_next_run(tmp_path):
    store, only = Store(tmp_path / "s"), step("is_killed")
    with pytest.raises(StageFailedError):
        execute.run([only], CONFIG, store, execute.Processes(Silent()))
    assert len(leftovers(store)) == 1
    execute.run([step("writes")], CONFIG, store, execute.Processes(Silent()))
    assert leftovers(store) == []


def test_independent_steps_run_side_by_side(tmp_path):
    store = Store(tmp_path / "s")
    both = [step("meets", "train"), step("meets", "train:other")]
    made = execute.run(both, CONFIG, store, execute.Processes(Silent()))
    assert len(made) == 2


def test_side_by_side_is_bounded(tmp_path):
    alone = CONFIG.model_copy(update={"runtime": RuntimeConfig(side_by_side=1)})
    started: list[str] = []

    class Counting(execute.InProcess):
        def start(self, order):
            started.append(order.step.name)
            assert self.running() == 0
            super().start(order)

    both = [step("writes", "train"), step("writes", "train:other")]
    execute.run(both, alone, Store(tmp_path / "s"), Counting())
    assert started == ["train", "train:other"]


def test_progress_comes_back_from_the_child(tmp_path):
    ear = Recorder()
    execute.run([step("writes")], CONFIG, Store(tmp_path / "s"), execute.Processes(ear))
    assert ear.events[0] == Event("train: writing", 0, 1, "files")
    assert ear.events[-1].finished
    assert ear.events[-1].done == 1


@pytest.mark.parametrize("runner", [execute.InProcess, execute.Processes])
def test_logged_numbers_come_back_and_nested_costs_are_kept(tmp_path, runner):
    ear = Recorder()
    made = execute.run([step("logs")], CONFIG, Store(tmp_path / "s"), runner(ear))["train"]
    told = [(e.task, e.step, e.values) for e in ear.events if isinstance(e, Metrics)]
    assert told == [("train/fit", 1, {"loss": 1.0}), ("train/fit", 2, {"loss": 0.5})]
    assert [each["name"] for each in made.manifest["cost"]["tasks"]] == ["fit"]


def test_a_child_has_its_own_peak_memory(tmp_path):
    store = Store(tmp_path / "s")
    runner = execute.Processes(Silent())
    large = execute.run([step("allocates")], CONFIG, store, runner)["train"]
    small = execute.run([step("writes", "train:small")], CONFIG, store, runner)["train:small"]
    peaks = [a.manifest["cost"]["peak_rss_bytes"] for a in (large, small)]
    assert peaks[0] - peaks[1] > 200e6


def test_threads_depend_on_the_flow_and_not_on_what_is_cached():
    config = CONFIG.model_copy(update={"runtime": RuntimeConfig(threads=4)})
    names = ["etl", "train", "evaluate", "index"]
    steps = [step("writes", name) for name in names]
    assert execute.threads_of(steps, config) == {"etl": 4, "train": 4, "evaluate": 2, "index": 2}


PARENT = """
import sys
sys.path.insert(0, {root!r})
import tests.unit.test_execute as t
from pathlib import Path
if __name__ == "__main__":
    runner = t.execute.Processes(t.Silent())
    t.execute.run([t.step("sleeps")], t.CONFIG, t.Store(Path({store!r})), runner)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_child_ends_with_its_parent(tmp_path, how):
    store = tmp_path / "s"
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(root=str(Path.cwd()), store=str(store)))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.DEVNULL, preexec_fn=heed_interrupts
    )
    child = int(_read_soon(store / "pid"))
    os.kill(parent.pid, how)
    parent.wait(30)
    psutil.wait_procs([p for p in _process(child)], timeout=30)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


def _process(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return []


def _read_soon(path: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def test_the_manifest_holds_what_was_asked(tmp_path, runner):
    store, only = Store(tmp_path / "s"), step("writes")
    made = execute.run([only], CONFIG, store, runner)["train"]
    on_disk = json.loads((made.path / "manifest.json").read_text())
    assert on_disk["fingerprint"] == fingerprint(only.request)
    assert set(on_disk["files"]) == {"value.json"}
