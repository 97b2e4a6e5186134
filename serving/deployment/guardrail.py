"""How control and challenger do side by side, and whether the challenger has to go."""

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from pipeline.arrays import Floats
from pipeline.sections import Section
from serving.deployment.clicks import Clicks

_ERRORS_APART = 3.0
"""Standard errors set aside for chance: the comparison is made again and again."""

_LEAST_SECONDS = 0.002
"""Slower by less than this is not slower."""

_QUANTILE = 0.95


class Margins(Section):
    """By how much a challenger may be worse than the control."""

    requests: int = Field(200, ge=1)
    """Answers that each arm must have given before they are compared."""
    window: int = Field(5_000, ge=10)
    """Latest answers of each arm that are compared."""
    errors: float = Field(0.01, ge=0)
    """Share of failures above the control's."""
    latency: float = Field(1.5, gt=1)
    """Times the control's 95th percentile."""
    shortfalls: float = Field(0.02, ge=0)
    """Share of lists shorter than asked for above the control's."""
    clicks: bool = False
    """Whether a challenger goes whose share of users who take something up is surely lower: the
    always-valid 95 % interval of the difference is below 0. With several workers each judges by
    what it saw itself."""


class Outcome(NamedTuple):
    """How one list came about."""

    seconds: float
    failed: bool
    short: bool


Verdict = tuple[Literal["errors", "latency", "shortfalls", "clicks"], str]
"""What is worse, and by how much in words."""


class Trial:
    """The latest outcomes of two arms; threads may share it."""

    def __init__(self, margins: Margins) -> None:
        """Begin with nothing seen."""
        self.margins = margins
        self.clicks = Clicks()
        self._lock = threading.Lock()
        self._seen: dict[str, deque[Outcome]] = {}

    def add(self, arm: str, outcomes: Sequence[Outcome]) -> None:
        """Note outcomes of an arm."""
        with self._lock:
            if arm not in self._seen:
                self._seen[arm] = deque(maxlen=self.margins.window)
            self._seen[arm].extend(outcomes)

    def clear(self) -> None:
        """Forget everything: another challenger begins anew."""
        self.clicks.clear()
        with self._lock:
            self._seen.clear()

    def verdict(self, control: str, challenger: str) -> Verdict | None:
        """Return why the challenger has to go, None where it may stay."""
        with self._lock:
            ours, theirs = ([*self._seen.get(arm, ())] for arm in (control, challenger))
        if min(len(ours), len(theirs)) < self.margins.requests:
            return None
        return judge(ours, theirs, self.margins) or self._fewer_clicks(control, challenger)

    def _fewer_clicks(self, control: str, challenger: str) -> Verdict | None:
        if not self.margins.clicks:
            return None
        found = self.clicks.running(control, challenger)
        if found.high >= 0:
            return None
        return "clicks", (
            f"clicks: {found.difference:+.2%} of users take something up, always-valid 95 % "
            f"interval {found.low:+.2%} to {found.high:+.2%}"
        )


def judge(
    control: Sequence[Outcome], challenger: Sequence[Outcome], margins: Margins
) -> Verdict | None:
    """Return in what the challenger is worse by more than the margin and chance together."""
    ours, theirs = np.array(control, dtype=float), np.array(challenger, dtype=float)
    for what, column, margin in (
        ("errors", 1, margins.errors),
        ("shortfalls", 2, margins.shortfalls),
    ):
        worse, chance = _difference(ours[:, column], theirs[:, column])
        if worse - _ERRORS_APART * chance > margin:
            shares = f"{theirs[:, column].mean():.2%} against {ours[:, column].mean():.2%}"
            return what, f"{what}: {shares}, {margin:.2%} more is allowed"  # type: ignore[return-value]
    fast, slow = _quantile(ours), _quantile(theirs)
    if slow > margins.latency * fast and slow - fast > _LEAST_SECONDS:
        return "latency", (
            f"latency: 95 % within {slow * 1e3:.1f} ms against {fast * 1e3:.1f} ms, "
            f"{margins.latency:g} times is allowed"
        )
    return None


def _difference(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Return by how much a share is higher, and that difference's standard error.

    Shapes:
        ours: (A,) of 0 and 1. theirs: (B,) of 0 and 1.
    """
    variances = [share * (1 - share) / n for share, n in _shares(ours, theirs)]
    return float(theirs.mean() - ours.mean()), math.sqrt(sum(variances))


def _shares(*columns: Floats) -> list[tuple[float, int]]:
    return [(float(column.mean()), len(column)) for column in columns]


def _quantile(outcomes: Floats) -> float:
    """Return the seconds within which most answers came; failures do not count as fast.

    Shapes:
        outcomes: (A, 3).
    """
    answered = outcomes[outcomes[:, 1] == 0, 0]
    return float(np.quantile(answered, _QUANTILE)) if len(answered) else 0.0
