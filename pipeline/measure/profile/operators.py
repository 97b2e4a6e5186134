"""From the events of torch's profiler to tables: by operator, and by layer or function."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

from pipeline.measure.profile.observe import FUNCTION, MODULE, Tally

OUTSIDE = "outside of all layers"
_BACKWARD = "autograd::engine::evaluate_function: "
_BACKWARD_SCOPE = 1
_BYTES_OF = {
    "double": 8, "long int": 8, "long": 8, "float": 4, "int": 4, "c10::BFloat16": 2,
    "c10::Half": 2, "bool": 1, "unsigned char": 1, "signed char": 1,
}  # fmt: skip
_PRODUCTS = {"mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_"}
_BY_ELEMENT = {
    "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "neg", "abs", "exp", "log", "tanh",
    "sigmoid", "relu", "relu_", "sqrt", "pow", "copy_", "where", "addcmul_", "addcdiv_", "lerp_",
    "clamp_min", "tanh_backward", "sigmoid_backward", "threshold_backward", "maximum", "square",
}  # fmt: skip
_OF_ALL = {"sum", "mean", "max", "min", "amax", "argmax", "fill_", "zero_"}
"""Operators that read, or write, every element of their inputs and little else."""


@dataclass(frozen=True)
class Row:
    """A line of a table: an operator, a layer or a function."""

    name: str
    calls: int
    seconds: float
    """With everything inside."""
    self_seconds: float
    """Without what has a name of its own inside."""
    flops: float | None = None
    bytes: float | None = None
    """Read and written, each operand once; None where nobody knows."""
    backward_seconds: float | None = None
    """Of the gradients of what a layer did; None where it had none."""

    @property
    def flops_per_second(self) -> float | None:
        """Return the rate, None where the work is not known."""
        return None if self.flops is None else self.flops / max(self.seconds, 1e-9)

    @property
    def bytes_per_second(self) -> float | None:
        """Return the rate, None where the work is not known."""
        return None if self.bytes is None else self.bytes / max(self.seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and rates as JSON values."""
        rates = {
            "flops_per_second": self.flops_per_second,
            "bytes_per_second": self.bytes_per_second,
        }
        return {**vars(self), **rates}


class Event(Protocol):
    """One of torch's ``FunctionEvent``: an operator, or a named block, in one thread."""

    name: str
    thread: int
    scope: int
    sequence_nr: int
    flops: int | None
    input_shapes: Sequence[Sequence[int]] | None
    input_dtypes: Sequence[str] | None
    cpu_parent: "Event | None"

    @property
    def cpu_time_total(self) -> float:
        """Return the microseconds, with everything inside."""

    @property
    def self_cpu_time_total(self) -> float:
        """Return the microseconds, without operators inside."""


def operators(events: Iterable[Event], tallies: Mapping[str, Tally]) -> list[Row]:
    """Return a row for each operator and observed function, longest self time first."""
    found: dict[str, list[Event]] = {}
    for event in events:
        if not event.name.startswith(MODULE):
            found.setdefault(event.name, []).append(event)
    rows = [_operator(name, of_name, tallies) for name, of_name in found.items()]
    return sorted(rows, key=lambda row: -row.self_seconds)


def _operator(name: str, events: Sequence[Event], tallies: Mapping[str, Tally]) -> Row:
    seconds = sum(e.cpu_time_total for e in events if _is_outermost(e)) / 1e6
    own = sum(e.self_cpu_time_total for e in events) / 1e6
    if name.startswith(FUNCTION):
        name = name.removeprefix(FUNCTION)
        flops, moved = _of(tallies.get(name))
        return Row(name, len(events), seconds, own, flops, moved)
    flops = sum(map(flops_of, events)) or None
    return Row(name, len(events), seconds, own, flops, _total(map(bytes_of, events)))


def _is_outermost(event: Event) -> bool:
    above: Event | None = event.cpu_parent
    while above is not None:
        if above.name == event.name:
            return False
        above = above.cpu_parent
    return True


def _of(tally: Tally | None) -> tuple[float | None, float | None]:
    known = tally is not None and tally.calls > 0 and tally.knows_work
    return (tally.flops, tally.bytes) if tally and known else (None, None)


