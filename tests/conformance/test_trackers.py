"""What every tracker keeps of a run: its numbers by step, a reference, how it ended."""

import json
import math
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.measure import track
from pipeline.measure.track import JsonLines, NullTracker, Record, Run, Several

CONFIG = {"train": {"width": 16, "model": "gat"}, "seed": 0, "empty": {}, "none": None}
ABOUT = {"git": {"commit": "abc", "branch": "main", "dirty": False}, "command": "plotpointe run"}
RUN = Run("20261121-101500000-ab12", "shop", CONFIG, ABOUT)


def whole(tracker) -> None:
    """Tell a tracker a run with what is usual and what is odd."""
    tracker.start(RUN)
    for epoch in (1, 2, 3):
        tracker.log("train", {"loss": 1 / epoch, "ndcg@20": epoch / 10}, epoch, at=1e9 + epoch)
    tracker.log("train:light gcn (β)", {"loss": math.nan, "seconds": 2.0}, 1)
    tracker.log("evaluate", {"recall@20": 0.5})
    tracker.log("", {"ndcg@20": 0.3})
    tracker.log("", {})
    tracker.artifact("train", "model/abc")
    tracker.finish("done")


@dataclass
class Kept:
    """What a backend has of a run."""

    curve: dict[int, float]
    """Loss of the step train, by epoch."""
    whole: float
    """ndcg@20 of the run."""
    artifact: str
    ended: bool


def of_record(folder: Path) -> Kept:
    about, lines = Record(folder).about(), Record(folder).lines()
    train = {e["epoch_or_step"]: e["metrics"] for e in lines if e["step_name"] == "train"}
    curve = {epoch: metrics["loss"] for epoch, metrics in train.items()}
    ended = about["status"] == "done" and about["ended_at"] is not None
    return Kept(curve, about["metrics"]["ndcg@20"], about["artifacts"]["train"], ended)


READ_TENSORBOARD = """
import json, sys, warnings
warnings.simplefilter("ignore")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1]).Reload()
text = lambda tag: found.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
print(json.dumps({
    "curve": [[e.step, e.value, e.wall_time] for e in found.Scalars("train/loss")],
    "whole": found.Scalars("ndcg@20")[-1].value,
    "artifact": text("artifacts/train/text"), "status": text("status/text"),
    "config": text("config/text"),
}))
"""


def of_tensorboard(folder: Path) -> Kept:
    told = read(READ_TENSORBOARD, folder / "tensorboard")
    assert '"width": 16' in told["config"]
    assert told["curve"][0][2] == 1e9 + 1
    curve = {step: value for step, value, _ in told["curve"]}
    return Kept(curve, told["whole"], told["artifact"], told["status"] == "done")


READ_WANDB = """
import json, sys, warnings
warnings.simplefilter("ignore")
import struct
from wandb.proto.wandb_internal_pb2 import Record

def records(data):  # LevelDB's log format, after a header of 7 bytes
    at, part = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield part
            part = b""

history, summary, ended, config = [], {}, None, {}
for path in sys.argv[1:]:
    for data in records(open(path, "rb").read()):
        record = Record()
        record.ParseFromString(data)
        named = lambda items: {
            (i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in items
        }
        if record.HasField("history"):
            history.append(named(record.history.item))
        if record.HasField("summary"):
            summary |= named(record.summary.update)
        if record.HasField("run"):
            config |= named(record.run.config.update)
        if record.HasField("exit"):
            ended = record.exit.exit_code
print(json.dumps({"history": history, "summary": summary, "ended": ended, "config": config}))
"""


def of_wandb(folder: Path) -> Kept:
    told = read(READ_WANDB, *sorted(folder.glob("wandb/offline-run-*/run-*.wandb")))
    assert told["config"]["train"]["width"] == 16
    steps = [line for line in told["history"] if "train/loss" in line]
    assert steps[0]["_timestamp"] == 1e9 + 1
    curve = {line["train/step"]: line["train/loss"] for line in steps}
    summary = told["summary"]
    return Kept(curve, summary["ndcg_at_20"], summary["artifacts/train"], told["ended"] == 0)


