"""Do the graphs that a model learns from hold more than the training interactions?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.leaks.finding import (
    LEAK,
    NOTE,
    SUSPICIOUS,
    Examined,
    Finding,
    examined,
    first,
    not_examined,
    said,
)
from pipeline.leaks.lineage import Run, name_of
from pipeline.leaks.log import among, pairs_of, shared_users

_KNN, _ACTIVE = "_knn.npz", "_active.npz"
_AGAIN = "Make the graphs again from the training split: plotpointe graph CONFIG --force"
_CLOSE = 1e-4
MOST = 2_000_000
"""Edges looked at in one graph; of more, so many are drawn."""
_COSINE = {"float16": 5e-3, "float32": 1e-3}
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Edges:
    """Weighted item-item edges, and how many users share both ends.

    Shapes:
        sources, targets, weights, shared: (E,).
    """

    sources: Rows
    targets: Rows
    weights: Floats
    shared: Rows
    """Users who have both in training."""


def edges_of(run: Run, matrix: sp.csr_matrix) -> Edges:
    """Return the stored edges of an item graph, or so many drawn ones, with their shared users."""
    chosen = np.arange(matrix.nnz)
    if len(chosen) > MOST:
        chosen = np.sort(np.random.default_rng(0).choice(matrix.nnz, MOST, replace=False))
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    ends = rows[chosen], np.asarray(matrix.indices)[chosen]
    weights = np.asarray(matrix.data, dtype=np.float64)[chosen]
    return Edges(*ends, weights, shared_users(run.train, *ends))


def checks(run: Run) -> Iterator[Examined]:
    """Yield what the graphs of a run were asked."""
    graphs = run.by_kind.get("graphs")
    if graphs is None:
        yield not_examined("graphs hold training alone", "graphs", "the store holds none")
        return
    yield user_item_edges(run, graphs)
    yield cooccurrence_edges(run, graphs)
    for suffix in (_KNN, _ACTIVE):
        for modality in graphs.modalities(suffix):
            yield content_edges(run, graphs, modality, suffix)


def user_item_edges(run: Run, graphs: Artifact) -> Examined:
    """Return whether every user-item edge is a training interaction."""
    matrix = graphs.matrix("user_item.npz")
    found = pairs_of(matrix)
    foreign = ~among(found, pairs_of(run.train))
    held = foreign & among(found, run.log.pairs[run.log.held_out])
    users, items = found // matrix.shape[1], found % matrix.shape[1]

    def named(flags: Flags) -> tuple[str, ...]:
        """Return the first of the flagged edges by their keys."""
        rows = first(flags)
        keys = run.user_keys[users[rows]], run.item_keys[items[rows]]
        return said("user {}, item {}", *keys)

    findings = [
        Finding(
            severity,
            what,
            int(flags.sum()),
            len(found),
            _AGAIN,
            named(flags),
        )
        for severity, what, flags in (
            (LEAK, "user-item edges are held-out interactions", held),
            (SUSPICIOUS, "user-item edges are no interactions of these tables", foreign & ~held),
        )
        if flags.any()
    ]
    looked_at = f"{len(found):,} user-item edges"
    return examined("user-item edges are training alone", name_of(graphs), looked_at, findings)


def cooccurrence_edges(run: Run, holder: Artifact) -> Examined:
    """Return whether training alone explains every weight of the co-occurrence graph."""
    edges = edges_of(run, holder.matrix("cooccurrence.npz"))
    explained = np.isclose(edges.weights, cosine(run, edges), rtol=_CLOSE)
    explained |= edges.weights == edges.shared
    findings = unexplained(run, edges, ~explained, "co-occurrence weights", _AGAIN)
    looked_at = f"{len(edges.weights):,} edges, each counted again from training"
    return examined("co-occurrence counts training alone", name_of(holder), looked_at, findings)


def cosine(run: Run, edges: Edges, shrinkage: float = 0.0) -> Floats:
    """Return the cosine of the ends' training users, shrunk as item-kNN does.

    Shapes:
        returns: (E,).
    """
    counts = run.item_counts[0].astype(np.float64)
    norm = np.sqrt(counts[edges.sources] * counts[edges.targets]) + shrinkage
    return np.asarray(edges.shared / np.where(norm > 0, norm, 1.0))


def unexplained(
    run: Run, edges: Edges, wrong: Flags, what: str, cure: str, why: str = "training"
) -> Iterator[Finding]:
    """Yield what is wrong with edges that training does not explain, by what may explain them."""
    rows = np.flatnonzero(wrong)
    ends = edges.sources[rows], edges.targets[rows]
    ever = shared_users(run.everything, *ends)
    held = ever > edges.shared[rows]
    form = "{} and {}: weight {:.4g}, shared by {} users in training, {} in all splits"
    for severity, text, flags in (
        (LEAK, f"{what} need held-out interactions: {why} does not explain them", held),
        (SUSPICIOUS, f"{what} are not what {why} gives", ~held),
    ):
        if flags.any():
            at = first(flags)
            keys = (run.item_keys[end[at]] for end in ends)
            columns = *keys, edges.weights[rows][at], edges.shared[rows][at], ever[at]
            names = said(form, *columns)
            yield Finding(severity, text, int(flags.sum()), len(wrong), cure, names)


def content_edges(run: Run, graphs: Artifact, modality: str, suffix: str = _KNN) -> Examined:
    """Return whether a modality's graph is that of its vectors; a given one cannot be told."""
    name = f"{modality}{suffix}"
    check, where = f"{modality} neighbours come from content", f"{name_of(graphs)} {name}"
    matrix = graphs.matrix(name)
    embeddings = run.by_kind.get("embeddings")
    given = graphs.facts.get(f"{modality}_knn", {}).get("source") == "given"
    if given or embeddings is None or not embeddings.has(f"{modality}.npy"):
        note = Finding(
            NOTE,
            f"the {modality} graph was given ready-made; what it was made from cannot be told",
            matrix.nnz,
            matrix.nnz,
            "Make sure that whoever made it used content, or training interactions, alone",
        )
        return examined(check, where, f"{matrix.nnz:,} given edges", [note])
    edges = edges_of(run, matrix)
    vectors = embeddings.array(f"{modality}.npy")
    found = _inner_products(vectors, edges)
    tolerance = _COSINE.get(str(vectors.dtype), 1e-3)
    wrong = np.abs(found - edges.weights) > tolerance
    what = f"edges between {modality} neighbours"
    findings = unexplained(run, edges, wrong, what, _AGAIN, f"the cosine of {modality} vectors")
    return examined(check, where, f"{len(wrong):,} edges against their vectors", findings)


def _inner_products(vectors: Floats, edges: Edges) -> Floats:
    found = np.zeros(len(edges.sources))
    for start in range(0, len(found), _BLOCK):
        part = slice(start, start + _BLOCK)
        ends = (np.asarray(vectors[e[part]], np.float32) for e in (edges.sources, edges.targets))
        found[part] = np.einsum("ed,ed->e", *ends)
    return found
