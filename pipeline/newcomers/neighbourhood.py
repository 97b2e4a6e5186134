"""Vectors of new items where the model has no network for them: the mean of what they are like."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.newcomers.network import Arrivals, Vectors


@dataclass(frozen=True)
class Neighbourhood:
    """Takes the mean of the vectors of the trained items that are nearest by content.

    Each counts by its cosine, added up over the modalities: the obvious way to recommend by
    content what a collaborative model has never seen. An item that is like none gets zeros.

    Shapes:
        rows: (A,) of the trained items. item_vectors, fold_in: (N, D).
    """

    rows: Rows
    item_vectors: Floats
    fold_in: Floats

    def __call__(self, new: Arrivals) -> Vectors:
        """Return the vectors of new items, each independent of the others."""
        nothing = sp.csr_matrix((new.count, len(self.rows)), dtype=np.float32)
        together = sp.csr_matrix(sum(new.edges.values(), nothing))
        columns, local = np.unique(together.indices, return_inverse=True)
        shape = (new.count, len(columns))
        edges = sp.csr_matrix((together.data, local, together.indptr), shape=shape)
        totals = np.asarray(edges.sum(axis=1)).ravel()
        share = sp.diags(1 / np.where(totals > 0, totals, 1)) @ edges
        named = self.rows[columns]
        found = (share @ np.asarray(each[named]) for each in (self.item_vectors, self.fold_in))
        return Vectors(*(part.astype(np.float32) for part in found))
