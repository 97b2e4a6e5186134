"""From artifacts to what models and sampling take."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipeline import interactions
from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError, DataError
from pipeline.models.base import Inputs, Relation
from pipeline.models.sparse import Edges
from pipeline.relations import symmetric
from pipeline.schema import TRAIN, VALIDATION

COOCCURRENCE = "cooccurrence"


@dataclass(frozen=True)
class Lists:
    """A teacher's best items for each user, and how it shares one unit of attention over them.

    Shapes:
        items: (U, M) rows, ``UNKNOWN`` where a list has ended. shares: (U, M), rows sum to 1, or
        to 0 for a user without a list.
    """

    items: Tensor
    shares: Tensor

    def to(self, device: torch.device) -> "Lists":
        """Return the lists on ``device``."""
        return Lists(self.items.to(device), self.shares.to(device))


@dataclass(frozen=True)
class TrainingData:
    """Inputs of a model, and the interactions to learn from and to select on.

    Shapes:
        train, validation: CSR (U, N), binary, rows sorted.
    """

    inputs: Inputs
    train: sp.csr_matrix
    validation: sp.csr_matrix
    lists: Lists | None = None
    """What to learn from beside the interactions."""


def load(artifacts: Mapping[str, Artifact]) -> TrainingData:
    """Return the training data of tables, embeddings and graphs.

    Raises:
        DataError: there is no training interaction.
        ArtifactError: the artifacts disagree on the number of items, or a vector is not finite.
    """
    tables, embeddings, graphs = (artifacts[k] for k in ("tables", "embeddings", "graphs"))
    train = interactions.user_item(tables, (TRAIN,))
    validation = interactions.user_item(tables, (VALIDATION,))
    if not train.nnz:
        raise DataError(
            "no interaction falls into the training split, so there is nothing to learn from. "
            "Check etl.split and the rejects of the tables: plotpointe show tables"
        )
    vectors, present = _content(embeddings, train.shape[1])
    relations = {m: _relation(graphs, f"{m}_knn.npz", train) for m in graphs.modalities("_knn.npz")}
    relations[COOCCURRENCE] = _relation(graphs, f"{COOCCURRENCE}.npz", train)
    inputs = Inputs(edges_of(train), relations, vectors, present)
    return TrainingData(inputs, train, validation)


def _content(
    embeddings: Artifact, items: int
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    vectors, present = {}, {}
    for name in embeddings.modalities("_present.npy"):
        rows = np.array(embeddings.array(f"{name}.npy"), dtype=np.float32)
        flags = np.array(embeddings.array(f"{name}_present.npy"), dtype=bool)
        _check(f"{name} vectors", len(rows), items)
        if not np.isfinite(rows[flags]).all():
            wrong = int((~np.isfinite(rows[flags]).all(axis=1)).sum())
            raise ArtifactError(
                f"{wrong} {name} vectors are not finite though marked present. Make the embeddings "
                f"again: plotpointe embed CONFIG --force"
            )
        vectors[name], present[name] = torch.from_numpy(rows), torch.from_numpy(flags)
    return vectors, present


def _relation(graphs: Artifact, name: str, train: sp.csr_matrix) -> Relation:
    matrix = graphs.matrix(name)
    _check(name, matrix.shape[0], train.shape[1])
    return relation_of(matrix)


def _check(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ArtifactError(
            f"{what}: {found} rows, but the tables have {wanted} items. The artifacts are from "
            f"different runs; run the whole configuration again"
        )


def relation_of(matrix: sp.csr_matrix) -> Relation:
    """Return item-item edges that are symmetric, without self-loops, of mean weight 1.

    Shapes:
        matrix: CSR (N, N), non-negative weights count.
    """
    graph = symmetric(matrix)
    return Relation(edges_of(graph), torch.from_numpy(graph.data))


def edges_of(matrix: sp.csr_matrix) -> Edges:
    """Return the pattern of a CSR matrix with sorted rows."""
    indptr = torch.from_numpy(matrix.indptr.astype(np.int64))
    indices = torch.from_numpy(matrix.indices.astype(np.int64))
    return Edges.of(indptr, indices, (matrix.shape[0], matrix.shape[1]))
