"""What users with a like profile took; a profile is a history and the items that are close to it.

User-based neighbourhoods (Herlocker et al., SIGIR 1999) need items in common, which short histories
seldom have. Each item therefore brings its nearest items along, over all relations together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows

KEPT = 5
"""Items that an item brings along."""
REACH = 2.0
"""Their weights together; the item itself weighs 1."""
SHARPNESS = 2
"""A user counts by this power of the cosine."""
_TINY = 1e-12


@dataclass(frozen=True)
class Profiles:
    """Users by what they have, ready to be asked.

    Shapes:
        spread: CSR (N, N), what an item brings along. rarity: (N,), what an item weighs.
        by_item: CSR (N, P), the profiles of the users, each of length 1. users: (P,) rows.
        taken: CSR (P, N).
    """

    spread: sp.csr_matrix
    rarity: Floats
    by_item: sp.csr_matrix
    users: Rows
    taken: sp.csr_matrix

    @classmethod
    def of(
        cls, taken: sp.csr_matrix, users: Rows, relations: Mapping[str, sp.csr_matrix]
    ) -> "Profiles":
        """Return the profiles of users (P,) who have ``taken``, CSR (P, N)."""
        spread = brought_along(relations, taken.shape[1])
        totals = np.asarray((taken @ spread).sum(axis=0)).ravel()
        rarity = (1 / np.sqrt(totals + 1)).astype(np.float32)
        by_item = sp.csr_matrix(_profiles(taken, spread, rarity).T)
        return cls(spread, rarity, by_item, users, taken)

    def took(self, history: sp.csr_matrix, users: Rows) -> sp.csr_matrix:
        """Return what all others have, each weighted by how like the profiles are, CSR (B, N).

        Shapes:
            history: CSR (B, N). users: (B,) rows, so that nobody asks themselves.
        """
        likeness = (_profiles(history, self.spread, self.rarity) @ self.by_item).tocoo()
        others = self.users[likeness.col] != np.asarray(users)[likeness.row]
        weights = np.where(others, likeness.data**SHARPNESS, 0)
        near = sp.csr_matrix((weights, (likeness.row, likeness.col)), shape=likeness.shape)
        return sp.csr_matrix(near @ self.taken)


def brought_along(relations: Mapping[str, sp.csr_matrix], items: int) -> sp.csr_matrix:
    """Return each item and the ``KEPT`` closest to it, by the mean of the normalised relations.

    Equally close items stand in order of row.

    Shapes:
        relations: symmetric CSR (N, N) each. returns: CSR (N, N) float32.
    """
    total = sp.csr_matrix((items, items), dtype=np.float64)
    for relation in relations.values():
        total = total + _normalised(relation)
    rows = np.repeat(np.arange(items), np.diff(total.indptr))
    order = np.lexsort((total.indices, -total.data, rows))
    kept = order[np.arange(len(order)) - total.indptr[rows] < KEPT]
    rows, columns, weights = rows[kept], total.indices[kept], total.data[kept]
    weights = REACH * weights / np.bincount(rows, weights, minlength=items)[rows]
    closest = sp.csr_matrix((weights, (rows, columns)), shape=total.shape)
    return sp.csr_matrix(closest + sp.eye(items), dtype=np.float32)


def _normalised(relation: sp.csr_matrix) -> sp.csr_matrix:
    degrees = np.asarray(relation.sum(axis=1), dtype=np.float64).ravel()
    scale = sp.diags(1 / np.sqrt(degrees.clip(min=_TINY)))
    return sp.csr_matrix(scale @ relation @ scale)


def _profiles(history: sp.csr_matrix, spread: sp.csr_matrix, rarity: Floats) -> sp.csr_matrix:
    """Return histories (B, N) with what they bring along, rare items first, at length 1."""
    whole = sp.csr_matrix(history @ spread @ sp.diags(rarity), dtype=np.float32)
    lengths = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / lengths.clip(min=_TINY)) @ whole, dtype=np.float32)
