"""How much chance is asked for: the number of resamples and their seed; and what comes of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
"""Any floating width; float64 unless said."""

LEVEL = 0.95
"""Of every interval."""
ALPHA = 0.05
"""Chance of a false alarm that is accepted, over a whole family of tests."""


@dataclass(frozen=True)
class Draws:
    """How many resamples, and the seed that makes every caller draw the same users."""

    resamples: int
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """Return a generator at the start of its stream."""
        return np.random.default_rng(self.seed)

    def enough_for(self, family: int) -> "Draws":
        """Return draws so many that Holm's smallest p over the family is well below ``ALPHA``.

        At most ``_MOST``: that reaches families of 5,000 tests.
        """
        wanted = min(round(_BELOW * family / ALPHA), _MOST)
        return Draws(max(self.resamples, wanted), self.seed)


_BELOW = 20
"""The smallest adjusted p that can be found is this many times below ``ALPHA``."""
_MOST = 100_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``0.0754 [0.0731, 0.0778]``."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"
