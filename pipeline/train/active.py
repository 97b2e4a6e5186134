"""Train on the items that have interactions; attach all others afterwards (models/attach.py)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from pipeline.arrays import Flags, Floats, Rows
from pipeline.config import TrainConfig
from pipeline.errors import ConfigError
from pipeline.models import Edges, Outputs, Recommender, Relation
from pipeline.models.attach import Attacher, NewItems
from pipeline.models.gat import Gat
from pipeline.relations import FEW
from pipeline.train.places import best_scores, drawn, scale_for

_BLOCK = 1 << 15
_ATTACHING = ("gat", "auto")


def trains_on_active(config: TrainConfig, hot: Flags) -> bool:
    """Return whether a configuration trains on the items with interactions alone.

    Raises:
        ConfigError: it asks for that, and its model cannot attach the others.
    """
    able = config.model in _ATTACHING and config.distill is None
    if config.items == "active" and not able:
        raise ConfigError(
            f"train.items: active wants model gat without distill, which can attach the other "
            f"items afterwards; found {config.model}. Set train.items: all"
        )
    return config.items != "all" and able and bool(hot.mean() <= FEW or config.items == "active")


@dataclass(frozen=True)
class Rest:
    """The items that training leaves out, H of N being active and M = N - H not.

    Shapes:
        active: (H,) rows of the catalogue. rows: (M,). relations: CSR (M, H) each.
        vectors: (N, width) each, memory-mapped. present: (N,) each.
    """

    active: Rows
    rows: Rows
    relations: Mapping[str, sp.csr_matrix]
    vectors: Mapping[str, Floats]
    present: Mapping[str, Flags]
    wanted: float
    """Share of validation's interactions that go to these items."""

    def blocks(self, device: torch.device) -> Iterator[tuple[Rows, NewItems]]:
        """Yield rows of the catalogue, and what is known of these items."""
        for start in range(0, len(self.rows), _BLOCK):
            rows = self.rows[start : start + _BLOCK]
            yield rows, self._items(slice(start, start + len(rows)), rows, device)

    def _items(self, part: slice, rows: Rows, device: torch.device) -> NewItems:
        relations = {}
        for name, matrix in self.relations.items():
            block = matrix[part]
            edges = edges_of(block).to(device)
            relations[name] = Relation(edges, torch.from_numpy(block.data).to(device))
        vectors, present = {}, {}
        for name, flags in self.present.items():
            raw = np.asarray(self.vectors[name][rows], dtype=np.float32)
            vectors[name] = torch.from_numpy(raw).to(device)
            present[name] = torch.from_numpy(np.asarray(flags[rows])).to(device)
        return NewItems(relations, vectors, present, len(rows))


def with_rest(model: Recommender, outputs: Outputs, rest: Rest) -> Outputs:
    """Return outputs for the whole catalogue from those of its active items, lengths as they come.

    Attached vectors are longer than they are worth: see ``calibrated``.
    """
    assert isinstance(model, Gat)
    attach = Attacher(model)
    found = dict(outputs.vectors)
    trained = found["item_vectors"]
    whole = trained.new_zeros(2, len(rest.active) + len(rest.rows), trained.shape[1])
    whole[0, rest.active], whole[1, rest.active] = trained, found["fold_in"]
    for rows, items in rest.blocks(trained.device):
        attached = attach(items)
        whole[0, rows], whole[1, rows] = attached.vectors, attached.fold_in
    return Outputs({**found, "item_vectors": whole[0], "fold_in": whole[1]})


def calibrated(
    outputs: Outputs, active: Rows, train: sp.csr_matrix, share: float
) -> tuple[Outputs, float]:
    """Return outputs whose items without interactions have the length that gives them a share.

    Shapes:
        active: (H,) rows of the items with interactions. train: CSR (U, H). returns: also the
        factor that those vectors were multiplied by.
    """
    items, users = outputs.vectors["item_vectors"], drawn(np.flatnonzero(np.diff(train.indptr)))
    new = np.setdiff1d(np.arange(len(items)), active)
    asking = outputs.vectors["user_vectors"][users].numpy(force=True)
    known = best_scores(asking, items[active].numpy(force=True), train[users])
    nothing = sp.csr_matrix((len(users), len(new)), dtype=np.float32)
    scale = scale_for(known, best_scores(asking, items[new].numpy(force=True), nothing), share)
    scaled = items.clone()
    scaled[new] *= scale
    return replace(outputs, vectors={**outputs.vectors, "item_vectors": scaled}), scale


def edges_of(matrix: sp.csr_matrix) -> Edges:
    """Return the pattern of a CSR matrix with sorted rows."""
    indptr = torch.from_numpy(matrix.indptr.astype(np.int64))
    indices = torch.from_numpy(matrix.indices.astype(np.int64))
    return Edges.of(indptr, indices, (matrix.shape[0], matrix.shape[1]))
