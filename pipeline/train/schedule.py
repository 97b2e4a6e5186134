"""The learning rate of a step, as a function; nothing to save or restore."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PLATEAU_PATIENCE = 5
PLATEAU_FACTOR = 0.5


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then constant, cosine to zero, or halved on plateaus."""

    kind: Literal["constant", "cosine", "plateau"]
    warmup_steps: int
    total_steps: int

    def factor(self, step: int, stale: int = 0) -> float:
        """Return what the peak rate is multiplied with at ``step`` (0 is the first).

        ``stale`` counts the plateaus so far (see ``plateaus``); only ``plateau`` heeds it.
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.kind == "plateau":
            return PLATEAU_FACTOR**stale
        if self.kind == "cosine":
            done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return 1.0


def plateaus(values: Sequence[float]) -> int:
    """Return how often the metric went ``PLATEAU_PATIENCE`` validations without a new best."""
    best, waited, found = -math.inf, 0, 0
    for value in values:
        best, waited = (value, 0) if value > best else (best, waited + 1)
        if waited == PLATEAU_PATIENCE:
            found, waited = found + 1, 0
    return found
