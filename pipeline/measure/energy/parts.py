"""The parts of a machine that draw energy; each says what it drew in an interval."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.measure.energy.load import MachineLoad, OwnLoad
from pipeline.measure.energy.nvml import Board
from pipeline.measure.energy.power import Processor, memory_watts
from pipeline.measure.energy.rapl import Counter


class Part(Protocol):
    """A part of a machine."""

    @property
    def label(self) -> str:
        """Return ``rapl``, ``nvml``, or ``estimate: …``."""

    def joules(self, seconds: float) -> float:
        """Return what was drawn in the ``seconds`` since the last call."""


@dataclass
class OwnProcessors:
    """Estimate: the design power, as much of it as this process and its descendants keep busy."""

    processor: Processor
    load: OwnLoad = field(default_factory=OwnLoad)

    @property
    def label(self) -> str:
        """Return what the estimate rests on."""
        return f"estimate: {self.processor.label}"

    def joules(self, seconds: float) -> float:
        """Return the share of the design power, times the time."""
        return self.processor.own_watts(self.load.seconds())


@dataclass
class MachineProcessors:
    """Estimate: what all processors draw at the load that the machine has."""

    processor: Processor
    load: MachineLoad = field(default_factory=MachineLoad)

    @property
    def label(self) -> str:
        """Return what the estimate rests on."""
        return f"estimate: {self.processor.label}, whole machine"

    def joules(self, seconds: float) -> float:
        """Return the power at the load, times the time."""
        return self.processor.machine_watts(self.load.share() or 0.0) * seconds


@dataclass
class Packages:
    """Counted by the kernel; ``own`` is the share of the processor time that was ours."""

    counters: Sequence[Counter]
    own: OwnLoad | None = None
    """None bills the whole machine."""
    machine: MachineLoad = field(default_factory=MachineLoad)
    label: str = "rapl"

    def joules(self, seconds: float) -> float:
        """Return what was counted, times the share of it that is ours."""
        counted = sum(counter.joules() for counter in self.counters)
        if self.own is None:
            return counted
        ours, busy = self.own.seconds(), self.machine.seconds()
        return counted * min(1.0, ours / busy) if busy and busy > 0 else 0.0


@dataclass
class Memory:
    """Estimate: so many watts for each module that holds so much; CodeCarbon's rule."""

    gibibytes: float | None
    """Of the whole machine; None bills what is resident of this process and its descendants."""
    own: OwnLoad | None = None

    @property
    def label(self) -> str:
        """Return what the estimate rests on."""
        return "estimate: memory by its size"

    def joules(self, seconds: float) -> float:
        """Return the power of the memory, times the time."""
        size = self.gibibytes
        if size is None:
            size = self.own.tree.gibibytes if self.own else 0.0
        return memory_watts(size) * seconds


@dataclass
class Gpus:
    """Counted by the driver; ``own`` tells which processes are ours."""

    boards: Sequence[Board]
    own: OwnLoad | None = None
    label: str = "nvml"

    def joules(self, seconds: float) -> float:
        """Return what was counted on every GPU, times the share of it that is ours."""
        drawn = [board.joules(seconds) for board in self.boards]
        if self.own is None:
            return sum(drawn)
        pids = self.own.tree.pids
        shares = [board.share(pids) for board in self.boards]
        return sum(joules * share for joules, share in zip(drawn, shares, strict=True))


def label_of(parts: Sequence[Part]) -> str:
    """Return how the energy of all parts together is known: what is counted, then what is not."""
    labels = [part.label for part in parts]
    counted = sorted({label for label in labels if not label.startswith("estimate: ")})
    guessed = [label.removeprefix("estimate: ") for label in labels if label not in counted]
    told = ["+".join(counted)] if counted else []
    return "; ".join(told + (["estimate: " + ", ".join(guessed)] if guessed else []))
