"""The run on disk: ``run.json``, and ``events.jsonl`` with one line for each call.

A line is ``{time, step_name, epoch_or_step, metrics}``; one that carries an artifact or the end
also has ``artifact`` or ``status``. Appending is all that a run does while it lasts, so a kill
costs at most the line being written, and a reader tells a run that died from one that goes on by
the lock that only the living hold.
"""

import fcntl
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.measure.track.protocol import INTERRUPTED, RUNNING, Run, Values, full_name

ABOUT, EVENTS, ALIVE = "run.json", "events.jsonl", "alive"

Line = dict[str, Any]


class JsonLines:
    """The tracker that writes a record; it is always there, and the others are told from it."""

    def __init__(self, folder: Path) -> None:
        """Keep the record in ``folder``."""
        self.folder = folder
        self._about: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._alive = -1

    def start(self, run: Run) -> None:
        """Write ``run.json`` and hold the lock that says that the run is alive."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._alive = os.open(self.folder / ALIVE, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._about = {
            **run.about,
            "run_id": run.run_id,
            "config_name": run.name,
            "config": run.config,
            "started_at": stamp(time.time()),
            "ended_at": None,
            "status": RUNNING,
            "metrics": {},
            "artifacts": {},
        }
        self._save()

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Append a line of metrics; a value that is not finite becomes null."""
        finite = {name: _finite(value) for name, value in metrics.items()}
        with self._lock:
            self._append(step_name, finite, step, at)
            named = {full_name(step_name, name): value for name, value in finite.items()}
            self._about.setdefault("metrics", {}).update(named)

    def artifact(self, name: str, reference: str) -> None:
        """Append a line and note the reference."""
        with self._lock:
            self._append("", {}, more={"artifact": {"name": name, "reference": reference}})
            self._about["artifacts"][name] = reference
            self._save()

    def note(self, **values: Any) -> None:  # noqa: ANN401 - JSON is any value
        """Set further keys of ``run.json``."""
        with self._lock:
            self._about |= values
            self._save()

    def finish(self, status: str) -> None:
        """Append the end, write ``run.json`` for the last time and let go of the lock."""
        with self._lock:
            self._append("", {}, more={"status": status})
            self._about |= {"status": status, "ended_at": stamp(time.time())}
            self._save()
            if self._alive >= 0:
                os.close(self._alive)
                self._alive = -1

    def _append(
        self,
        step_name: str,
        metrics: Values,
        step: int | None = None,
        at: float | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        line = {"time": time.time() if at is None else at, "step_name": step_name}
        line |= {"epoch_or_step": step, "metrics": dict(metrics), **(more or {})}
        text = json.dumps(line, sort_keys=True, allow_nan=False)
        with (self.folder / EVENTS).open("ab") as file:
            file.write(text.encode() + b"\n")

    def _save(self) -> None:
        replace_json(self.folder / ABOUT, self._about)


class Record:
    """A run as its folder tells it."""

    def __init__(self, folder: Path) -> None:
        """Look into ``folder`` when asked."""
        self.folder = folder

    def about(self) -> dict[str, Any]:
        """Return ``run.json``, with what a run that died could not write any more."""
        about: dict[str, Any] = json.loads((self.folder / ABOUT).read_text())
        if about["status"] != RUNNING:
            return about
        if not self.alive():
            about["status"] = INTERRUPTED
        for line in self.lines():
            named = {full_name(line["step_name"], k): v for k, v in line["metrics"].items()}
            about["metrics"] |= named
            about["ended_at"] = stamp(line["time"]) if about["status"] == INTERRUPTED else None
            if "status" in line:  # it ended between its last line and its last writing of run.json
                about["status"] = line["status"]
        return about

    def run(self) -> Run:
        """Return what the run began with."""
        about = self.about()
        apart = {"run_id", "config_name", "config", "metrics", "artifacts", "status", "ended_at"}
        rest = {key: value for key, value in about.items() if key not in apart}
        return Run(about["run_id"], about["config_name"], about["config"], rest)

    def alive(self) -> bool:
        """Return whether the process that writes the record lives."""
        try:
            handle = os.open(self.folder / ALIVE, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def lines(self) -> list[Line]:
        """Return every whole line, in order."""
        return [line for line, _ in self.lines_from(0)]

    def lines_from(self, offset: int) -> Iterator[tuple[Line, int]]:
        """Yield each whole line from a byte on, with the byte after it; a torn one is left out."""
        with suppress(FileNotFoundError), (self.folder / EVENTS).open("rb") as file:
            file.seek(offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                offset += len(raw)
                line = _parsed(raw)
                if line is not None:
                    yield line, offset


def _parsed(raw: bytes) -> Line | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "metrics" in line else None


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def stamp(at: float) -> str:
    """Return a Unix time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file in one step: a reader sees the old or the new one, never half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(json.dumps(value, indent=1) + "\n")
    draft.replace(path)
