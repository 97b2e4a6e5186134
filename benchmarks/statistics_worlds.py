"""Users whose truth is known, and who score as users of recommenders do.

Most score 0, a few much; values tie; two models do well with the same users. A candidate is better
than its baseline by exactly ``effect`` of the baseline's mean.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.measure.stats.draws import Floats

_TASTE = (0.3, 2.2)
"""Beta distribution of the chance that a user is served well: mean .12, most near 0."""
_HELD_OUT = 0.4
"""Geometric distribution of held-out items: 2.5 on average."""
_RANKS = np.arange(1, 21)
_GAINS = 1 / np.log2(_RANKS + 1)


@dataclass(frozen=True)
class World:
    """A kind of per-user metric.

    ``name``: ``hit`` (0 or 1), ``recall`` (ties, zeros), ``ndcg`` (zeros, many values) or
    ``novelty`` (no zero, skewed to the right).
    """

    name: str
    effect: float = 0.0

    @property
    def factors(self) -> tuple[float, float]:
        """Return what the candidate's and the baseline's values are times; the larger is 1."""
        ours = min(1.0, 1 + self.effect)
        return ours, ours / (1 + self.effect)

    @property
    def mean(self) -> float:
        """Return the true mean of the candidate."""
        taste = _TASTE[0] / sum(_TASTE) * self.factors[0]
        if self.name == "novelty":
            return float(np.exp((0.5**2 + 0.3**2) / 2)) * self.factors[0]
        return float(taste * _GAINS.mean()) if self.name == "ndcg" else taste

    @property
    def difference(self) -> float:
        """Return the true difference of the means."""
        return self.mean * (1 - 1 / (1 + self.effect))

    def draw(self, users: int, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return what a candidate and a baseline score with so many users, ``count`` times.

        Shapes:
            returns: (B users, W times each), (B, W).
        """
        shape = (users, count)
        ours_times, theirs_times = self.factors
        if self.name == "novelty":
            base = 0.5 * rng.standard_normal(shape)
            ours, theirs = (np.exp(base + 0.3 * rng.standard_normal(shape)) for _ in range(2))
            return ours * ours_times, theirs * theirs_times
        taste = rng.beta(*_TASTE, shape)
        if self.name == "recall":
            held = rng.geometric(_HELD_OUT, shape)
            found = (rng.binomial(held, taste * times) / held for times in self.factors)
            return next(found), next(found)
        ours, theirs = (rng.random(shape) < taste * times for times in self.factors)
        if self.name == "hit":
            return ours.astype(float), theirs.astype(float)
        gains = (_GAINS[rng.integers(len(_GAINS), size=shape)] for _ in range(2))
        return ours * next(gains), theirs * next(gains)


def related(users: int, rng: np.random.Generator, metrics: int = 4, slices: int = 3) -> Floats:
    """Return differences of two equal models on related metrics and on slices of the users.

    Each metric counts hits to another depth, as recall at several k does; outside its slice a user
    counts as no difference, which changes no sign flip.

    Shapes:
        returns: (B users, metrics * slices).
    """
    taste = rng.beta(*_TASTE, users)
    depth = rng.random((2, users))
    cuts = np.linspace(0.4, 1.0, metrics) * taste[:, None]
    apart = (depth[0][:, None] < cuts).astype(float) - (depth[1][:, None] < cuts)
    inside = np.ones((users, slices), dtype=bool)
    inside[:, 1:] = rng.random((users, slices - 1)) < 0.4
    return (apart[:, :, None] * inside[:, None, :]).reshape(users, -1)


def seeded(
    users: int, seeds: tuple[int, int], noise: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return what seeds of two equal models score with the same users.

    ``noise`` is the standard deviation that a seed adds to a model's mean; users differ by 0.2,
    and a seed suits one user better than another by 0.2. A single seed is a model without chance.

    Shapes:
        returns: (S seeds, B users), (T, B).
    """
    taste = 0.2 * rng.standard_normal(users)
    sides = []
    for count in seeds:
        of_seed = noise * rng.standard_normal((count, 1)) * (count > 1)
        sides.append(0.5 + taste + of_seed + 0.2 * rng.standard_normal((count, users)))
    return sides[0], sides[1]
