"""p-values of many tests, corrected: each test more makes all of them harder to pass."""

import numpy as np

from pipeline.measure.stats.draws import Floats


def holm(p_values: Floats) -> Floats:
    """Return Holm's (1979) step-down adjusted p-values, which bound the family-wise error.

    The chance that any of the tests whose hypothesis is true comes out below alpha is at most
    alpha, however the tests depend on each other.

    Shapes:
        p_values: (M,). returns: (M,), in the same order.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Return Benjamini and Hochberg's (1995) adjusted p-values, which bound the false discoveries.

    Of the tests below q a share of at most q are false on average: for independent tests, and
    for positively dependent ones such as the same metric at several k.

    Shapes:
        p_values: (M,). returns: (M,), in the same order.
    """
    order = np.argsort(p_values, kind="stable")[::-1]
    count = len(p_values)
    stepped = p_values[order] * count / np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(stepped))
    return adjusted
