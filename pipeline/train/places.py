"""How loudly new items speak: their vectors' length, from the share of places they are due.

The vector of an item without interactions is what content and neighbours tell. Where there are many
such items, the best of many guesses look better than they are and push out of every list what
people are known to take; where there are few, they may be too quiet. So the direction is kept, and
one factor is chosen for all of them at which the share of places that they take in lists is the
share of interactions that they are due, as Steck (RecSys 2018) calibrates lists by category. Lists
of new items alone keep their order.
"""

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.scoring import Ranking, VectorScorer

PLACES = 20
"""The length of the lists in which places are counted."""
USERS = 2_000
"""Users whose lists are made, at most."""

LOUDEST = 4.0
"""The largest factor."""
LEAST = 0.001
"""Of the places, always: no log proves that nobody will take what is new."""

_DRAW = 11
"""Seed of those users: part of the method."""


def drawn(users: Rows) -> Rows:
    """Return at most ``USERS`` of some users, the same in every run, sorted."""
    if len(users) <= USERS:
        return users
    return np.sort(np.random.default_rng(_DRAW).choice(users, USERS, replace=False))


def best_scores(users: Floats, items: Floats, masked: sp.csr_matrix) -> Floats:
    """Return the scores of each user's best items, -inf where there are fewer.

    Shapes:
        users: (B, D). items: (M, D). masked: CSR (B, M). returns: (B, ``PLACES``).
    """
    lists = Ranking(masked, PLACES).lists(VectorScorer(users, items), np.arange(len(users)))
    scores = np.concatenate([np.empty((0, min(PLACES, len(items)))), *(s for *_, s in lists)])
    fewer = ((0, 0), (0, PLACES - scores.shape[1]))
    whole: Floats = np.pad(scores, fewer, constant_values=-np.inf)
    return whole


def scale_for(trained: Floats, new: Floats, share: float) -> float:
    """Return the largest factor up to ``LOUDEST`` at which new items take at most this share.

    A user's j-th new item takes the place of the j-th trained item from the end of the list as soon
    as its score, scaled, is above that one's. Places of trained items that score below nothing are
    free to anybody, and are not counted.

    Shapes:
        trained, new: (B, ``PLACES``), the best scores of each kind, falling.
    """
    last = trained[:, ::-1]
    ratio = np.divide(last, new, out=np.full_like(last, np.inf), where=new > 0)
    taken_above = ratio[last > 0]
    if not len(taken_above):
        return 1.0
    allowed = int(max(share, LEAST) * len(taken_above))
    if allowed == len(taken_above):
        return LOUDEST
    return float(min(LOUDEST, np.partition(taken_above, allowed)[allowed]))