def of_mlflow(folder: Path) -> Kept:
    with sqlite3.connect(folder.parent / "mlflow.db") as database:
        ask = database.execute
        ((status,),) = ask("SELECT status FROM runs").fetchall()
        params = dict(ask("SELECT key, value FROM params").fetchall())
        tags = dict(ask("SELECT key, value FROM tags").fetchall())
        query = "SELECT step, value, timestamp FROM metrics WHERE key = ? ORDER BY step"
        curve = ask(query, ["train/loss"]).fetchall()
        ((_, last, _),) = ask(query, ["ndcg_at_20"]).fetchall()
    assert params["train.width"] == "16"
    assert tags["mlflow.source.git.commit"] == "abc"
    assert curve[0][2] == (1e9 + 1) * 1000
    values = {step: value for step, value, _ in curve}
    return Kept(values, last, tags["artifacts.train"], status == "FINISHED")


def read(script: str, *arguments: Path) -> dict:
    """Return what a backend's own reader says, in a process where its warnings are its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


BACKENDS = {
    "tensorboard": ({}, of_tensorboard),
    "wandb": ({"mode": "offline"}, of_wandb),
    "mlflow": ({}, of_mlflow),
}
EXPECTED = Kept({1: 1.0, 2: 0.5, 3: pytest.approx(1 / 3)}, pytest.approx(0.3), "model/abc", True)


def test_every_backend_is_in_this_suite():
    assert {*BACKENDS} == {*track.BACKENDS}


def test_the_record_keeps_a_run(tmp_path):
    whole(JsonLines(tmp_path))
    assert of_record(tmp_path) == EXPECTED


def test_nobody_takes_everything():
    whole(NullTracker())
    whole(Several([]))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run that all backends were told of, in one folder."""
    folder = tmp_path_factory.mktemp("runs") / RUN.run_id
    tracker = track.opened(folder, {name: settings for name, (settings, _) in BACKENDS.items()})
    for posted in tracker.trackers[1:]:
        posted._at_the_end = 120.0
    whole(tracker)
    return folder


@pytest.mark.parametrize("name", BACKENDS)
class TestEveryBackend:
    def test_it_was_told_every_line(self, told, name):
        delivery = track.Posted(told, name).delivery()
        assert delivery.complete, delivery.last_error
        assert delivery.failures == 0
        assert delivery.lines == len(Record(told).lines())

    def test_it_keeps_what_the_record_keeps(self, told, name):
        assert BACKENDS[name][1](told) == EXPECTED

    def test_no_import_of_it_reaches_the_run(self, tmp_path, name):
        script = (
            "import json, sys; from pathlib import Path\n"
            "from pipeline.measure import track\n"
            f"tracker = track.opened(Path(sys.argv[1]), {{{name!r}: {BACKENDS[name][0]!r}}})\n"
            f"tracker.start(track.Run('r7', 'shop', {CONFIG!r}, {ABOUT!r}))\n"
            "tracker.log('train', {'loss': 1.0}, 1); tracker.finish('done')\n"
            f"print(json.dumps({track.BACKENDS[name].package!r} in sys.modules))\n"
        )
        assert read(script, tmp_path / "r7") is False

    def test_a_run_that_is_begun_twice_is_one_run(self, tmp_path, name):
        """A courier that died is followed by another, which begins by starting the run."""
        script = (
            "import sys; from pathlib import Path\n"
            "from pipeline.measure.track import Run, BACKENDS\n"
            "folder = Path(sys.argv[1]); folder.mkdir(exist_ok=True)\n"
            "for epoch in (1, 2):\n"
            f"    tracker = BACKENDS[{name!r}].open({BACKENDS[name][0]!r}, folder)\n"
            f"    tracker.start(Run('r7', 'shop', {CONFIG!r}, {ABOUT!r}))\n"
            "    tracker.log('train', {'loss': 1 / epoch}, epoch, at=1e9 + epoch)\n"
            "    if epoch == 2:\n"
            "        tracker.log('', {'ndcg@20': 0.3}); tracker.artifact('train', 'model/abc')\n"
            "        tracker.finish('done')\n"
            "    else:\n"
            "        tracker.finish('interrupted')\n"
            "print('{}')\n"
        )
        read(script, tmp_path / "r7")
        assert BACKENDS[name][1](tmp_path / "r7") == Kept(
            {1: 1.0, 2: 0.5}, pytest.approx(0.3), "model/abc", True
        )


def test_names_are_portable():
    assert track.protocol.portable("train/ndcg@20") == "train/ndcg_at_20"
    spelled = track.protocol.portable("train:light gcn (β)/50%")
    assert all(c.isalnum() or c in "_-./" for c in spelled)
