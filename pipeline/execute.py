"""Run steps: each in a process of its own (``children``), independent ones side by side."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pipeline import measure
from pipeline.artifacts import Artifact, Store
from pipeline.children import Children
from pipeline.config import Config
from pipeline.flow import Step
from pipeline.measure.progress import Listener
from pipeline.orders import Order, carry_out, metering_of


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


class Processes(Children[Artifact]):
    """Carries out each order in a fresh process."""

    def __init__(self, listener: Listener) -> None:
        """Hand the children's progress to ``listener``."""
        super().__init__(carry_out, listener)


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
    threads, metering = threads_of(steps, config), metering_of(config)
    try:
        while waiting or runner.running():
            for step in _ready(waiting, pending)[: config.runtime.side_by_side - runner.running()]:
                waiting.remove(step)
                if force:
                    _discard(step, store)
                runner.start(Order.of(step, config, store, threads[step.name], metering))
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
