"""Run steps: each in a process of its own, independent ones side by side.

A process of its own gives a stage its own memory (returned when it ends) and its own peak, and
keeps torch out of everything else. The child's progress and result come back through a pipe; it
ends when its parent does, however that dies.
"""

import errno
import importlib
import multiprocessing
import multiprocessing.connection
import os
import platform
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline import errors, measure
from pipeline.artifacts import Artifact, Store
from pipeline.config import Config, DataConfig, RuntimeConfig
from pipeline.errors import (
    ArtifactError,
    PlotpointeError,
    StageFailedError,
    StageKilledError,
)
from pipeline.flow import Step
from pipeline.job import Job
from pipeline.measure import Task
from pipeline.measure.progress import Event, Forward, Listener, Metrics
from pipeline.schema import KINDS

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PACKAGES = ("torch", "transformers", "faiss-cpu", "numpy", "scipy", "pyarrow", "duckdb")


@dataclass(frozen=True)
class Order:
    """A step with everything its process needs to carry it out."""

    step: Step
    store: Store
    data: DataConfig
    runtime: RuntimeConfig
    seed: int
    threads: int

    @classmethod
    def of(cls, step: Step, config: Config, store: Store, threads: int) -> "Order":
        """Return the order for one step of a run."""
        return cls(step, store, config.data, config.runtime, config.seed, threads)


def carry_out(order: Order, listener: Listener) -> Artifact:
    """Run one step in this process and publish its artifact.

    Raises:
        PlotpointeError: an input is missing or the stage refused its input.
    """
    step, store = order.step, order.store
    door = importlib.import_module(step.stage.door)
    scratch = store.scratch(step.stage.name, step.fingerprint)
    with store.draft(step.kind, step.fingerprint) as draft:
        with measure.task(step.name, listener, sampled=True) as task:
            facts = door.run(job_of(order, draft, scratch, task))
        assert task.cost is not None
        published = store.publish(draft, _manifest(order, facts, task.cost.as_dict()))
    shutil.rmtree(scratch, ignore_errors=True)
    return published


def job_of(order: Order, into: Path, scratch: Path, task: Task) -> Job[Any]:
    """Return what a stage is given to carry out an order.

    Raises:
        ArtifactError: an input is not made yet.
    """
    return Job(
        config=order.step.config,
        data=order.data,
        inputs=_open_inputs(order.step, order.store),
        into=into,
        scratch=scratch,
        task=task,
        seed=order.seed,
        threads=order.threads,
        runtime=order.runtime,
    )


def _open_inputs(step: Step, store: Store) -> dict[str, Artifact]:
    inputs = {}
    for name, needed in step.needs.items():
        artifact = store.find(needed.kind, needed.fingerprint)
        if artifact is None:
            raise ArtifactError(
                f"{step.name} needs {needed.kind} {needed.fingerprint}, which {store.root} does "
                f"not hold. Make it: plotpointe run CONFIG --to {needed.stage.name}"
            )
        inputs[name] = artifact
    return inputs


