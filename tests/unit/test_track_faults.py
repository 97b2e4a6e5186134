"""Whatever a backend does, the run goes on and every line reaches a backend that works again."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.measure import track
from pipeline.measure.track import JsonLines, Posted, Run, Several, courier
from pipeline.measure.track.courier import Courier
from pipeline.measure.track.delivery import Delivery
from tests.faulty_trackers import taped

TAPE = "tests.faulty_trackers:Tape"
CALLS = ("open", "start", "log", "artifact", "finish")
RUN = Run("r1", "try", {"rate": 0.1}, {"git": None})


def script(tracker) -> list[list]:
    """Tell a tracker a small run and return what a tape of it holds."""
    tracker.start(RUN)
    tracker.log("train", {"loss": 0.5}, 1)
    tracker.log("train", {"loss": 0.25, "ndcg@20": 0.1}, 2)
    tracker.artifact("train", "model/abc")
    tracker.finish("done")
    return [
        ["start", "r1", "try", {"rate": 0.1}],
        ["log", "train", {"loss": 0.5}, 1],
        ["log", "train", {"loss": 0.25, "ndcg@20": 0.1}, 2],
        ["artifact", "train", "model/abc"],
        ["finish", "done"],
    ]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(courier, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(courier, "_LOOK_SECONDS", 0.0)


def carried(folder: Path, times: int = 1) -> Delivery:
    """Send couriers, in this process, after a run that has ended."""
    told = Delivery.load(folder, TAPE)
    for _ in range(times):
        told = Courier(folder, TAPE, 30.0).carry(lambda: True)
    return told


@pytest.mark.parametrize("how", ["raise", "exit"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_made_again_by_the_next_courier(tmp_path, quick, call, how):
    expected = script(JsonLines(tmp_path))
    Delivery(TAPE, {"fault": f"{call}:{how}:2"}).save(tmp_path)
    told = carried(tmp_path, 2)
    assert not told.complete
    assert told.failures == 2
    assert told.last_error.startswith(f"{call}: ")
    assert carried(tmp_path).complete
    assert taped(tmp_path / "tape.jsonl") == expected


def test_a_backend_that_comes_back_within_the_run_is_told_all(tmp_path, quick):
    lines = JsonLines(tmp_path)
    expected = script(lines)
    Delivery(TAPE, {"fault": "log:raise:3"}).save(tmp_path)
    looks = iter([False] * 4)
    told = Courier(tmp_path, TAPE, 30.0).carry(lambda: next(looks, True))
    assert told.complete
    assert told.failures == 3
    assert told.last_error is None
    assert taped(tmp_path / "tape.jsonl") == expected


@pytest.mark.parametrize("fault", ["open:hang:1", "log:hold:1", "finish:kill:1", "start:kill:1"])
def test_a_courier_that_hangs_or_dies_is_followed_by_another(tmp_path, fault):
    posted = Posted(tmp_path, TAPE, {"fault": fault}, patience=1.0, at_the_end=60.0)
    expected = script(Several([JsonLines(tmp_path), posted]))
    told = posted.delivery()
    assert told.complete
    assert told.failures == 1
    assert taped(tmp_path / "tape.jsonl") == expected


def test_one_that_never_answers_costs_the_run_a_known_while_and_is_replayed(tmp_path):
    faulty = {"fault": "start:hang:99"}
    posted = Posted(tmp_path, TAPE, faulty, patience=30.0, at_the_end=1.0)
    expected = script(Several([JsonLines(tmp_path), posted]))
    assert not posted.delivery().complete
    assert posted.delivery().lines == 0
    assert len(track.Record(tmp_path).lines()) == 4
    told = track.replay(tmp_path, TAPE, {})
    assert told.complete
    assert taped(tmp_path / "tape.jsonl") == expected


def test_a_module_that_cannot_be_imported_stops_nothing(tmp_path):
    broken = Posted(tmp_path, "tests.broken_tracker:Any", at_the_end=2.0)
    script(Several([JsonLines(tmp_path), broken]))
    assert "native library is missing" in broken.delivery().last_error
    assert track.Record(tmp_path).about()["status"] == "done"


def test_each_of_several_is_told_whatever_the_others_do(tmp_path):
    class Broken:
        def __getattr__(self, name):
            raise RuntimeError(f"no {name}")

    tape = __import__("tests.faulty_trackers", fromlist=["Tape"]).Tape({}, tmp_path)
    several = Several([Broken(), tape])
    expected = script(several)
    assert taped(tmp_path / "tape.jsonl") == expected
    assert len(several.failures) == 5


def test_a_run_whose_folder_is_gone_still_goes_on(tmp_path):
    folder = tmp_path / "run"
    several = Several([JsonLines(folder)])
    several.start(RUN)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    several.log("train", {"loss": 1.0}, 1)
    several.finish("done")
    assert len(several.failures) == 2


DYING = """
import sys, os, signal
from pathlib import Path
from pipeline.measure import track
folder = Path(sys.argv[1])
tracker = track.opened(folder, {"tests.faulty_trackers:Tape": {}})
tracker.start(track.Run("r1", "try"))
tracker.log("train", {"loss": 0.5}, 1)
print("begun", flush=True)
sys.stdin.read()
"""


def test_the_courier_of_a_killed_run_hands_over_the_rest_and_says_that_it_ended(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", DYING, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout.readline() == b"begun\n"
    assert track.Record(tmp_path).about()["status"] == "running"
    process.kill()
    process.communicate()
    assert track.Record(tmp_path).about()["status"] == "interrupted"
    deadline = time.monotonic() + 60
    while not Delivery.load(tmp_path, TAPE).complete and time.monotonic() < deadline:
        time.sleep(0.05)
    calls = taped(tmp_path / "tape.jsonl")
    assert calls[1:] == [["log", "train", {"loss": 0.5}, 1], ["finish", "interrupted"]]


def test_a_replay_to_a_backend_that_the_run_did_not_have_tells_everything(tmp_path):
    expected = script(JsonLines(tmp_path))
    assert track.replay(tmp_path, TAPE).lines == 4
    assert taped(tmp_path / "tape.jsonl") == expected
    assert track.replay(tmp_path, TAPE).lines == 4
    assert taped(tmp_path / "tape.jsonl") == expected
    elsewhere = tmp_path / "elsewhere.jsonl"
    assert track.replay(tmp_path, TAPE, {"tape": str(elsewhere)}).complete
    assert taped(elsewhere) == expected


def test_names_and_settings_are_checked_before_anything_begins(tmp_path):
    with pytest.raises(track.backends.MeasureError, match=r"known:.*wandb"):
        track.opened(tmp_path, {"wanbd": {}})
    with pytest.raises(track.backends.MeasureError, match="takes no 'projekt'"):
        track.opened(tmp_path, {"wandb": {"projekt": "x"}})
    assert track.lacking("tests.faulty_trackers:Tape") is None


def test_a_backend_that_is_not_installed_is_said_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(track.backends, "find_spec", lambda name: None)
    posted = Posted(tmp_path, "wandb", at_the_end=60.0)
    script(Several([JsonLines(tmp_path), posted]))
    assert posted.delivery().last_error == "needs wandb: pip install 'plotpointe[track]'"
    assert not (tmp_path / "trackers" / "wandb.log").exists()


faults = st.lists(st.tuples(st.sampled_from(CALLS), st.integers(1, 3)), max_size=3)
events = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.sampled_from(["train", "", "embed"]), st.floats(-9, 9)),
        st.tuples(st.just("artifact"), st.sampled_from("abc"), st.integers(0, 99)),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(events=events, faults=faults)
def test_any_run_survives_any_row_of_failures_in_order(events, faults):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines, expected = JsonLines(folder), [["start", "r1", "try", {"rate": 0.1}]]
        lines.start(RUN)
        for at, (kind, what, value) in enumerate(events):
            if kind == "log":
                lines.log(what, {"loss": value}, at)
                expected.append(["log", what, {"loss": value}, at])
            else:
                lines.artifact(what, f"model/{value}-{at}")
                expected.append(["artifact", what, f"model/{value}-{at}"])
        lines.finish("done")
        for call, times in faults:
            Delivery.load(folder, TAPE).save(folder)
            told = Delivery.load(folder, TAPE)
            (folder / "tape.count").unlink(missing_ok=True)
            Delivery(**{**vars(told), "settings": {"fault": f"{call}:raise:{times}"}}).save(folder)
            carried(folder, times)
        (folder / "tape.count").write_text("99")
        assert carried(folder).complete
        assert taped(folder / "tape.jsonl") == [*expected, ["finish", "done"]]
