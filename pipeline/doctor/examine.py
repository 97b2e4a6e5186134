"""All checks side by side, each with a time limit; one that crashes or hangs is a finding."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.doctor.finding import FAIL, WARN, Finding

Check = Callable[[], Iterable[Finding]]
SECONDS = 5.0
"""For everything: the checks run at the same time."""


@dataclass
class _Running:
    """One check in a thread that nobody has to wait for."""

    name: str
    check: Check
    found: list[Finding] | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self._run, name=f"doctor {self.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.found = [*self.check()]
        except ModuleNotFoundError as error:
            what = f"could not be made: {error.name} is not installed"
            self.found = [Finding(self.name, WARN, what, "pip install 'plotpointe[pipeline]'")]
        except Exception as error:  # whatever it is, the other checks have their say
            what = f"the check itself failed: {type(error).__name__}: {error}"
            self.found = [Finding(self.name, FAIL, what, "plotpointe doctor --json, and report it")]

    def result(self, seconds: float) -> list[Finding]:
        """Return what was found, within so many seconds."""
        self.thread.join(max(0.0, seconds))
        found = self.found
        if found is not None:
            return found
        told = f"was not done after {SECONDS:g} s; the machine is busy, or a disk or network hangs"
        return [Finding(self.name, WARN, told, f"plotpointe doctor --only {self.name}")]


def examine(checks: Mapping[str, Check], seconds: float = SECONDS) -> list[Finding]:
    """Return the findings of every check, in their order, after at most so many seconds."""
    until = time.monotonic() + seconds
    running = [_Running(name, check) for name, check in checks.items()]
    return [finding for each in running for finding in each.result(until - time.monotonic())]


def worst(findings: Sequence[Finding]) -> str:
    """Return ``fail``, ``warn`` or ``ok``."""
    found = {finding.status for finding in findings}
    return next((status for status in (FAIL, WARN) if status in found), "ok")
