"""What every tracker understands; the one that does nothing, and the one that is several."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Values = Mapping[str, float | None]
"""Metrics by name; None is a value that is no finite number, such as a diverged loss."""

DONE, FAILED, INTERRUPTED, RUNNING = "done", "failed", "interrupted", "running"


@dataclass(frozen=True)
class Run:
    """What is known of a run when it begins."""

    run_id: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON values, such as ``command``, ``git`` and ``environment``."""


class Tracker(Protocol):
    """Takes a run's beginning, metrics, artifacts and end."""

    def start(self, run: Run) -> None:
        """Begin a run, or go on with the one of the same ``run_id``."""

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Take metrics of a step of the run; ``step`` is an epoch or another count.

        An empty ``step_name`` is the run as a whole. ``at`` is a Unix time, now if left out.
        """

    def artifact(self, name: str, reference: str) -> None:
        """Take a reference to something that the run made or used; its bytes stay in place."""

    def finish(self, status: str) -> None:
        """End the run as ``done``, ``failed`` or ``interrupted``."""


class NullTracker:
    """Takes everything and keeps nothing."""

    def start(self, run: Run) -> None:
        """Do nothing."""

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Do nothing."""

    def artifact(self, name: str, reference: str) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""


class Several:
    """Hands every call to several trackers; one that raises is left out of that call alone."""

    def __init__(self, trackers: Iterable[Tracker]) -> None:
        """Hand calls to ``trackers`` in this order."""
        self.trackers = [*trackers]
        self.failures: list[str] = []
        """What was raised, in words; a run is never stopped by it."""

    def start(self, run: Run) -> None:
        """Begin the run everywhere."""
        self._each(lambda tracker: tracker.start(run))

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Hand metrics to all."""
        self._each(lambda tracker: tracker.log(step_name, metrics, step, at=at))

    def artifact(self, name: str, reference: str) -> None:
        """Hand a reference to all."""
        self._each(lambda tracker: tracker.artifact(name, reference))

    def finish(self, status: str) -> None:
        """End the run everywhere."""
        self._each(lambda tracker: tracker.finish(status))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in self.trackers:
            try:
                call(tracker)
            except Exception as error:  # whatever a tracker may raise
                self.failures.append(f"{type(tracker).__name__}: {in_words(error)}")


def in_words(error: BaseException) -> str:
    """Return an error as one short line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def full_name(step_name: str, metric: str) -> str:
    """Return the name of a metric within the run: ``train/loss``."""
    return f"{step_name}/{metric}" if step_name else metric


def portable(name: str) -> str:
    """Return a metric's name in the letters that every backend takes: ``ndcg_at_20``."""
    spelled = name.replace("@", "_at_").replace("%", "_percent")
    return "".join(c if c.isalnum() or c in "_-./" else "_" for c in spelled)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted names, as backends show them."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{name}.")
        else:
            flat[name] = value
    return flat
