"""How loudly attached items speak: their vectors' length, from the share of places they are due.

An attached vector is what content and neighbours tell. Each is a little off, there are many, and
the best of many guesses look better than they are: at their own length they push out of every list
what people are known to take. So the direction is kept, and one length is chosen for all of them at
which the share of places that they take in lists is the share of interactions that they are due, as
Steck (RecSys 2018) calibrates lists by category. Lists of attached items alone keep their order.
"""

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.scoring import Ranking, VectorScorer

PLACES = 20
"""The length of the lists in which places are counted."""
USERS = 2_000
"""Users whose lists are made, at most."""

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


def scale_for(trained: Floats, attached: Floats, share: float) -> float:
    """Return the largest scale, at most 1, that gives attached items at most this share of places.

    A user's j-th attached item takes the place of the j-th trained item from the end of the list as
    soon as its score, scaled, is above that one's. Places of trained items that score below nothing
    are free to anybody, and are not counted.

    Shapes:
        trained, attached: (B, ``PLACES``), the best scores of each kind, falling.
    """
    last = trained[:, ::-1]
    counted = last > 0
    ratio = np.divide(last, attached, out=np.full_like(last, np.inf), where=attached > 0)
    taken_above = ratio[counted]
    allowed = int(max(share, LEAST) * taken_above.size)
    if allowed >= taken_above.size:
        return 1.0
    return float(min(1.0, np.partition(taken_above, allowed)[allowed]))