def _total(values: Iterable[int | None]) -> float | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def bytes_of(event: Event) -> int | None:
    """Return what an operator reads and writes, each operand once; None where nobody knows."""
    name = event.name.removeprefix("aten::")
    if name not in _PRODUCTS | _BY_ELEMENT | _OF_ALL:
        return None
    sizes = [
        (prod(shape), _BYTES_OF.get(kind, 0))
        for shape, kind in zip(event.input_shapes or (), event.input_dtypes or (), strict=False)
        if shape and kind in _BYTES_OF
    ]
    if not sizes:  # single numbers
        return 0
    read, width = sum(count * width for count, width in sizes), sizes[0][1]
    if name in _PRODUCTS:
        rows, _, columns = _product(event)
        return read + rows * columns * width
    if name in _OF_ALL or name == "copy_":
        return read
    return read + max(count for count, _ in sizes) * width


def flops_of(event: Event) -> int:
    """Return the floating-point operations of an operator; 0 where torch does not count any."""
    if event.flops or event.name.removeprefix("aten::") not in _PRODUCTS:
        return event.flops or 0
    return 2 * prod(_product(event))


def _product(event: Event) -> tuple[int, int, int]:
    """Return rows, the width that is summed over, and columns of a matrix product."""
    shapes = [shape for shape in event.input_shapes or () if shape and len(shape) >= 2]
    if len(shapes) < 2:
        return 0, 0, 0
    left, right = shapes[-2:]
    return prod(left[:-1]), left[-1], right[-1]


def parts(events: Sequence[Event]) -> list[Row]:
    """Return a row for each layer and observed function, with what was outside, longest first.

    The gradients of what a layer did are found by the numbers that torch gives to both.
    """
    homes = _Homes()
    own: dict[str, float] = {}
    whole: dict[str, float] = {}
    calls: dict[str, int] = {}
    backward: dict[str, float] = {}
    numbers = {
        event.sequence_nr: homes.of(event)
        for event in events
        if event.sequence_nr >= 0 and event.scope != _BACKWARD_SCOPE
        and not event.name.startswith(_BACKWARD)
    }  # fmt: skip
    for event in events:
        home = homes.of(event)
        own[home] = own.get(home, 0.0) + event.self_cpu_time_total / 1e6
        if event.name == home:
            calls[home] = calls.get(home, 0) + 1
            if _is_outermost(event):
                whole[home] = whole.get(home, 0.0) + event.cpu_time_total / 1e6
        if event.name.startswith(_BACKWARD):
            source = numbers.get(event.sequence_nr, OUTSIDE)
            backward[source] = backward.get(source, 0.0) + event.cpu_time_total / 1e6
    names = {*own, *backward}
    rows = [
        Row(
            _shown(name), calls.get(name, 0), whole.get(name, own.get(name, 0.0)),
            own.get(name, 0.0), backward_seconds=backward.get(name),
        )
        for name in names
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row.self_seconds, row.name))


def _shown(name: str) -> str:
    return name.removeprefix(MODULE).removeprefix(FUNCTION)


class _Homes:
    """The nearest layer or function around each event."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[int, str] = {}

    def of(self, event: Event) -> str:
        """Return the name of the layer or function around an event, or its own."""
        path: list[Event] = []
        home = OUTSIDE
        at: Event | None = event
        while at is not None:
            if id(at) in self._known:
                home = self._known[id(at)]
                break
            path.append(at)
            if at.name.startswith((MODULE, FUNCTION)):
                home = at.name
                break
            at = at.cpu_parent
        self._known.update((id(each), home) for each in path)
        return home


def covered_seconds(events: Iterable[Event]) -> float:
    """Return how long the busiest thread was inside operators and observed functions.

    The time that a layer has for itself is Python's, which is in none of them.
    """
    threads: dict[int, float] = {}
    for event in events:
        if not event.name.startswith(MODULE):
            own = event.self_cpu_time_total / 1e6
            threads[event.thread] = threads.get(event.thread, 0.0) + own
    return max(threads.values(), default=0.0)
