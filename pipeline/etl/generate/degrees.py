"""How many interactions each user and each item has: power laws that end."""

import numpy as np

_HALVINGS = 60


def degrees(total: int, count: int, most: int, tail: float, least: int) -> np.ndarray:
    """Return ``count`` whole numbers of sum ``total``, ascending, the quantiles of a power law.

    Every number is from ``least`` (less where the sum asks for it) to ``most``; above ``least``
    they follow a Lomax law with exponent ``tail`` whose scale is what gives the sum.

    Shapes:
        returns: (count,) int64.
    """
    floor = min(least, total // count)
    excess = (1 - (np.arange(count) + 0.5) / count) ** (-1 / tail) - 1

    def scaled(scale: float) -> np.ndarray:
        """Return the numbers for a scale."""
        above: np.ndarray = np.minimum(scale * excess, most - floor).astype(np.int64)
        return above + floor

    low, high = 0.0, float(total)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if scaled(middle).sum() <= total else (low, middle)
    found = scaled(low)
    while (missing := total - int(found.sum())) > 0:
        room = np.flatnonzero(found < most)[::-1][:missing]
        found[room] += 1
    return np.sort(found)
