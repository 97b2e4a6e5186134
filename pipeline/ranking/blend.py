"""Network and vectors together: two judges are steadier than either."""

import numpy as np

from pipeline.arrays import Flags, Floats

_TINY = 1e-6


def blended(network: Floats, vectors: Floats, real: Flags, share: float) -> Floats:
    """Return the network's scores with a share of the vectors', each in a user's deviations.

    Shapes:
        network, vectors, real: (B, C); what is not real has no say, and its score means nothing.
        returns: (B, C).
    """
    if not share:
        return network
    mixed: Floats = (1 - share) * _standard(network, real) + share * _standard(vectors, real)
    return mixed


def _standard(scores: Floats, real: Flags) -> Floats:
    """Return scores less the mean of a user's real candidates, over their deviation."""
    mean, spread = moments(scores, real)
    found: Floats = np.where(real, scores - mean, 0) / spread
    return found


def moments(scores: Floats, real: Flags) -> tuple[Floats, Floats]:
    """Return mean and deviation, at least ``_TINY``, of each user's real candidates.

    Shapes:
        scores, real: (B, C). returns: (B, 1) twice.
    """
    counts = np.maximum(1, real.sum(axis=1, keepdims=True))
    mean = np.where(real, scores, 0).sum(axis=1, keepdims=True) / counts
    distance = np.where(real, scores - mean, 0)
    spread = np.sqrt((distance**2).sum(axis=1, keepdims=True) / counts)
    return mean, np.maximum(spread, _TINY)
