"""The courier: a process that reads a run's lines and hands them to one backend.

``python -m pipeline.measure.track.courier FOLDER BACKEND``. It ends when the run has ended and all
is handed over, or when the run's process is gone. A call that raises is tried again with a fresh
backend after a pause; one that does not come back ends the courier, stack in its log, and whoever
started it starts another. How far it came is in ``trackers/<backend>.json``: a line is handed over
at least once, and twice only where a courier died between handing it over and noting so.
"""

import faulthandler
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.measure.track.backends import backend_of
from pipeline.measure.track.delivery import Delivery
from pipeline.measure.track.protocol import INTERRUPTED, Tracker, in_words
from pipeline.measure.track.record import ABOUT, Line, Record

_LOOK_SECONDS = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class Courier:
    """Hands the lines of one run to one backend."""

    def __init__(self, run: Path, backend: str, patience: float) -> None:
        """Go on from where the last courier came to."""
        self.record, self.told = Record(run), Delivery.load(run, backend)
        self._patience = patience
        self._tracker: Tracker | None = None
        self._log = sys.stderr

    def carry(self, gone: Callable[[], bool]) -> Delivery:
        """Hand over lines until the end of the run; ``gone`` says that none will come any more."""
        pause = _FIRST_PAUSE
        while not self.told.complete:
            last_look = gone()
            try:
                self._hand_over()
                pause = _FIRST_PAUSE
            except (Exception, SystemExit) as error:  # whatever a backend may raise
                self._failed(error)
                if last_look:
                    break
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if last_look:
                self._end()
                break
            time.sleep(_LOOK_SECONDS)
        return self.told

    def _hand_over(self) -> None:
        if self._tracker is None:
            self._tracker = self._opened()
        for line, offset in self.record.lines_from(self.told.offset):
            self._hand(self._tracker, line)
            done = "status" in line
            self._note(offset=offset, lines=self.told.lines + 1, complete=done, last_error=None)
            if done:
                return

    def _opened(self) -> Tracker:
        told = self.told
        with self._watched("open"):
            backend = backend_of(told.backend, told.settings)
            tracker = backend.open(told.settings, self.record.folder)
        with self._watched("start"):
            tracker.start(self.record.run())
        return tracker

    def _hand(self, tracker: Tracker, line: Line) -> None:
        if line["metrics"]:
            with self._watched("log"):
                step, at = line["epoch_or_step"], line["time"]
                tracker.log(line["step_name"], line["metrics"], step, at=at)
        if "artifact" in line:
            with self._watched("artifact"):
                tracker.artifact(line["artifact"]["name"], line["artifact"]["reference"])
        if "status" in line:
            with self._watched("finish"):
                tracker.finish(line["status"])

    def _end(self) -> None:
        """Tell of an end that the run itself could not tell of any more."""
        if self.told.complete or self._tracker is None:
            return
        try:
            with self._watched("finish"):
                self._tracker.finish(INTERRUPTED)
            self._note(complete=True)
        except (Exception, SystemExit) as error:
            self._failed(error)

    @contextmanager
    def _watched(self, doing: str) -> Iterator[None]:
        """End this process where the block takes too long, even if it lets no thread run."""
        self._note(doing=doing)
        faulthandler.dump_traceback_later(self._patience, exit=True, file=self._log)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
        self._note(doing=None)

    def _failed(self, error: BaseException) -> None:
        self._tracker = None
        words = f"{self.told.doing or 'courier'}: {in_words(error)}"
        self._note(failures=self.told.failures + 1, last_error=words, doing=None)

    def _note(self, **changed: object) -> None:
        self.told = replace(self.told, **changed)  # type: ignore[arg-type]
        self.told.save(self.record.folder)


def _orphaned(parent: int, standard_input: int) -> Callable[[], bool]:
    """Return what tells whether the process that started this one is gone, or has said to end."""
    os.set_blocking(standard_input, False)

    def gone() -> bool:
        """Tell."""
        try:
            ended = os.read(standard_input, 1) == b""
        except BlockingIOError:
            ended = False
        return ended or os.getppid() != parent

    return gone


def main() -> None:
    """Carry the lines of the folder and backend named on the command line."""
    run, backend, patience = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    if not (run / ABOUT).exists():
        raise SystemExit(f"no run at {run}")
    orphaned = _orphaned(os.getppid(), sys.stdin.fileno())
    courier = Courier(run, backend, patience)
    told = courier.carry(lambda: orphaned() or not courier.record.alive())
    # Threads of a backend must not keep this process.
    sys.stderr.flush()
    os._exit(0 if told.complete else 1)


if __name__ == "__main__":
    main()
