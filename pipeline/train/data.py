"""From artifacts to what models and sampling take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipeline import interactions
from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.config import TrainConfig
from pipeline.errors import ArtifactError, DataError
from pipeline.models import MODELS
from pipeline.models.base import Inputs, Relation
from pipeline.relations import divided, mean_weight, relation_files, symmetric, undirected
from pipeline.schema import TRAIN, VALIDATION
from pipeline.train.active import Rest, trains_on_active
from pipeline.train.shelf import Shelf

_BLOCK = 1 << 16
_DRAW = 7
"""Seed of the users that are validated on: part of the method."""


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
    rest: Rest | None = None
    """The items that are left out here and attached to the trained model; None for none."""
    divisors: Mapping[str, float] = field(default_factory=dict)
    """The mean weight of each relation's edges, by which all of them were divided."""


def load(
    artifacts: Mapping[str, Artifact], config: TrainConfig, folder: Path | None = None
) -> TrainingData:
    """Return the training data of tables, embeddings and graphs.

    Where neighbours are sampled, graphs and vectors are left in ``folder``, mapped.

    Raises:
        ConfigError: the model cannot leave out the items without interactions, as asked for.
        DataError: there is no training interaction.
        ArtifactError: the artifacts disagree on the number of items, or a vector is not finite.
    """
    tables, embeddings, graphs = (artifacts[k] for k in ("tables", "embeddings", "graphs"))
    train = interactions.user_item(tables, (TRAIN,))
    validation = of_some_users(
        interactions.user_item(tables, (VALIDATION,)), train, config.validation_users
    )
    if not train.nnz:
        raise DataError(
            "no interaction falls into the training split, so there is nothing to learn from. "
            "Check etl.split and the rejects of the tables: plotpointe show tables"
        )
    hot = np.bincount(train.indices, minlength=train.shape[1]) > 0
    content: Content = _content(embeddings, train.shape[1]) if uses_content(config) else ({}, {})
    relations = {m: _relation(graphs, name, train) for m, name in relation_files(graphs).items()}
    shelf = Shelf(folder if config.fan_out is not None else None)
    if trains_on_active(config, hot):
        return _of_active(shelf, train, validation, relations, content)
    divisors = {name: mean_weight(matrix) for name, matrix in relations.items()}
    relations = {name: divided(matrix, divisors[name]) for name, matrix in relations.items()}
    inputs = _inputs(shelf, train, relations, content)
    return TrainingData(inputs, train, validation, divisors=divisors)


def uses_content(config: TrainConfig) -> bool:
    """Return whether the model looks at the vectors of modalities; ``auto`` tries such."""
    return config.model not in MODELS.names() or bool(
        getattr(MODELS[config.model], "uses_content", True)
    )


def of_some_users(validation: sp.csr_matrix, train: sp.csr_matrix, count: int) -> sp.csr_matrix:
    """Return the validation interactions of so many of the users that have any in training.

    The same users are drawn for every model, so that their values compare.

    Shapes:
        validation, train: CSR (U, N). returns: CSR (U, N); rows of the other users are empty.
    """
    users = interactions.evaluable(train, validation)
    if len(users) <= count:
        return validation
    kept = np.zeros(len(train.indptr) - 1, dtype=bool)
    kept[np.random.default_rng(_DRAW).choice(users, count, replace=False)] = True
    found = sp.csr_matrix(sp.diags_array(kept.astype(validation.dtype)) @ validation)
    found.eliminate_zeros()
    found.sort_indices()
    return found


Content = tuple[dict[str, Floats], dict[str, Flags]]
"""Vectors (N, width) and which are present (N,), by modality, memory-mapped."""


def _of_active(
    shelf: Shelf,
    train: sp.csr_matrix,
    validation: sp.csr_matrix,
    relations: Mapping[str, sp.csr_matrix],
    content: Content,
) -> TrainingData:
    """Return the data of the active items; validation asks for these alone.

    Weights are divided by the mean of the edges among active items, so that training is the same
    whatever else the catalogue holds, and one more item changes no other.
    """
    active = np.unique(train.indices)
    among = {n: m[active][:, active] for n, m in relations.items()}
    divisors = {n: mean_weight(m) for n, m in among.items()}
    relations = {n: divided(m, divisors[n]) for n, m in relations.items()}
    among = {n: divided(m, divisors[n]) for n, m in among.items()}
    rest = _rest(validation, relations, content, active)
    train, validation = train[:, active], validation[:, active]
    inputs = _inputs(shelf, train, among, content, active)
    return TrainingData(inputs, train, validation, rest=rest, divisors=divisors)


def _rest(
    validation: sp.csr_matrix,
    relations: Mapping[str, sp.csr_matrix],
    content: Content,
    active: Rows,
) -> Rest:
    """Return what is known of the items that are not active."""
    others = np.setdiff1d(np.arange(validation.shape[1]), active)
    edges = {n: m[others][:, active] for n, m in relations.items()}
    wanted = validation[:, others].nnz / max(1, validation.nnz)
    return Rest(active, others, edges, *content, wanted)


def _inputs(
    shelf: Shelf,
    train: sp.csr_matrix,
    relations: Mapping[str, sp.csr_matrix],
    content: Content,
    rows: Rows | None = None,
) -> Inputs:
    """Return a model's inputs; ``rows`` are the items that the matrices are about, None for all."""
    vectors, present = content
    return Inputs(
        shelf.edges("user_item", train),
        {n: shelf.relation(f"relation_{n}", m) for n, m in relations.items()},
        {n: shelf.vectors(f"vectors_{n}", v, rows) for n, v in vectors.items()},
        {n: shelf.flags(p, rows) for n, p in present.items()},
    )


def _content(embeddings: Artifact, items: int) -> Content:
    vectors, present = {}, {}
    for name in embeddings.modalities("_present.npy"):
        rows, flags = embeddings.array(f"{name}.npy"), embeddings.array(f"{name}_present.npy")
        _check(f"{name} vectors", len(rows), items)
        wrong = _not_finite(rows, np.asarray(flags))
        if wrong:
            raise ArtifactError(
                f"{wrong} {name} vectors are not finite though marked present. Make the embeddings "
                f"again: plotpointe embed CONFIG --force"
            )
        vectors[name], present[name] = rows, flags
    return vectors, present


def _not_finite(rows: Floats, present: Flags) -> int:
    """Return how many present vectors are not finite, reading a block at a time."""
    blocks = range(0, len(rows), _BLOCK)
    finite = [np.isfinite(rows[at : at + _BLOCK]).all(axis=1) for at in blocks]
    return int((present & ~np.concatenate([*finite, np.empty(0, bool)])).sum())


def _relation(graphs: Artifact, name: str, train: sp.csr_matrix) -> sp.csr_matrix:
    matrix = graphs.matrix(name)
    _check(name, matrix.shape[0], train.shape[1])
    return undirected(matrix)


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
    return Shelf().relation("", symmetric(matrix))
