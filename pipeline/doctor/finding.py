"""What a check says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "skip"]
OK: Status = "ok"
WARN: Status = "warn"
FAIL: Status = "fail"
SKIP: Status = "skip"
_WORTH = {OK: 1.0, WARN: 0.5, FAIL: 0.0}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    status: Status
    what: str
    cure: str = ""
    """The command that mends it; empty where nothing needs mending."""


def score(findings: Iterable[Finding]) -> int:
    """Return 0 to 100: the mean worth of what could be checked, 100 where nothing could."""
    worth = [_WORTH[f.status] for f in findings if f.status in _WORTH]
    return round(100 * sum(worth) / len(worth)) if worth else 100
