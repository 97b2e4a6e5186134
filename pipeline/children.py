"""A process for each order: progress and result come back through a pipe.

A process of its own gives a stage its own memory (returned when it ends) and its own peak, and
keeps torch out of everything else. It ends when its parent does, however that dies.
"""

import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from pipeline import errors
from pipeline.errors import PlotpointeError, StageFailedError, StageKilledError
from pipeline.measure.progress import Event, Forward, Listener, Metrics
from pipeline.measure.rates import THREAD_VARIABLES
from pipeline.orders import Order

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
    # Standard output is the command's answer; a library of a stage may print what it likes.
    os.dup2(2, 1)
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
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
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
