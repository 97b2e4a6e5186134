"""Item-item relations as models and rankers use them: symmetric, no loops, mean weight 1."""

import numpy as np
import scipy.sparse as sp

from pipeline.artifacts import Artifact

COOCCURRENCE = "cooccurrence"

FEW = 0.5
"""A catalogue of which at most this share has interactions is trained on these items alone."""


def symmetric(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return item-item edges that are symmetric, without self-loops, of mean weight 1.

    The mean weight of 1 puts cosines, counts and ready-made weights on one scale.

    Shapes:
        matrix: CSR (N, N), non-negative weights count. returns: CSR (N, N) float32, rows sorted.
    """
    graph = undirected(matrix)
    return divided(graph, mean_weight(graph))


def undirected(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return the edges in both directions where either side named one, with the larger weight.

    Shapes:
        matrix: CSR (N, N), non-negative weights count. returns: CSR (N, N) float32, rows sorted,
        without self-loops.
    """
    graph = sp.csr_matrix(matrix, dtype=np.float32, copy=True)
    graph.setdiag(0)
    graph.data = np.clip(graph.data, 0, None)
    graph = sp.csr_matrix(graph.maximum(graph.T))
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def mean_weight(graph: sp.csr_matrix) -> float:
    """Return the mean weight of a graph's edges, 1 where it has none."""
    return float(graph.data.mean()) if graph.nnz else 1.0


def divided(graph: sp.csr_matrix, divisor: float) -> sp.csr_matrix:
    """Return a graph with all weights divided."""
    found = sp.csr_matrix(graph)
    found.data = (found.data / divisor).astype(np.float32)
    return found


def relation_files(graphs: Artifact) -> dict[str, str]:
    """Return the file of each item-item relation: that of the nearest active items, if there is."""
    names = {m: f"{m}_knn.npz" for m in graphs.modalities("_knn.npz")}
    names |= {m: f"{m}_active.npz" for m in graphs.modalities("_active.npz")}
    return names | {COOCCURRENCE: f"{COOCCURRENCE}.npz"}
