"""What is known of a user and a candidate, as numbers for the ranking network.

Each number exists for known users and for a history given in a request alike, and costs what a
history's edges cost, whatever the size of the catalogue.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.nearest import top_k_of_scores
from pipeline.ranking.evidence import Evidence, Taste
from pipeline.ranking.pooling import entries_at, pooled
from pipeline.ranking.space import unit

VECTORS = "vectors"
"""The feature that is the retrieving vectors' own score."""
OTHER = "other_"
"""Begins the name of a feature that is another model's score."""
NEIGHBOURS = (50, 300)
"""How many nearest users are asked what they took."""
SHARPNESS = 4
"""A neighbour counts by this power of the cosine."""
_TINY = 1e-12


def features(evidence: Evidence, taste: Taste, candidates: Rows) -> tuple[list[str], Floats]:
    """Return the names of the features, and their values for each user and candidate.

    Shapes:
        candidates: (B, C) item rows; the values of a negative one mean nothing.
        returns: F names, (B, C, F) float32.
    """
    named = dict(_all(evidence, taste, candidates))
    return [*named], np.stack([*named.values()], axis=2, dtype=np.float32)


def _all(evidence: Evidence, taste: Taste, candidates: Rows) -> Iterator[tuple[str, Floats]]:
    nearest = evidence.space.scores(taste.vectors, candidates)
    yield VECTORS, nearest
    yield "vectors_rank", places(nearest, candidates >= 0)
    yield from zip(
        ("closest_sum", "closest_max"), closeness(evidence, taste, candidates), strict=True
    )
    for name, space in evidence.others.items():
        scores = space.scores(taste.others[name], candidates)
        yield f"{OTHER}{name}", scores
        yield f"{OTHER}{name}_rank", places(scores, candidates >= 0)
    if evidence.second is not None:
        total, largest = pooled(taste.history, evidence.second, candidates)
        scale = second_deviation(taste.history, evidence.second)
        yield "second", _squeezed(total / scale)
        yield "second_rank", places(total, candidates >= 0)
        yield "second_max", largest
    for name, relation in evidence.relations.items():
        total, largest = pooled(taste.history, relation, candidates)
        yield f"{name}_sum", np.log1p(total)
        yield f"{name}_max", largest
        two_steps = sp.csr_matrix(taste.history @ relation @ relation)
        yield f"{name}_two", np.log1p(entries_at(two_steps, candidates))
    for count, taken in zip(NEIGHBOURS, neighbours_took(evidence, taste), strict=True):
        yield f"neighbours_{count}", np.log1p(entries_at(taken, candidates))
    alike = evidence.profiles.took(taste.history, taste.users)
    yield "profiles", np.log1p(entries_at(alike, candidates))
    yield "popularity", evidence.popularity[candidates]
    lengths = np.log1p(np.diff(taste.history.indptr)).astype(np.float32)
    yield "history", np.broadcast_to(lengths[:, None], candidates.shape)


def places(scores: Floats, real: Flags) -> Floats:
    """Return the log of each candidate's place among its user's, by score; the first is at 0.

    Equal scores stand in order of column. Shapes: all (B, C).
    """
    order = np.argsort(np.where(real, -scores, np.inf), axis=1, kind="stable")
    found = np.empty(scores.shape, dtype=np.float32)
    counted = np.broadcast_to(np.arange(scores.shape[1], dtype=np.float32), scores.shape)
    np.put_along_axis(found, order, counted, axis=1)
    logs: Floats = np.log1p(found)
    return logs


def closeness(evidence: Evidence, taste: Taste, candidates: Rows) -> tuple[Floats, Floats]:
    """Return the sum and the maximum of a candidate's cosines with the history, above zero.

    Shapes:
        candidates: (B, C). returns: (B, C) twice.
    """
    sums = np.zeros(candidates.shape, dtype=np.float32)
    largest = np.zeros(candidates.shape, dtype=np.float32)
    bounds, directions = taste.history.indptr, evidence.space.directions
    for b, row in enumerate(candidates):
        has = taste.history.indices[bounds[b] : bounds[b + 1]]
        if len(has):
            cosines = (directions[row] @ directions[has].T).clip(min=0)
            sums[b], largest[b] = np.log1p(cosines.sum(axis=1)), cosines.max(axis=1)
    return sums, largest


def second_deviation(history: sp.csr_matrix, second: sp.csr_matrix) -> Floats:
    """Return the standard deviation of a history's scores over the whole catalogue, (B, 1)."""
    scores = sp.csr_matrix(history @ second)
    items = second.shape[1]
    mean = np.asarray(scores.sum(axis=1)).ravel() / items
    square = np.asarray(scores.multiply(scores).sum(axis=1)).ravel() / items
    deviation: Floats = np.sqrt((square - mean**2).clip(min=_TINY)).astype(np.float32)[:, None]
    return deviation


def neighbours_took(evidence: Evidence, taste: Taste) -> list[sp.csr_matrix]:
    """Return what each user's nearest users have, weighted by how near they are.

    User-based neighbourhoods (Herlocker et al., SIGIR 1999) in the space of the trained vectors.

    Shapes:
        returns: one CSR (B, N) for each entry of ``NEIGHBOURS``.
    """
    cosines = unit(taste.vectors) @ evidence.pool_directions.T
    cosines[np.asarray(evidence.pool) == np.asarray(taste.users)[:, None]] = -1.0
    nearest, kept = top_k_of_scores(cosines, max(NEIGHBOURS))
    weights = kept.clip(min=0) ** SHARPNESS
    found = []
    for count in NEIGHBOURS:
        columns, values = nearest[:, :count], weights[:, :count]
        bounds = np.arange(len(columns) + 1) * columns.shape[1]
        shape = (len(columns), len(evidence.pool))
        near = sp.csr_matrix((values.ravel(), columns.ravel(), bounds), shape=shape)
        found.append(sp.csr_matrix(near @ evidence.pool_taken))
    return found


def _squeezed(values: Floats) -> Floats:
    """Return values with long tails on a logarithmic scale, signs kept."""
    return np.sign(values) * np.log1p(np.abs(values))
