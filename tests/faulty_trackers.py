"""Trackers that keep what they are told on a tape, and fail as they are asked to.

``fault`` is ``CALL:HOW:TIMES``: the first so many of these calls raise, hang, hang with the
interpreter's lock held, exit, or kill their process. The count outlives the process.
"""

import ctypes
import json
import os
import signal
import time
from pathlib import Path


class Tape:
    def __init__(self, settings, folder):
        self._tape = Path(settings.get("tape", folder / "tape.jsonl"))
        self._call, self._how, times = (settings.get("fault") or "none:raise:0").split(":")
        self._times = int(times)
        self._maybe_fail("open")

    def start(self, run):
        self._maybe_fail("start")
        self._keep("start", run.run_id, run.name, dict(run.config))

    def log(self, step_name, metrics, step=None, *, at=None):
        self._maybe_fail("log")
        self._keep("log", step_name, dict(metrics), step)

    def artifact(self, name, reference):
        self._maybe_fail("artifact")
        self._keep("artifact", name, reference)

    def finish(self, status):
        self._maybe_fail("finish")
        self._keep("finish", status)

    def _keep(self, *call):
        with self._tape.open("a") as file:
            file.write(json.dumps(call, sort_keys=True) + "\n")

    def _maybe_fail(self, call):
        if call != self._call:
            return
        counter = self._tape.with_suffix(".count")
        count = int(counter.read_text()) if counter.exists() else 0
        if count >= self._times:
            return
        counter.write_text(str(count + 1))
        FAULTS[self._how]()


def _raises():
    raise ConnectionError("the tracker's server is away")


def _exits():
    raise SystemExit("the tracker wants out")


def _hangs():
    time.sleep(60)


def _hangs_with_the_lock_held():
    ctypes.PyDLL(None).sleep(60)  # PyDLL does not let other threads run


def _is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {
    "raise": _raises,
    "exit": _exits,
    "hang": _hangs,
    "hold": _hangs_with_the_lock_held,
    "kill": _is_killed,
}


def taped(path):
    """Return what a tape holds; a call told twice in a row, as after a death, counts once."""
    calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    once = [call for at, call in enumerate(calls) if at == 0 or calls[at - 1] != call]
    starts = [call for call in once if call[0] == "start"]
    return starts[:1] + [call for call in once if call[0] != "start"]
