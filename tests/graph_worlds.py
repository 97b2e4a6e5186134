"""Vectors that gather in clusters, and neighbours by comparing all: what searches are held to."""

import numpy as np


def clustered(n, width=16, clusters=40, spread=0.35, seed=0):
    """Return n vectors around so many centres, float32."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, width))
    noise = spread * rng.normal(size=(n, width))
    return (centres[rng.integers(0, clusters, n)] + noise).astype(np.float32)


def unit(vectors):
    """Return vectors of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def similarities(vectors, present, targets):
    """Return every cosine between items that may be neighbours, minus infinity elsewhere."""
    alike = unit(vectors) @ unit(vectors).T
    usable = present & (np.linalg.norm(vectors, axis=1) > 0)
    wanted = np.zeros(len(vectors), dtype=bool)
    wanted[targets] = True
    alike[~usable] = alike[:, ~(usable & wanted)] = -np.inf
    np.fill_diagonal(alike, -np.inf)
    return alike


def best(alike, k):
    """Return the k largest finite similarities of each row, falling."""
    rows = -np.sort(-alike, axis=1)[:, :k]
    return [row[np.isfinite(row)] for row in rows]


def rows_of(graph):
    """Return the weights of each row of a ranked graph."""
    return np.split(graph.data, graph.indptr[1:-1])


def recall(graph, alike, k):
    """Return the share of each row's k best that a graph holds, by similarity."""
    wanted, found = best(alike, k), rows_of(graph)
    hits = [
        (have >= want[-1] - 1e-5).sum() / len(want)
        for have, want in zip(found, wanted, strict=True)
        if len(want)
    ]
    return float(np.mean(hits))
