"""What an epoch costs: noted beside its loss, and kept out of what a model is compared by."""

from collections.abc import Callable
from typing import Any

from pipeline.measure import Energy

SECONDS, JOULES = "seconds", "joules"
COSTS = (SECONDS, JOULES)
"""Of an epoch's entry: they differ between runs that learn the same."""


class Laps:
    """Notes the energy of each epoch in its entry of the curve."""

    def __init__(self, energy: Callable[[], Energy]) -> None:
        """Begin now; ``energy`` tells what the stage has drawn so far."""
        self._energy = energy
        self._last = energy().joules

    def note(self, curve: list[dict[str, Any]]) -> None:
        """Note what was drawn since the last call with the newest epoch, once."""
        before, self._last = self._last, self._energy().joules
        if curve and before is not None and self._last is not None:
            curve[-1].setdefault(JOULES, round(self._last - before, 3))
