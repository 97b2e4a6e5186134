"""Vectors to search: around centres, of lengths that vary."""

import numpy as np


def clustered(seed: int, rows: int, width: int = 16, skew: float = 0.0) -> np.ndarray:
    """Return vectors around a few centres; ``skew`` spreads their lengths."""
    centres = np.random.default_rng(7).normal(size=(30, width))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, 30, rows)] + 0.6 * rng.normal(size=(rows, width))
    return (vectors * np.exp(skew * rng.normal(size=(rows, 1)))).astype(np.float32)
