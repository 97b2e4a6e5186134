"""Items like one item: by the cosine of their vectors, or by the edges of a relation."""

import numpy as np

from pipeline.allowed import Ranked
from pipeline.arrays import Floats, Rows
from pipeline.nearest import top_k_of_scores
from serving.bundle import Bundle
from serving.filters import Selection


def nearest(bundle: Bundle, row: int, count: int, selection: Selection | None) -> Ranked:
    """Return the items whose vectors point most nearly where this one's does."""
    vectors, lengths = bundle.item_vectors, bundle.lengths
    if not lengths[row]:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    if selection is not None:
        rows = selection.rows
        cosines = _cosines(vectors[rows], lengths[rows], vectors[row] / lengths[row])
        cosines[rows == row] = -np.inf
    else:
        rows = np.arange(len(vectors))
        cosines = _cosines(vectors, lengths, vectors[row] / lengths[row])
        cosines[row] = -np.inf
    if len(bundle.gone):
        cosines[np.isin(rows, bundle.gone)] = -np.inf
    places, scores = top_k_of_scores(cosines[None], count)
    found = np.isfinite(scores[0])
    return rows[places[0][found]], scores[0][found]


def _cosines(vectors: Floats, lengths: Floats, direction: Floats) -> Floats:
    """Return cosines (R,) with a direction of length 1; the lowest for vectors of length 0."""
    nowhere = np.full(len(vectors), -np.inf, dtype=np.float32)
    return np.divide(vectors @ direction, lengths, out=nowhere, where=lengths > 0)


def edges(bundle: Bundle, relation: str, row: int, selection: Selection | None) -> Ranked:
    """Return an item's edges of a relation, heaviest first."""
    graph = bundle.graphs[relation]
    span = slice(*graph.indptr[row : row + 2])
    rows: Rows = graph.indices[span]
    weights: Floats = graph.data[span]
    if selection is not None:
        kept = selection.flags[rows]
        rows, weights = rows[kept], weights[kept]
    if len(bundle.gone):
        kept = ~np.isin(rows, bundle.gone)
        rows, weights = rows[kept], weights[kept]
    order = np.lexsort((rows, -weights))
    return rows[order], weights[order]
