"""What a comparison of this size could have found: power, and the least effect that shows.

Power is asked of an effect that was named before, never of the one that was observed: that is the
p-value in other words (Hoenig and Heisey 2001).
"""

from math import ceil

import numpy as np
from scipy import special

POWER = 0.8
"""The usual chance to find an effect that is there."""


def power_of(effect: float, error: float, freedom: float, alpha: float) -> float:
    """Return the chance that a two-sided t-test at ``alpha`` finds an effect.

    ``error`` is the standard error of the estimate. The twin of statsmodels' ``TTestPower``,
    without its samples.
    """
    if error <= 0:
        return 1.0 if effect else alpha
    critical = float(-special.stdtrit(freedom, alpha / 2))
    away = effect / error
    if freedom > _NORMAL_FROM:
        return float(special.ndtr(away - critical) + special.ndtr(-away - critical))
    if abs(away) > _SURELY * (critical + 1):
        return 1.0
    below = [special.nctdtr(freedom, abs(away), edge) for edge in (-critical, critical)]
    # Where the tail beyond the other edge is too thin to be computed it is not a number.
    return float(np.clip(np.nan_to_num(below[0]) + 1 - below[1], 0.0, 1.0))


_NORMAL_FROM = 5_000
"""Degrees of freedom from which Student's t is the normal to four digits."""
_SURELY = 5.0
"""Effects of so many critical values are found for sure, down to one degree of freedom."""
_STEPS = 60


def least_effect(error: float, freedom: float, alpha: float, power: float = POWER) -> float:
    """Return the smallest effect that would be found with a chance of ``power``."""
    if error <= 0:
        return 0.0
    low, high = 0.0, error
    while power_of(high, error, freedom, alpha) < power:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = power_of(middle, error, freedom, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def users_for(effect: float, deviation: float, alpha: float, power: float = POWER) -> int:
    """Return how many users a paired comparison needs to find an effect.

    ``deviation`` is the standard deviation of the differences. Three users at least.
    """
    if effect == 0:
        raise ValueError("no number of users finds an effect of 0")
    z = float(special.ndtri(1 - alpha / 2) + special.ndtri(power))
    users = max(3, ceil((z * deviation / effect) ** 2))
    while power_of(effect, deviation / np.sqrt(users), users - 1, alpha) < power:
        users += max(1, users // 1000)
    return users
