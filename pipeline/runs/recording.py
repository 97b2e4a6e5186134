"""The record of a run as it is written: ``<store>/runs/<run_id>/``.

It is no artifact and enters no fingerprint: what a run makes is the same whether it is recorded
or not, and a record that cannot be written never stops a run.
"""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.artifacts import Artifact, Store
from pipeline.config import Config
from pipeline.errors import ConfigError, PlotpointeError
from pipeline.flow import Step
from pipeline.hashing import fingerprint
from pipeline.measure import Listener, track
from pipeline.measure.errors import MeasureError
from pipeline.measure.progress import Heard, Metrics
from pipeline.measure.track import Delivery, JsonLines, Run, Several
from pipeline.measure.track.protocol import DONE, FAILED, INTERRUPTED
from pipeline.runs.environment import environment_of, git_state
from pipeline.runs.numbers import costs_of, facts_of, headline_of

RUNS = "runs"
_PROGRAM = "plotpointe"
_ID_LETTERS = 4


class Recording:
    """What a run tells its record and its trackers while it lasts."""

    def __init__(self, folder: Path, tracker: Several) -> None:
        """Write into ``folder`` through ``tracker``."""
        self.folder, self._tracker = folder, tracker
        self._steps: dict[str, Any] = {}

    @property
    def run_id(self) -> str:
        """Return the run's name."""
        return self.folder.name

    def listening(self, listener: Listener) -> Listener:
        """Return a listener that also keeps the numbers that stages log."""
        return _Ear(listener, self._tracker)

    def told(self, step: Step, artifact: Artifact, made_now: bool) -> None:
        """Note a step's artifact, its facts and, where it was made now, its cost."""
        cost = artifact.manifest.get("cost", {})
        self._steps[step.name] = {
            "stage": step.stage.name,
            "kind": step.kind,
            "fingerprint": artifact.fingerprint,
            "made": made_now,
            "ended_at": artifact.manifest.get("created_at"),
            "grid": artifact.manifest.get("environment", {}).get("grid"),
            "cost": cost,
            **traits_of(step),
        }
        try:
            facts, headline = facts_of(artifact), headline_of(step.name, artifact)
        except (
            PlotpointeError,
            OSError,
            ValueError,
            KeyError,
        ):  # verify says what is wrong with it
            facts, headline = {}, {}
        self._steps[step.name]["headline"] = [*headline]
        self._note(steps=self._steps)
        self._tracker.log(step.name, facts | (costs_of(cost) if made_now else {}))
        if headline:
            self._tracker.log("", headline)
        self._tracker.artifact(step.name, f"{artifact.kind}/{artifact.fingerprint}")

    def finish(self, status: str, error: str | None = None) -> None:
        """End the record, and wait a while for the trackers."""
        if error:
            self._note(error=error)
        self._tracker.finish(status)

    def complaints(self) -> list[str]:
        """Return a sentence for whatever did not take the run, and what to do about it."""
        said = [f"the run's record: {why}" for why in dict.fromkeys(self._tracker.failures)]
        for told in track.deliveries(self.folder):
            if not told.complete:
                said.append(behind(self.run_id, told))
        return said

    def _note(self, **values: Any) -> None:  # noqa: ANN401 - JSON is any value
        record = self._tracker.trackers[0]
        assert isinstance(record, JsonLines)
        with suppress(OSError):
            record.note(**values)


class _Ear:
    """Hears for a tracker and for another listener."""

    def __init__(self, listener: Listener, tracker: Several) -> None:
        self._listener, self._tracker = listener, tracker

    def hear(self, event: Heard) -> None:
        """Log numbers, and pass everything on."""
        if isinstance(event, Metrics):
            self._tracker.log(event.task, event.values, event.step, at=event.at)
        self._listener.hear(event)


@contextmanager
def recorded(
    config: Config, store: Store, ended: Callable[[Recording], None] = lambda _: None
) -> Iterator[Recording]:
    """Yield the recording of a run that begins and ends with the block; then call ``ended``.

    Raises:
        ConfigError: ``runtime.track`` names no tracker, or a setting that one does not take.
    """
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%d-%H%M%S}{now.microsecond // 1000:03d}-{uuid4().hex[:_ID_LETTERS]}"
    folder = store.root / RUNS / run_id
    recording = Recording(folder, opened(config, folder))
    recording._tracker.start(
        Run(run_id, config.name, config.model_dump(mode="json"), _about(store))
    )
    status, error = FAILED, None
    try:
        yield recording
        status = DONE
    except (KeyboardInterrupt, SystemExit):
        status = INTERRUPTED
        raise
    except BaseException as raised:
        error = str(raised)
        raise
    finally:
        recording.finish(status, error)
        ended(recording)


def opened(config: Config, folder: Path) -> Several:
    """Return the tracker of a run with the backends that its configuration names.

    Raises:
        ConfigError: there is no such backend, or it takes no such setting.
    """
    runtime = config.runtime
    unused = {*runtime.trackers} - {*runtime.track}
    if unused:
        raise ConfigError(
            f"runtime.trackers has settings of {sorted(unused)}, which runtime.track does not "
            f"name; add it there: runtime.track: {sorted({*runtime.track} | unused)}"
        )
    try:
        return track.opened(folder, {n: runtime.trackers.get(n, {}) for n in runtime.track})
    except MeasureError as error:
        raise ConfigError(f"runtime.track: {error}") from None


def _about(store: Store) -> dict[str, Any]:
    return {
        "command": shlex.join([_PROGRAM, *sys.argv[1:]]),
        "git": git_state(Path.cwd()),
        "environment": environment_of(store.root),
        "steps": {},
    }


def traits_of(step: Step) -> dict[str, str]:
    """Return hashes that tell runs apart which measure the same from those that do not.

    ``asked`` is of the settings of a step and of all it stands on, without seed and version of the
    code: runs that share it differ by chance, by the code and by the machine alone. ``data`` is of
    the raw files.
    """
    return {"asked": _asked(step), "data": fingerprint({"raw": _raw(step)})}


def _asked(step: Step) -> str:
    stands_on = {name: _asked(needed) for name, needed in sorted(step.needs.items())}
    return fingerprint({"config": step.request.get("config"), "on": stands_on})


def _raw(step: Step) -> Mapping[str, Any]:
    """Return the raw input of the step itself and of all it stands on, by stage."""
    found = {step.stage.name: step.request.get("raw")} if step.request.get("raw") else {}
    for needed in step.needs.values():
        found |= _raw(needed)
    return found


def behind(run_id: str, told: Delivery) -> str:
    """Return the sentence about a tracker that was not told everything."""
    why = f" ({told.last_error})" if told.last_error else ""
    return (
        f"{told.backend} was told {told.lines} lines of the run and not the rest{why}; they are "
        f"kept: plotpointe runs replay {run_id} --to {told.backend}"
    )
