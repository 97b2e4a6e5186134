"""Where a series took another level: seeded binary segmentation of ranks, by permutation.

As Daly et al. 2020 (ICPE) look for changes in the speed of a database from one commit to the next,
with three differences: ranks in the place of values, so that no distribution is assumed and
outliers weigh little; a search in many intervals (Kovács et al. 2023), so that a change that was
taken back is found too; and the statistic's own maximum over all of them is permuted, so that the
chance to find anything in a series without a change is ``alpha``, whatever its distribution.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

_DECAY = 2**-0.5
"""Each layer's intervals are shorter than the last one's by this."""


@dataclass(frozen=True)
class ChangePoint:
    """The first value of a new level."""

    at: int
    before: float
    """Median of the values since the change before."""
    after: float
    """Median of the values until the next change."""
    p: float

    @property
    def relative(self) -> float | None:
        """Return the change over the level before; None where that is 0."""
        return (self.after - self.before) / abs(self.before) if self.before else None


def find_change_points(
    values: Sequence[float] | Floats,
    *,
    alpha: float = 0.01,
    shortest: int = 5,
    resamples: int = 999,
    seed: int = 0,
) -> list[ChangePoint]:
    """Return where the level changes, in order.

    In a series without a change the chance to find one is at most ``alpha``; each level of a
    series with changes has that chance to be cut once more than it should. Values are taken to be
    independent given their level: a series that drifts, or remembers, is cut more often.

    Shapes:
        values: (N,), oldest first, finite. Fewer than twice ``shortest`` have no change.

    Raises:
        ValueError: a value is not finite, or ``alpha`` is too small for so few resamples.
    """
    series = np.asarray(values, dtype=np.float64)
    if not np.isfinite(series).all():
        raise ValueError("values must be finite: leave out the runs that did not measure")
    if alpha * (resamples + 1) < 1:
        raise ValueError(f"p cannot fall to {alpha:g} with {resamples} resamples")
    rng = np.random.default_rng(seed)
    found = sorted(_cuts(series, 0, _Search(alpha, shortest, resamples, rng)))
    edges = [0, *(at for at, _ in found), len(series)]
    levels = [float(np.median(series[a:b])) for a, b in pairwise(edges) if b > a]
    return [ChangePoint(at, levels[i], levels[i + 1], p) for i, (at, p) in enumerate(found)]


@dataclass(frozen=True)
class _Search:
    alpha: float
    shortest: int
    resamples: int
    rng: np.random.Generator


def _cuts(series: Floats, start: int, search: _Search) -> Iterator[tuple[int, float]]:
    """Yield (place, p) of every change of a part of the series that begins at ``start``."""
    n = len(series)
    if n < 2 * search.shortest or series.min() == series.max():
        return
    ranks = _centred_ranks(series)
    observed, at = _largest(ranks[None], search.shortest)
    shuffled = search.rng.permuted(np.tile(ranks, (search.resamples, 1)), axis=1)
    chance, _ = _largest(shuffled, search.shortest)
    p = float((1 + (chance >= observed[0] - 1e-9).sum()) / (search.resamples + 1))
    if p > search.alpha:
        return
    cut = int(at[0])
    yield start + cut, p
    yield from _cuts(series[:cut], start, search)
    yield from _cuts(series[cut:], start + cut, search)


def _centred_ranks(series: Floats) -> Floats:
    """Return mean ranks with mean 0 and standard deviation 1.

    Shapes:
        series: (N,). returns: (N,).
    """
    _, inverse, counts = np.unique(series, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return np.asarray((ranks - ranks.mean()) / ranks.std())


def _largest(ranks: Floats, shortest: int) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return the largest standardised difference of the means left and right of any cut, and it.

    Shapes:
        ranks: (R, N). returns: (R,), (R,).
    """
    rows, n = ranks.shape
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(ranks, axis=1)], axis=1)
    best, place = np.full(rows, -1.0), np.zeros(rows, dtype=np.intp)
    for start, stop in seeded_intervals(n, 2 * shortest):
        cuts = np.arange(start + shortest, stop - shortest + 1)
        left, width = cuts - start, stop - start
        whole = (sums[:, stop] - sums[:, start])[:, None]
        apart = np.abs(sums[:, cuts] - sums[:, start, None] - whole * (left / width))
        apart /= np.sqrt(left * (width - left) / width)
        here = apart.argmax(axis=1)
        value = apart[np.arange(rows), here]
        better = value > best
        best[better], place[better] = value[better], cuts[here][better]
    return best, place


def seeded_intervals(n: int, least: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of overlapping intervals of every length from ``n`` to ``least``."""
    length = float(n)
    while length >= least:
        count = 2 * int(np.ceil(n / length)) - 1
        step = (n - length) / (count - 1) if count > 1 else 0.0
        for each in range(count):
            yield int(np.floor(each * step)), min(n, int(np.ceil(each * step + length)))
        length *= _DECAY
