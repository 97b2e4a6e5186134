"""What embeddings and graphs promise."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from pipeline.artifacts import Artifact
from pipeline.interactions import shape_of, user_item
from pipeline.promises.check import Check, binary, blocks, equal, finite, input_of, none

_PRESENT, _KNN, _STATISTICS = "_present.npy", "_knn.npz", "statistics.json"
_ACTIVE = "_active.npz"
_UNIT_TOLERANCE = {"float16": 5e-3, "float32": 1e-4}


def embeddings(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of an embeddings artifact."""
    tables = input_of(artifact, "tables")
    for modality in artifact.modalities(_PRESENT):
        name, flags = f"{modality}.npy", f"{modality}{_PRESENT}"
        yield Check(name, f"stands beside {flags}", artifact.has(name), "no such file")
        vectors, present = artifact.array(name), artifact.array(flags, mapped=False)
        yield equal(flags, "is bool", present.dtype, np.dtype(np.bool_))
        kind = str(vectors.dtype)
        yield Check(name, "is float16 or float32", kind in _UNIT_TOLERANCE, kind)
        yield equal(name, "has two dimensions", vectors.ndim, 2)
        yield equal(flags, "has a flag for every vector", present.shape, vectors.shape[:1])
        if tables is not None:
            yield equal(name, "has a row for every item", len(vectors), shape_of(tables)[1])
        yield finite(name, vectors)
        lengths = np.concatenate([np.zeros(0), *(_lengths(part) for part in blocks(vectors))])
        tolerance = _UNIT_TOLERANCE.get(kind, 0.0)
        wrong = present & (np.abs(lengths - 1) > tolerance)
        yield none(name, "present vectors have length 1", wrong)
        yield none(name, "absent vectors are zero", ~present & (lengths != 0))


def _lengths(part: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(part.astype(np.float32), axis=1)
    return lengths


def graphs(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of a graphs artifact."""
    name = "user_item.npz"
    train = artifact.matrix(name, mapped=True)
    yield binary(name, train)
    tables = input_of(artifact, "tables")
    if tables is not None:
        wanted = user_item(tables)
        yield equal(name, "has the users and items of the tables", train.shape, wanted.shape)
        if train.shape == wanted.shape:
            yield equal(name, "is the training split", (train != wanted).nnz, 0)
    config = artifact.manifest["config"]
    most = config.get("neighbors")
    for modality in artifact.modalities(_KNN):
        yield from _item_graph(artifact, f"{modality}{_KNN}", most)
        yield from _recall(artifact, f"{modality}_knn", config.get("recall_floor"))
    bought = np.bincount(train.indices, minlength=train.shape[1]) > 0
    for modality in artifact.modalities(_ACTIVE):
        name = f"{modality}{_ACTIVE}"
        yield from _item_graph(artifact, name, config.get("active_neighbors") or most)
        targets = artifact.matrix(name, mapped=True).indices
        yield none(name, "names items with interactions alone", ~bought[targets])
        yield from _recall(artifact, f"{modality}_active", config.get("recall_floor"))
    yield from _item_graph(artifact, "cooccurrence.npz", config.get("cooccurrence_neighbors"))


def _item_graph(artifact: Artifact, name: str, most: int | None) -> Iterator[Check]:
    matrix = artifact.matrix(name, mapped=True)
    n_items = artifact.matrix("user_item.npz", mapped=True).shape[1]
    yield equal(name, "is items by items", matrix.shape, (n_items, n_items))
    yield finite(name, matrix.data)
    yield from item_graph(name, matrix, most)


def _recall(artifact: Artifact, name: str, floor: float | None) -> Iterator[Check]:
    """Yield the check that a search of ours found enough, where the graph is of one."""
    how = artifact.json(_STATISTICS).get(name, {})
    if how.get("source") == "cosine" and floor is not None:
        found = 1.0 if how["exact"] else float(how["recall"])
        rule = f"{name} has the recall of the floor"
        yield Check(_STATISTICS, rule, found >= floor, str(found), f"{floor} or more")


def item_graph(name: str, matrix: sp.csr_matrix, most: int | None) -> Iterator[Check]:
    """Yield the checks of one item graph with at most ``most`` edges an item."""
    degrees = np.diff(matrix.indptr)
    sources = np.repeat(np.arange(matrix.shape[0]), degrees)
    yield none(name, "has no self-loop", sources == matrix.indices)
    if most is not None:
        largest = int(degrees.max(initial=0))
        yield Check(name, f"has at most {most} edges an item", largest <= most, str(largest))
    rising = (np.diff(sources) == 0) & (np.diff(matrix.data) > 0)
    yield none(name, "has weights that fall within a row", rising)
    distinct = len(np.unique(sources * matrix.shape[1] + matrix.indices))
    yield equal(name, "holds each edge once", int(matrix.nnz), distinct)
