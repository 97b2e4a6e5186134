"""Item-kNN: cosine between the items' training users, with shrinkage.

Deshpande and Karypis, TOIS 2004; the shrinkage term after Bell and Koren, KDD Cup 2007:
``s_ij = n_ij / (sqrt(n_i n_j) + shrinkage)`` with n_ij the users both items share.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch

from pipeline.arrays import Floats, Rows
from pipeline.models.base import MODELS, Inputs, ItemItem, Options, Outputs, Recommender

BLOCK = 4096
"""Items whose neighbours are found at once."""


@MODELS.register("item_knn")
class ItemKnn(Recommender):
    """Item-item weights; a user's score of an item is the sum over the items they have."""

    uses_content = False

    def __init__(self, inputs: Inputs, options: Options, seed: int) -> None:
        """Keep the inputs; the weights are computed by ``outputs``. The seed does not matter."""
        super().__init__(inputs)
        self.options = options

    @torch.no_grad()
    def outputs(self) -> Outputs:
        """Return the CSR of each item's nearest items, exact, from the users both share."""
        edges, items = self.inputs.user_item, self.inputs.items
        indptr, indices = edges.indptr.cpu().numpy(), edges.indices.cpu().numpy()
        ones = np.ones(len(indices), dtype=np.float32)
        taken = sp.csr_matrix((ones, indices, indptr), shape=(len(indptr) - 1, items))
        parts = [*self._nearest(taken)]
        kept = sp.csr_matrix(sp.vstack(parts)) if parts else sp.csr_matrix((items, items))
        indptr, columns = kept.indptr.astype(np.int64), kept.indices.astype(np.int64)
        weights = torch.from_numpy(kept.data.astype(np.float32))
        found = torch.from_numpy(indptr), torch.from_numpy(columns), weights
        return Outputs(item_item=ItemItem(*found, (items, items)))

    def _nearest(self, taken: sp.csr_matrix) -> Iterator[sp.csr_matrix]:
        """Yield the weights of consecutive blocks of items.

        Shapes:
            taken: CSR (U, N), binary. yields: CSR (B, N).
        """
        counts = np.asarray(taken.sum(axis=0), dtype=np.float32).ravel()
        taken_by = sp.csr_matrix(taken.T)
        for start in range(0, taken.shape[1], BLOCK):
            shared = sp.csr_matrix(taken_by[start : start + BLOCK] @ taken)
            rows = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
            norm = np.sqrt(counts[start + rows] * counts[shared.indices])
            cosine = shared.data / (norm + np.float32(self.options.shrinkage))
            other = shared.indices != start + rows
            edges = rows[other], shared.indices[other], cosine[other]
            yield _best(*edges, self.options.neighbors, shared.shape)


def _best(
    rows: Rows, columns: Rows, weights: Floats, k: int, shape: tuple[int, int]
) -> sp.csr_matrix:
    """Return each row's k heaviest entries as CSR (B, N); equal ones by column.

    Shapes:
        rows: (E,), rising. columns, weights: (E,).
    """
    order = np.lexsort((columns, -weights, rows))
    rows, columns, weights = rows[order], columns[order], weights[order]
    kept = np.arange(len(rows)) - np.searchsorted(rows, rows) < k
    return sp.csr_matrix((weights[kept], (rows[kept], columns[kept])), shape=shape)
