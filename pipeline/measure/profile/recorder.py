"""The door to the profilers: torch's from inside the program, with functions and layers named.

    recorder = Recorder(Options(threads=2))
    with recorder:
        work()
    profile = recorder.profile()
    profile.write(folder, "training")

``PySpy`` (stacks.py) is used the same way. Not over the same time, where rates matter: it stops
the program for every stack that it takes, which torch's clock counts as work.
"""

import gzip
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.measure.bottleneck import Ability, bottleneck
from pipeline.measure.cost import Cost
from pipeline.measure.profile.ceilings import Ceilings, ceilings
from pipeline.measure.profile.observe import Layers, Observed, Observer
from pipeline.measure.profile.operators import Row, covered_seconds, operators, parts
from pipeline.measure.profile.result import Profile, Rates
from pipeline.measure.profile.words import sentences
from pipeline.measure.task import Task, task

_ROWS = 60
"""Of each table, at most; what is left out takes less than any that is shown."""


@dataclass(frozen=True)
class Options:
    """How to take a profile."""

    threads: int = 1
    """That the work may use: its ceilings are measured with as many."""
    observed: Sequence[Observed] = ()
    """Functions to name, beside torch's operators and layers."""


class Recorder:
    """Takes one profile of what happens inside its ``with`` block, in the main thread."""

    def __init__(self, options: Options) -> None:
        """Begin nothing yet."""
        self._options = options
        self._observer, self._stack = Observer(), ExitStack()
        self._torch: Any = None
        self._task: Task = task("profile", sampled=True)

    def __enter__(self) -> "Recorder":
        """Start; torch's profiler only where the program has loaded torch."""
        if "torch" in sys.modules:
            import torch
            from torch.profiler import profile

            self._torch = profile(
                activities=_activities(torch),
                record_shapes=True,
                with_flops=True,
                acc_events=True,
            )
            self._stack.enter_context(Layers().watching())
        self._stack.enter_context(self._observer.watching(self._options.observed))
        if self._torch:
            self._torch.start()
        self._task.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._task.__exit__(kind, error, trace)
        self._stack.close()
        if self._torch:
            self._torch.stop()

    def profile(self) -> Profile:
        """Return what was found; measures the machine's ceilings, which takes seconds."""
        cost = self._task.cost
        assert cost is not None
        most = ceilings(self._options.threads, "torch" if self._torch else "numpy")
        events = self._torch.events() if self._torch else []
        by_operator = operators(events, self._observer.tallies)
        outside = max(0.0, cost.wall_seconds - covered_seconds(events))
        rates = _rates(self._counted(by_operator), cost, most)
        limit = bottleneck(
            cost,
            Ability(most.threads, memory_bytes_per_second=most.bytes_per_second),
            rates.bytes,
        )
        return Profile(
            cost=cost,
            operators=by_operator[:_ROWS],
            parts=(parts(events) if events else _observed_rows(self._observer))[:_ROWS],
            outside_seconds=outside if events else None,
            ceilings=most,
            rates=rates,
            bottleneck=limit,
            sentences=sentences(by_operator, cost.wall_seconds, outside, most),
            trace=self._trace(),
        )

    def _counted(self, by_operator: Sequence[Row]) -> Sequence[Row]:
        return by_operator or _observed_rows(self._observer)

    def _trace(self) -> bytes | None:
        """Return the Chrome trace, compressed; None where torch was not used."""
        if not self._torch:
            return None
        with tempfile.TemporaryDirectory(prefix="trace-") as folder:
            path = Path(folder) / "trace.json"
            self._torch.export_chrome_trace(str(path))
            with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", 6) as packed:
                shutil.copyfileobj(plain, packed)
            return Path(f"{path}.gz").read_bytes()


def _activities(torch: Any) -> list[Any]:  # noqa: ANN401 - loaded by the program, or not at all
    kinds = torch.profiler.ProfilerActivity
    return [kinds.CPU, *([kinds.CUDA] if torch.cuda.is_available() else [])]


def _observed_rows(observer: Observer) -> list[Row]:
    rows = [
        Row(
            name, tally.calls, tally.seconds, tally.seconds,
            tally.flops if tally.knows_work and tally.calls else None,
            tally.bytes if tally.knows_work and tally.calls else None,
        )
        for name, tally in observer.tallies.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.self_seconds)


def _rates(rows: Sequence[Row], cost: Cost, most: Ceilings) -> Rates:
    flops = [row.flops for row in rows if row.flops is not None]
    moved = [row.bytes for row in rows if row.bytes is not None]
    return Rates.of(sum(flops) if flops else None, sum(moved) if moved else None, cost, most)
