"""Item-kNN: cosine between the items' training users, with shrinkage.

Deshpande and Karypis, TOIS 2004; the shrinkage term after Bell and Koren, KDD Cup 2007:
``s_ij = n_ij / (sqrt(n_i n_j) + shrinkage)`` with n_ij the users both items share.
"""

import torch
from torch import Tensor

from pipeline.models.base import MODELS, Inputs, ItemItem, Options, Outputs, Recommender
from pipeline.models.sparse import propagate

BLOCK = 256


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
        """Return the CSR of each item's nearest items, exact, computed in blocks of items."""
        hot = self.inputs.hot.nonzero().squeeze(1)
        keep = min(self.options.neighbors, max(1, self.inputs.items - 1))
        parts = [self._nearest(block, keep) for block in torch.split(hot, BLOCK)]
        return Outputs(item_item=_csr(hot, parts, self.inputs.items))

    def _nearest(self, block: Tensor, keep: int) -> tuple[Tensor, Tensor]:
        """Return (weights, items), both (B, keep), of the items in ``block``."""
        edges, counts = self.inputs.user_item, self.inputs.item_degrees
        ones = counts.new_ones(edges.count)
        picked = counts.new_zeros(self.inputs.items, len(block))
        picked[block, torch.arange(len(block), device=block.device)] = 1.0
        shared = propagate(edges.transpose, ones, propagate(edges, ones, picked)).T
        norm = (counts[block].unsqueeze(1) * counts.unsqueeze(0)).sqrt()
        cosine = shared / (norm + self.options.shrinkage)
        cosine.nan_to_num_(nan=0.0)  # 0 / 0: no shrinkage and an item without interactions
        cosine[torch.arange(len(block), device=block.device), block] = 0.0
        best = cosine.topk(keep, dim=1)
        return best.values, best.indices


def _csr(rows: Tensor, parts: list[tuple[Tensor, Tensor]], items: int) -> ItemItem:
    if not parts:
        nothing = torch.zeros(0)
        return ItemItem(torch.zeros(items + 1).long(), nothing.long(), nothing, (items, items))
    weights = torch.cat([w for w, _ in parts])
    columns = torch.cat([c for _, c in parts])
    real = weights > 0
    counts = torch.zeros(items, dtype=torch.long, device=rows.device)
    counts[rows] = real.sum(dim=1)
    indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return ItemItem(indptr, columns[real], weights[real], (items, items))
