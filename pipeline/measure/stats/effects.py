"""How large a difference is, apart from how sure it is."""

import numpy as np

from pipeline.measure.stats.draws import Floats


def paired_d(differences: Floats) -> Floats:
    """Return Cohen's d for paired samples: the mean difference in its own standard deviations.

    Cohen 1988, section 2.3.5, there d_z. Zero where nobody differs; infinite where all differ
    alike.

    Shapes:
        differences: (B, M). returns: (M,).
    """
    mean = differences.mean(axis=0, dtype=np.float64)
    if len(differences) < 2:
        return np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    spread = differences.std(axis=0, ddof=1, dtype=np.float64)
    tiny = spread <= 1e-12 * np.abs(mean)
    endless = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.where(tiny, endless, mean / np.where(tiny, 1.0, spread))


def cliffs_delta(ours: Floats, theirs: Floats) -> float:
    """Return Cliff's (1993) delta: how much more often one of ours is above one of theirs.

    The chance that a value of ours is above one of theirs less the chance that it is below, over
    all pairs: -1 to 1. By sorting one side, so in O(n log n).

    Shapes:
        ours: (B,). theirs: (C,).
    """
    ordered = np.sort(theirs)
    above = np.searchsorted(ordered, ours, side="left").sum(dtype=np.int64)
    not_below = np.searchsorted(ordered, ours, side="right").sum(dtype=np.int64)
    pairs = len(ours) * len(theirs)
    return float((above + not_below - pairs) / pairs)


def shares_of_wins(differences: Floats) -> tuple[float, float]:
    """Return the share of users for whom the difference is above 0, and below.

    Shapes:
        differences: (B,).
    """
    return float((differences > 0).mean()), float((differences < 0).mean())
