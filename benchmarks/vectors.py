"""Vectors as training leaves them, drawn from a seed: what index benchmarks search.

Calibrated on the gat vectors of Amazon Baby (64 wide): lengths spread by a factor 1.3, a user's
20 best lie about 4 standard deviations above the mean at a cosine near .55, half of the variance
is in 11 directions. Items without interactions are shorter (.55 of the others on MovieLens).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Flags, Floats

WIDTH = 64
ELECTRONICS = (192_403, 498_196)
"""Users and items of the reference load; 63,001 items have interactions."""

HOT_SHARE = 63_001 / 498_196
_TIGHT, _DECAY, _SPREAD, _SHORT = 0.75, 0.35, 0.28, 0.55
_HAS, _TASTES = 6, (0.6, 0.25, 0.15)


@dataclass(frozen=True)
class Drawn:
    """A catalogue and its users.

    Shapes:
        items: (N, D). users: (U, D). hot: (N,).
    """

    items: Floats
    users: Floats
    hot: Flags


def drawn(users: int, items: int, seed: int = 0, hot_share: float = HOT_SHARE) -> Drawn:
    """Return items around centres of skewed size, and users who are the sum of a few hot ones."""
    rng = np.random.default_rng(seed)
    clusters = max(20, int(3 * np.sqrt(items)))
    axis = np.arange(1, WIDTH + 1, dtype=np.float32) ** -_DECAY
    sizes = rng.pareto(1.1, clusters) + 1
    of = rng.choice(clusters, items, p=sizes / sizes.sum())
    centres = rng.standard_normal((clusters, WIDTH), dtype=np.float32) * axis
    noise = rng.standard_normal((items, WIDTH), dtype=np.float32) * axis
    vectors = _unit(_TIGHT * centres[of] + np.sqrt(1 - _TIGHT**2, dtype=np.float32) * noise)
    hot = rng.random(items) < hot_share
    hot[: min(items, 20)] = True
    lengths = 3 * np.exp(_SPREAD * rng.standard_normal(items)) * np.where(hot, 1, _SHORT)
    vectors *= lengths[:, None].astype(np.float32)
    return Drawn(vectors, _users(rng, users, vectors, np.flatnonzero(hot), of), hot)


def _users(
    rng: np.random.Generator, count: int, items: Floats, hot: np.ndarray, of: np.ndarray
) -> Floats:
    """Return users: each has a few hot items of up to three clusters, and noise of its own."""
    ordered = hot[np.argsort(of[hot], kind="stable")]
    starts = np.searchsorted(of[ordered], np.arange(of.max() + 2))
    tastes = of[hot[rng.integers(0, len(hot), (count, len(_TASTES)))]]
    chosen = tastes[np.arange(count)[:, None], rng.choice(len(_TASTES), (count, _HAS), p=_TASTES)]
    low, high = starts[chosen], starts[chosen + 1]
    rows = ordered[low + (rng.random((count, _HAS)) * (high - low)).astype(np.int64)]
    total = np.zeros((count, WIDTH), dtype=np.float32)
    for each in range(_HAS):
        total += items[rows[:, each]]
    noise = rng.standard_normal((count, WIDTH), dtype=np.float32) / np.float32(np.sqrt(WIDTH))
    lengths = 1.4 * np.exp(0.2 * rng.standard_normal((count, 1)))
    return ((_unit(total) + 0.5 * noise) * lengths).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