def _manifest(order: Order, facts: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    step = order.step
    return {
        "kind": step.kind,
        "kind_version": KINDS[step.kind].version,
        "fingerprint": step.fingerprint,
        "step": step.name,
        **step.request,
        "facts": facts,
        "cost": cost,
        "environment": {**_environment(), "threads": order.threads},
    }


def _environment() -> dict[str, Any]:
    packages = {}
    for name in (*_PACKAGES, "plotpointe"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "packages": packages,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


class Runner(Protocol):
    """Carries out orders, several at once or one by one."""

    def start(self, order: Order) -> None:
        """Begin an order."""

    def next_finished(self) -> tuple[Order, Artifact]:
        """Wait for any begun order to end and return its artifact."""

    def running(self) -> int:
        """Return how many orders were begun and have not ended."""

    def stop(self) -> None:
        """End or forget whatever has not ended."""


@dataclass
class InProcess:
    """Carries out orders here, one by one: for tests, notebooks and debuggers."""

    listener: Listener = field(default_factory=measure.Silent)
    _begun: list[Order] = field(default_factory=list)

    def start(self, order: Order) -> None:
        """Queue the order."""
        self._begun.append(order)

    def next_finished(self) -> tuple[Order, Artifact]:
        """Carry out the oldest queued order."""
        order = self._begun.pop(0)
        return order, carry_out(order, self.listener)

    def running(self) -> int:
        """Return how many orders are queued."""
        return len(self._begun)

    def stop(self) -> None:
        """Forget queued orders."""
        self._begun.clear()


R = TypeVar("R")
Work = Callable[[Order, Listener], R]
"""What is done with an order: its artifact is made, or something lighter is measured."""


class Children(Generic[R]):
    """Does a piece of work for each order in a fresh process."""

    def __init__(self, work: Work[R], listener: Listener) -> None:
        """Hand the children's progress to ``listener``."""
        self._work, self._listener = work, listener
        self._context = multiprocessing.get_context("spawn")
        self._children: dict[Connection, tuple[Order, Any]] = {}

    def start(self, order: Order) -> None:
        """Start a child for the order."""
        here, there = self._context.Pipe(duplex=False)
        child = self._context.Process(
            target=_child, args=(self._work, order, there), name=f"plotpointe-{order.step.name}"
        )
        with _thread_limit(order.threads), _interrupts_held():
            child.start()
        there.close()
        self._children[here] = (order, child)

    def running(self) -> int:
        """Return how many children are alive or unread."""
        return len(self._children)

    def next_finished(self) -> tuple[Order, R]:
        """Relay progress until a child ends, and return what it made.

        Raises:
            PlotpointeError: what the child raised.
            StageKilledError: the child died without a word.
            StageFailedError: it died of a bug.
        """
        while True:
            for pipe in multiprocessing.connection.wait([*self._children]):
                assert isinstance(pipe, Connection)
                try:
                    message = pipe.recv()
                except EOFError:
                    message = None
                if isinstance(message, Event | Metrics):
                    self._listener.hear(message)
                    continue
                order, child = self._children.pop(pipe)
                child.join()
                return order, _result_of(message, order, child.exitcode)

    def stop(self) -> None:
        """End every child."""
        for _, child in self._children.values():
            child.terminate()
        for _, child in self._children.values():
            child.join()
        self._children.clear()


class Processes(Children[Artifact]):
    """Carries out each order in a fresh process."""

    def __init__(self, listener: Listener) -> None:
        """Hand the children's progress to ``listener``."""
        super().__init__(carry_out, listener)


def _result_of(message: Any, order: Order, exit_code: int | None) -> Any:  # noqa: ANN401
    if isinstance(message, tuple):
        raise _error_named(*message)
    if message is not None:
        return message
    how = signal.Signals(-exit_code).name if exit_code and exit_code < 0 else f"code {exit_code}"
    raise StageKilledError(
        f"stage {order.step.name} ended by {how} without a result (SIGKILL is often a lack of "
        f"memory). The same command resumes it"
    )


def _error_named(name: str, text: str) -> PlotpointeError:
    kind = getattr(errors, name, StageFailedError)
    error: PlotpointeError = kind(text)
    return error


def _child(work: Work[R], order: Order, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    _end_with_parent()
    try:
        pipe.send(work(order, Forward(pipe.send)))
    except PlotpointeError as error:
        pipe.send((type(error).__name__, str(error)))
    except ModuleNotFoundError as error:
        missing = errors.missing_package(error)
        pipe.send((type(missing).__name__, str(missing)))
    except OSError as error:
        pipe.send((type(error).__name__, f"stage {order.step.name}: {explain_os_error(error)}"))
    except Exception:
        trace = traceback.format_exc()
        pipe.send(("StageFailedError", f"stage {order.step.name} has a bug:\n{trace}"))
    finally:
        pipe.close()


def explain_os_error(error: OSError) -> str:
    """Return what the system refused, where, and what to do about a full disk."""
    cure = ". Free some space or choose another --store" if error.errno == errno.ENOSPC else ""
    return f"{error.strerror or error} ({error.filename or 'no path'}){cure}"


def _leave(*_: object) -> None:
    raise SystemExit(1)


def _end_with_parent() -> None:
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        """End this process when the parent is gone."""
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _thread_limit(threads: int) -> Iterator[None]:
    """Let a child started inside see the limit before its first import reads it."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from a child started inside, however early; we hear it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


Told = Callable[[Step, Artifact, bool], None]
"""Called for every step with its artifact and whether it was made now."""


def run(
    steps: list[Step],
    config: Config,
    store: Store,
    runner: Runner,
    *,
    force: bool = False,
    told: Told = lambda *_: None,
) -> dict[str, Artifact]:
    """Make what is missing among ``steps`` and return every step's artifact by name.

    Steps whose inputs are complete run side by side, at most ``runtime.side_by_side`` of them.

    Raises:
        PlotpointeError: from the first step that failed; the others running are ended.
    """
    done: dict[str, Artifact] = {}
    waiting = list(steps)
    for step in steps:
        artifact = store.find(step.kind, step.fingerprint)
        if artifact and not force:
            done[step.name] = artifact
            waiting.remove(step)
            told(step, artifact, False)
    pending = {step.name for step in waiting}
    threads = threads_of(steps, config)
    try:
        while waiting or runner.running():
            for step in _ready(waiting, pending)[: config.runtime.side_by_side - runner.running()]:
                waiting.remove(step)
                if force:
                    _discard(step, store)
                runner.start(Order.of(step, config, store, threads[step.name]))
            order, artifact = runner.next_finished()
            pending.discard(order.step.name)
            done[order.step.name] = artifact
            told(order.step, artifact, True)
    finally:
        runner.stop()
    return done


def _ready(waiting: list[Step], pending: set[str]) -> list[Step]:
    return [s for s in waiting if not any(n.name in pending for n in s.needs.values())]


def _discard(step: Step, store: Store) -> None:
    if store.folder(step.kind, step.fingerprint).exists():
        store.remove(step.kind, step.fingerprint)


def threads_of(steps: list[Step], config: Config) -> dict[str, int]:
    """Return the threads of each step, from the shape of the flow alone.

    Steps that can run side by side share the cores whether or not their neighbours are cached,
    so that a resumed run repeats the same arithmetic.
    """
    cores = config.runtime.cores()
    shared = max(1, cores // config.runtime.side_by_side)
    alone = {"etl", "embed", "graph"} | (set() if config.baselines else {"train"})
    return {s.name: cores if s.name in alone else shared for s in steps}
