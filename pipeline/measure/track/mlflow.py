"""MLflow: a server by ``http``, or a database file by ``sqlite``."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

# Telemetry is off; a server that does not answer is for the courier to be patient with.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from pipeline.measure.track.protocol import (
    DONE,
    INTERRUPTED,
    Run,
    Values,
    flattened,
    full_name,
    portable,
)

T = TypeVar("T")

_ENDS = {DONE: "FINISHED", INTERRUPTED: "KILLED"}
_ID = "plotpointe.run_id"
_LONGEST, _AT_ONCE = 500, 100


class MLflow:
    """A run of an experiment; ``uri`` is ``mlflow.db`` beside the runs where none is named."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        """Open the client; a new database is made here."""
        beside = f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
        uri = settings.get("uri") or os.environ.get("MLFLOW_TRACKING_URI") or beside
        self._client = MlflowClient(tracking_uri=uri)
        self._experiment = settings.get("experiment", "plotpointe")
        self._id = ""

    def start(self, run: Run) -> None:
        """Begin the run with its configuration as parameters, or go on with the one of its id."""
        experiment = self._experiment_id()
        found = self._client.search_runs([experiment], f"tags.`{_ID}` = '{run.run_id}'")
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, "RUNNING")
            return
        name, tags = f"{run.name} {run.run_id}", {_ID: run.run_id, **_tags(run.about)}
        self._id = self._client.create_run(experiment, run_name=name, tags=tags).info.run_id
        settings = [Param(portable(k), _short(v)) for k, v in flattened(run.config).items()]
        for some in _in_parts(settings):
            self._client.log_batch(self._id, params=some)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self._experiment))

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Log metrics; those of no step stand at step 0."""
        when = int(1000 * (time.time() if at is None else at))
        values = [
            Metric(portable(full_name(step_name, name)), value, when, step or 0)
            for name, value in metrics.items()
            if value is not None
        ]
        for some in _in_parts(values):
            self._client.log_batch(self._id, metrics=some)

    def artifact(self, name: str, reference: str) -> None:
        """Note the reference as a tag."""
        self._client.set_tag(self._id, f"artifacts.{portable(name)}", reference)

    def finish(self, status: str) -> None:
        """End the run."""
        self._client.set_tag(self._id, "status", status)
        self._client.set_terminated(self._id, _ENDS.get(status, "FAILED"))


def _tags(about: Mapping[str, object]) -> dict[str, str]:
    flat = {portable(name): _short(value) for name, value in flattened(about).items()}
    git = about.get("git")
    if isinstance(git, Mapping):
        flat["mlflow.source.git.commit"] = str(git.get("commit"))
    return flat


def _short(value: object) -> str:
    return str(value)[:_LONGEST]


def _in_parts(values: Sequence[T]) -> Iterator[list[T]]:
    left = iter(values)
    while some := list(islice(left, _AT_ONCE)):
        yield some
