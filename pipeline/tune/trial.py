"""One training of a study, in a process of its own: it leaves numbers, never a model."""

import importlib
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import files, measure
from pipeline.artifacts import Store
from pipeline.children import Children
from pipeline.config import Config, TrainConfig
from pipeline.errors import PlotpointeError, StageKilledError
from pipeline.execute import threads_of
from pipeline.flow import Step
from pipeline.hashing import fingerprint
from pipeline.measure import Listener
from pipeline.orders import Order, job_of
from pipeline.sections import Section
from pipeline.tune.limits import Curve, Limits, behind

SCRATCH = "tune"
ATTEMPTS = 2
"""A process that died is tried again, from its checkpoint, before the trial counts as failed."""


class TrialConfig(Section):
    """A training section, and when to give it up."""

    train: TrainConfig
    limits: Limits = ()
    """By epoch, the best validation value that it must have reached."""


@dataclass(frozen=True)
class Asked:
    """One training that a study asks for."""

    name: str
    config: TrainConfig
    seed: int
    limits: Limits = ()


@dataclass(frozen=True)
class Outcome:
    """What one training came to."""

    value: float | None
    """The best validation value; None where there is none."""
    curve: Curve = ()
    seconds: float = 0.0
    """Of the wall, the start of the process included."""
    parameters: int = 0
    """Learned numbers; 0 where the seed cannot matter."""
    pruned: bool = False
    failed: str | None = None
    """Why it has no value."""


class _BehindError(Exception):
    """Raised inside the training loop to leave it."""


@dataclass(frozen=True)
class Bench:
    """Where trainings of a study happen: on the inputs of one training step."""

    study: str
    step: Step
    """The training step of the configuration; its inputs are complete."""
    config: Config
    store: Store

    def order(self, asked: Asked) -> Order:
        """Return the order to a process; the same question has the same scratch folder."""
        threads = threads_of([self.step], self.config)[self.step.name]
        request = {
            "study": self.study,
            "config": asked.config.model_dump(mode="json"),
            "seed": asked.seed,
        }
        step = replace(
            self.step,
            name=asked.name,
            config=TrialConfig(train=asked.config, limits=asked.limits),
            fingerprint=fingerprint(request),
        )
        config = self.config.model_copy(update={"seed": asked.seed})
        return Order.of(step, config, self.store, threads)

    def attempt(self, asked: Asked) -> Outcome:
        """Return the outcome of a training in a fresh process, with progress on standard error.

        Raises:
            StageFailedError: the training has a bug, which other settings would meet as well.
        """
        began, order = time.perf_counter(), self.order(asked)
        outcome = _tried(order)
        shutil.rmtree(_scratch(order), ignore_errors=True)
        return replace(outcome, seconds=round(time.perf_counter() - began, 3))


def _tried(order: Order) -> Outcome:
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            return _in_a_child(order)
        except StageKilledError as error:
            reason = str(error)
    return Outcome(None, failed=reason)


def _in_a_child(order: Order) -> Outcome:
    with measure.Console() as console:
        child = Children(try_out, console)
        try:
            child.start(order)
            return child.next_finished()[1]
        finally:
            child.stop()


def _scratch(order: Order) -> Path:
    return order.store.scratch(SCRATCH, order.step.fingerprint)


def try_out(order: Order, listener: Listener) -> Outcome:
    """Return the outcome of one training in this process; goes on from its checkpoint, if any."""
    trial = order.step.config
    assert isinstance(trial, TrialConfig)
    scratch = _scratch(order)
    into = scratch / "model"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    training = replace(order, step=replace(order.step, config=trial.train))
    with measure.task(order.step.name, listener) as task:
        outcome = _train(job_of(training, into, scratch, task), trial.limits, order.step.stage.door)
    shutil.rmtree(into, ignore_errors=True)
    return outcome


def _train(job: Any, limits: Limits, door: str) -> Outcome:  # noqa: ANN401 - a job of any stage
    metric = job.config.select_metric
    seen: list[tuple[int, float]] = []

    def watch(progress: Any) -> None:  # noqa: ANN401 - of the training loop, which loads torch
        """Leave the training where it is behind."""
        seen[:] = _curve(progress.curve, metric)
        if behind(seen, limits):
            raise _BehindError

    try:
        facts = importlib.import_module(door).run(job, watch)
    except _BehindError:
        return Outcome(max(value for _, value in seen), tuple(seen), pruned=True)
    except PlotpointeError as error:
        return Outcome(None, tuple(seen), failed=str(error))
    curve = _curve(files.read_lines(job.into / "curve.jsonl"), metric)
    return Outcome(facts["best_validation"], tuple(curve), parameters=facts["parameters"])


def _curve(entries: list[dict[str, Any]], metric: str) -> list[tuple[int, float]]:
    return [(int(e["epoch"]), float(e[metric])) for e in entries if metric in e]
