"""Progress: a bar advanced here and drawn by whoever listens, in this process or another."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Event:
    """The state of one bar."""

    bar: str
    done: int
    total: int | None
    unit: str
    finished: bool = False
    note: str = ""


@dataclass(frozen=True)
class Metrics:
    """Numbers that a task logged."""

    task: str
    """The names of the task and of those around it, outermost first: ``train/fit``."""
    values: Mapping[str, float]
    step: int | None = None
    """Epoch, or whatever the task counts."""
    at: float = field(default_factory=time.time)
    """Seconds since 1970."""


Heard = Event | Metrics


class Listener(Protocol):
    """Whoever wants to know how far work has come and what it measures."""

    def hear(self, event: Heard) -> None:
        """Take one state of one bar, or numbers that a task logged."""


class Silent:
    """Listens to nothing."""

    def hear(self, event: Heard) -> None:
        """Ignore the event."""


@dataclass
class Forward:
    """Hands every event to a function, such as the sending end of a pipe, one at a time."""

    send: Callable[[Heard], None]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def hear(self, event: Heard) -> None:
        """Pass the event on; a stage's threads may each have a bar, and a pipe takes one writer."""
        with self._lock:
            self.send(event)


class Bar:
    """Counts what is done and tells the listener, at most ten times a second."""

    def __init__(self, name: str, total: int | None, unit: str, listener: Listener) -> None:
        """Start at nothing done; ``total`` None means unknown."""
        self.name, self.total, self.unit = name, total, unit
        self.done, self.note = 0, ""
        self._listener = listener
        self._told = 0.0
        self._tell(finished=False)

    def advance(self, by: int = 1, note: str | None = None) -> None:
        """Count ``by`` more as done; ``note`` is shown beside the bar."""
        self.done += by
        self.note = self.note if note is None else note
        if time.monotonic() - self._told >= _EVERY_SECONDS:
            self._tell(finished=False)

    def close(self) -> None:
        """Tell that the work is over."""
        self._tell(finished=True)

    def _tell(self, *, finished: bool) -> None:
        self._told = time.monotonic()
        self._listener.hear(Event(self.name, self.done, self.total, self.unit, finished, self.note))


class Console:
    """Draws bars with rate and time left on standard error, through rich."""

    def __init__(self) -> None:
        """Draw nothing until the first event."""
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=RichConsole(stderr=True),
        )
        self._bars: dict[str, tuple[int, float]] = {}

    def __enter__(self) -> "Console":
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing and leave the last state on the screen."""
        self._progress.stop()

    def hear(self, event: Heard) -> None:
        """Draw the event's bar; logged numbers are not drawn."""
        if isinstance(event, Metrics):
            return
        if event.bar not in self._bars:
            added = self._progress.add_task(event.bar, total=event.total, rate="", note="")
            self._bars[event.bar] = (added, time.monotonic())
        bar, started = self._bars[event.bar]
        rate = event.done / max(1e-9, time.monotonic() - started)
        self._progress.update(
            bar,  # type: ignore[arg-type]
            completed=event.done,
            total=event.done if event.finished else event.total,
            rate=f"{rate:,.1f} {event.unit}/s",
            note=event.note,
        )
        if event.finished:
            del self._bars[event.bar]
