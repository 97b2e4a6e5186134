"""The tracker of a run's own process: it starts couriers, and never waits for a backend."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from pipeline.measure.track.backends import lacking
from pipeline.measure.track.delivery import FOLDER, Delivery, place_of
from pipeline.measure.track.protocol import Run, Values

PATIENCE_SECONDS = 60.0
"""A call to a backend that takes longer is given up."""
_ROOT = str(Path(__file__).parents[3])
_LOOK_SECONDS = 0.05
_PAUSES = (1.0, 5.0, 30.0, 120.0)
"""Seconds before a courier that died is followed by the next."""


class Posted:
    """A backend that is told by a courier; what it is told is read from the record."""

    def __init__(
        self,
        folder: Path,
        backend: str,
        settings: Mapping[str, str] | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        at_the_end: float = 20.0,
    ) -> None:
        """Wait for one call ``patience`` seconds, after the run at most ``at_the_end`` for all."""
        self.folder, self.backend = folder, backend
        self._patience, self._at_the_end = patience, at_the_end
        self._courier: subprocess.Popen[bytes] | None = None
        self._deaths, self._next = 0, 0.0
        self._hopeless: str | None = None
        self._settings = {key: str(value) for key, value in (settings or {}).items()}

    def start(self, run: Run) -> None:
        """Start the courier; where the backend's package is not installed, say so and wait not."""
        missing = lacking(self.backend)
        if missing:
            self._hopeless = f"needs {missing}: pip install 'plotpointe[track]'"
        told = replace(self.delivery(), backend=self.backend, settings=self._settings)
        replace(told, last_error=self._hopeless).save(self.folder)
        self._look()

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """See that a courier lives; it finds the line in the record."""
        self._look()

    def artifact(self, name: str, reference: str) -> None:
        """See that a courier lives; it finds the line in the record."""
        self._look()

    def finish(self, status: str) -> None:
        """Wait for the courier, a while; what it could not hand over can be replayed."""
        deadline = time.monotonic() + (0.0 if self._hopeless else self._at_the_end)
        self._next = 0.0
        while time.monotonic() < deadline and not self.delivery().complete:
            self._look(hurry=True)
            time.sleep(_LOOK_SECONDS)
        self.close()

    def close(self) -> None:
        """End the courier: kindly where it is only waiting, by force where a call holds it."""
        courier, self._courier = self._courier, None
        if courier is None:
            return
        assert courier.stdin is not None
        courier.stdin.close()
        try:
            courier.wait(timeout=5.0 if self.delivery().complete else 1.0)
        except subprocess.TimeoutExpired:
            courier.kill()
            courier.wait()

    def delivery(self) -> Delivery:
        """Return how far the backend was told."""
        return Delivery.load(self.folder, self.backend)

    def _look(self, *, hurry: bool = False) -> None:
        """Follow a courier that died by another, after a pause."""
        if self._hopeless or (self._courier is not None and self._courier.poll() is None):
            return
        if self._courier is not None:
            self.close()
            self._mourn()
            pause = _PAUSES[0] if hurry else _PAUSES[min(self._deaths, len(_PAUSES)) - 1]
            self._next = time.monotonic() + pause
        if time.monotonic() >= self._next and not self.delivery().complete:
            self._post()

    def _mourn(self) -> None:
        """Note what the courier was doing when it died."""
        self._deaths += 1
        told = self.delivery()
        if told.doing:
            words = f"{told.doing}: the courier died, or had no answer in {self._patience:g} s"
            replace(told, failures=told.failures + 1, last_error=words, doing=None).save(
                self.folder
            )

    def _post(self) -> None:
        place_of(self.folder, self.backend).parent.mkdir(parents=True, exist_ok=True)
        with self._log().open("ab") as log:
            self._courier = _started(self.folder, self.backend, self._patience, log)

    def _log(self) -> Path:
        return place_of(self.folder, self.backend).with_suffix(".log")


def _started(
    folder: Path, backend: str, patience: float, log: IO[bytes]
) -> "subprocess.Popen[bytes]":
    paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", __name__.replace("post", "courier"), str(folder), backend,
         str(patience)],
        stdin=subprocess.PIPE, stdout=log, stderr=log,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )  # fmt: skip


def replay(
    folder: Path,
    backend: str,
    settings: Mapping[str, str] | None = None,
    *,
    patience: float = PATIENCE_SECONDS,
    at_the_end: float = 300.0,
) -> Delivery:
    """Hand what is left of a run's lines to a backend; return how far that came.

    Settings that are left out are those of the run. A backend that the run did not have, or not
    with these settings, is told everything.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    before = Delivery.load(folder, backend)
    if settings is not None and dict(settings) != before.settings:
        before = Delivery(backend)
    post = Posted(
        folder, backend, before.settings if settings is None else settings,
        patience=patience, at_the_end=at_the_end,
    )  # fmt: skip
    if not before.complete:
        replace(before, settings=post._settings).save(folder)
        post.finish("")
    return post.delivery()
