"""The record of a run survives whatever ends the run."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.measure import track
from pipeline.measure.track import JsonLines, Record, Run

RUN = Run("r1", "try", {"rate": 0.1}, {"git": None})


def test_what_is_not_finite_is_null(tmp_path):
    record = JsonLines(tmp_path)
    record.start(RUN)
    record.log("train", {"loss": math.nan, "norm": math.inf, "rate": 0.5}, 1)
    (line,) = Record(tmp_path).lines()
    assert line["metrics"] == {"loss": None, "norm": None, "rate": 0.5}
    record.finish("failed")
    assert Record(tmp_path).about()["metrics"]["train/loss"] is None


def test_a_torn_line_is_left_out_and_the_others_stay(tmp_path):
    record = JsonLines(tmp_path)
    record.start(RUN)
    record.log("train", {"loss": 0.5}, 1)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b"not JSON\n[1]\n" + b'{"epoch_or_step": 2, "metr')
    assert [line["epoch_or_step"] for line in Record(tmp_path).lines()] == [1]


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_run_is_interrupted_and_keeps_its_metrics(tmp_path, after):
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pipeline.measure.track import JsonLines, Run\n"
        "record = JsonLines(Path(sys.argv[1])); record.start(Run('r1', 'try'))\n"
        "for epoch in range(1, 9):\n"
        "    record.log('train', {'loss': 1 / epoch}, epoch)\n"
        "    if epoch == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(after)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    about = Record(tmp_path).about()
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "running"
    assert about["status"] == "interrupted"
    assert about["metrics"] == {"train/loss": 1 / after}
    assert about["ended_at"] >= about["started_at"]


def test_a_living_run_is_running_and_one_that_ended_is_not_alive(tmp_path):
    record = JsonLines(tmp_path)
    record.start(RUN)
    assert Record(tmp_path).alive()
    assert Record(tmp_path).about()["status"] == "running"
    record.finish("done")
    assert not Record(tmp_path).alive()
    assert Record(tmp_path).about()["status"] == "done"


def test_an_end_that_run_json_does_not_know_yet_is_read_from_the_lines(tmp_path):
    record = JsonLines(tmp_path)
    record.start(RUN)
    before = (tmp_path / "run.json").read_bytes()
    record.finish("failed")
    (tmp_path / "run.json").write_bytes(before)
    assert Record(tmp_path).about()["status"] == "failed"


def test_many_threads_write_whole_lines(tmp_path):
    record = JsonLines(tmp_path)
    record.start(RUN)

    def work(name: str) -> None:
        for at in range(50):
            record.log(name, {"value": at}, at)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = Record(tmp_path).lines()
    assert len(lines) == 200
    steps = [line["epoch_or_step"] for line in lines if line["step_name"] == "t2"]
    assert steps == [*range(50)]


@pytest.mark.parametrize(
    ("raised", "status"),
    [(None, "done"), (ValueError, "failed"), (KeyboardInterrupt, "interrupted")],
)
def test_the_block_ends_the_run(tmp_path, raised, status):
    def block() -> None:
        with track.tracking(tmp_path, RUN) as run:
            run.log("train", {"loss": 1.0}, 1)
            if raised:
                raise raised

    if raised:
        with pytest.raises(raised):
            block()
    else:
        block()
    assert Record(tmp_path).about()["status"] == status


def test_what_a_run_began_with_is_read_back(tmp_path):
    JsonLines(tmp_path).start(RUN)
    again = Record(tmp_path).run()
    assert (again.run_id, again.name, again.config) == ("r1", "try", {"rate": 0.1})
    assert again.about["git"] is None


def test_tracking_is_light():
    """The package is for any training script: importing it loads no backend and nothing of ours."""
    script = (
        "import sys, pipeline.measure.track\n"
        "heavy = {'torch', 'pandas', 'duckdb', 'wandb', 'mlflow', 'tensorboard', 'scipy'}\n"
        "print(sorted(heavy & {*sys.modules}))\n"
        "print([m for m in sys.modules if m.startswith('pipeline.') and 'measure' not in m])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "[]"], done.stderr
