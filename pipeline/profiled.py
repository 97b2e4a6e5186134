"""A stage run under the profilers, in a process of its own; what it makes is thrown away.

Profiling changes no result, but it changes what a stage costs, and costs are kept in manifests that
forecasts learn from: so nothing of a profiled run is published, whether it came to its end or not.
"""

import importlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import measure
from pipeline.errors import ConfigError
from pipeline.measure import Listener
from pipeline.measure.profile import (
    NO_STACKS,
    Observed,
    Options,
    Profile,
    PySpy,
    Recorder,
    Sampled,
    Work,
)
from pipeline.orders import Order, job_of


@dataclass(frozen=True)
class Asked:
    """What a profile is to cover."""

    folder: Path
    """Where the run may write what it makes, which is removed."""
    seconds: float
    """Of the stage, at most; 0 for all of it."""
    after: float = 0.0
    """Seconds of the stage that pass before."""
    stacks_per_second: int = 0
    """Take stacks so often, in place of torch's profiler."""


@dataclass(frozen=True)
class Found:
    """What came of a profiled run."""

    profile: Profile | None
    """None of a run for stacks."""
    sampled: Sampled
    complete: bool
    """Whether the stage came to its end, and was not left after so many seconds."""
    uses_torch: bool
    """Whether the stage loads torch, so that its operators are known."""


_AGAIN_SECONDS = 1.0
"""Until the clock rings again: what it raises is lost where it falls into a destructor."""


class _EnoughError(BaseException):
    """Leaves a stage whose profile is complete; no stage may catch it."""


def profiled(asked: Asked, order: Order, listener: Listener) -> Found:
    """Return the profile, or the stacks, of one step that is run in this process.

    Raises:
        ConfigError: the stage ended before the profile began.
        PlotpointeError: the stage refused its input.
    """
    door = importlib.import_module(order.step.stage.door)
    taken: Recorder | PySpy = Recorder(Options(order.threads, OBSERVED))
    if asked.stacks_per_second:
        taken = PySpy(asked.stacks_per_second)
    window = _Window(taken, asked)
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix=".run-") as folder:
        into, scratch = Path(folder) / "into", Path(folder) / "scratch"
        into.mkdir()
        scratch.mkdir()
        with measure.task(order.step.name, listener) as task, window.around():
            door.run(job_of(order, into, scratch, task))
    if not window.begun:
        raise ConfigError(
            f"{order.step.name} ended after {window.seconds:.1f} s, before its profile began; "
            f"give --after less than {asked.after:g}"
        )
    torch = "torch" in sys.modules
    if isinstance(taken, PySpy):
        return Found(None, taken.sampled, window.complete, torch)
    return Found(taken.profile(), NO_STACKS, window.complete, torch)


class _Window:
    """The part of a run that is profiled, opened and closed by a clock in the main thread."""

    def __init__(self, taken: AbstractContextManager[Any], asked: Asked) -> None:
        """Open nothing yet; ``taken`` is entered and left with the window."""
        self._taken, self._asked = taken, asked
        self.begun, self.complete, self.seconds = False, False, 0.0

    @contextmanager
    def around(self) -> Iterator[None]:
        """Profile what happens inside, as much as was asked for; leave it when that is enough."""
        started = time.monotonic()
        before = signal.signal(signal.SIGALRM, self._rings)
        try:
            if self._asked.after > 0:
                signal.setitimer(signal.ITIMER_REAL, self._asked.after)
            else:
                self._begin()
            yield
            self.complete = True
        except _EnoughError:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self.seconds = time.monotonic() - started
            if self.begun:
                self._taken.__exit__(None, None, None)

    def _begin(self) -> None:
        self._taken.__enter__()
        self.begun = True
        if self._asked.seconds > 0:
            signal.setitimer(signal.ITIMER_REAL, self._asked.seconds, _AGAIN_SECONDS)

    def _rings(self, *_: object) -> None:
        if self.begun:
            raise _EnoughError
        self._begin()


def _of_product(args: Sequence[Any], _: object) -> Work:
    """Return the work of A @ x for a CSR matrix: a row of x is fetched for every edge."""
    indptr, indices, _values, x = args
    rows, edges, width = len(indptr) - 1, len(indices), x.shape[1]
    return Work(2 * edges * width, 12 * edges + 8 * rows + 4 * width * (edges + rows))


def _of_dots(args: Sequence[Any], _: object) -> Work:
    """Return the work of an inner product for every edge of a CSR pattern."""
    indptr, indices, _receivers, senders = args
    rows, edges, width = len(indptr) - 1, len(indices), senders.shape[1]
    return Work(2 * edges * width, 12 * edges + 8 * rows + 4 * width * (edges + rows))


OBSERVED = (
    Observed("sparse product", "pipeline.models.kernels:product", _of_product),
    Observed("inner products of edges", "pipeline.models.kernels:dots", _of_dots),
    Observed("training step", "pipeline.train.loop:Trainer.step"),
    Observed("loss", "pipeline.train.objective:Objective.__call__"),
    Observed("backward pass", "torch:Tensor.backward"),
    Observed("validation", "pipeline.train.loop:validation"),
)
"""What a profile of our stages names, beside torch's operators and the layers."""
