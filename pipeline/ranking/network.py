"""The ranking network in numpy: features to one score, averaged over the networks of the folds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Floats

LIMIT = 6.0
"""Features are cut off this many standard deviations from their mean."""
_NEAR = 1e-6
"""Below this a difference quotient of tanh is its slope."""
_FAR = 2.0**20
"""A deviation that nothing is far from; a power of two, so that scaling by it changes no bit."""


@dataclass(frozen=True)
class Network:
    """Several small perceptrons with one hidden layer, or none, whose scores are averaged.

    Shapes:
        mean, deviation: (F,). hidden: (M, F, H) and (M, H). out: (M, H). linear: (M, F).
        M networks, F features, H hidden units; H may be 0.
    """

    names: tuple[str, ...]
    mean: Floats
    deviation: Floats
    hidden: Floats
    bias: Floats
    out: Floats
    linear: Floats

    def scores(self, features: Floats) -> Floats:
        """Return one score per row: the mean over the networks.

        Shapes:
            features: (..., F). returns: (...).
        """
        x = self.standard(features)
        total = x @ self.linear.mean(axis=0)
        for weights, bias, out in zip(self.hidden, self.bias, self.out, strict=True):
            total = total + np.tanh(x @ weights + bias) @ out / len(self.hidden)
        scores: Floats = total
        return scores

    def parts(self, features: Floats) -> tuple[Floats, float]:
        """Return what each feature adds to a score, and the score of average features.

        Integrated gradients (Sundararajan et al., ICML 2017) from the mean features: over the
        straight path, tanh of a sum w.x + b changes by (tanh(w.x + b) - tanh(b)) in all, which the
        features share as they share w.x. Parts and the average's score add up to ``scores``.

        Shapes:
            features: (..., F). returns: (..., F) float64.
        """
        x = self.standard(features).astype(np.float64)
        added = x * self.linear.mean(axis=0)
        base = 0.0
        for weights, bias, out in zip(self.hidden, self.bias, self.out, strict=True):
            through = x @ weights.astype(np.float64)
            rise = np.tanh(through + bias) - np.tanh(bias)
            small = np.abs(through) < _NEAR
            slope = np.where(small, 1 - np.tanh(bias) ** 2, rise / np.where(small, 1, through))
            added = added + x * ((slope * out) @ weights.T) / len(self.hidden)
            base += float(np.tanh(bias) @ out) / len(self.hidden)
        return added, base

    def standard(self, features: Floats) -> Floats:
        """Return features in standard deviations from their mean, cut off far away."""
        standard: Floats = features - self.mean
        standard /= self.deviation
        np.clip(standard, -LIMIT, LIMIT, out=standard)
        return standard.astype(np.float32, copy=False)

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays by name, to be written."""
        names = ("mean", "deviation", "hidden", "bias", "out", "linear")
        return {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in names}

    @classmethod
    def of_one(cls, names: list[str], feature: int) -> "Network":
        """Return the network whose score is one of the features exactly as it is, however large."""
        count = len(names)
        linear = np.zeros((1, count), dtype=np.float32)
        linear[0, feature] = _FAR
        empty = np.zeros((1, count, 0), dtype=np.float32), np.zeros((1, 0)), np.zeros((1, 0))
        return cls(tuple(names), np.zeros(count), np.full(count, _FAR), *empty, linear)

    @classmethod
    def of(cls, names: list[str], arrays: Mapping[str, Floats]) -> "Network":
        """Return the network of what ``arrays`` gave."""
        return cls(tuple(names), **arrays)


def shapes(features: int, hidden: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a network's arrays must have, by name, given the one of ``hidden``."""
    networks, units = (hidden[0], hidden[-1]) if len(hidden) == 3 else (1, 0)
    return {
        "mean": (features,),
        "deviation": (features,),
        "hidden": (networks, features, units),
        "bias": (networks, units),
        "out": (networks, units),
        "linear": (networks, features),
    }
