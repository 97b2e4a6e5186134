"""Which items the second stage puts in order: the best of the vectors and of the second model."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Rows
from pipeline.ids import UNKNOWN
from pipeline.interactions import columns_of
from pipeline.nearest import top_k_exact
from pipeline.ranking.evidence import Evidence, Taste

Allows = Callable[[int, Rows], Flags]
"""Which of some rows may be among the candidates of user b of a block."""


def candidates_of(evidence: Evidence, taste: Taste, count: int, masked: sp.csr_matrix) -> Rows:
    """Return each user's candidates by an exact search: the reference for the service's index.

    Shapes:
        masked: CSR (B, N), never among a user's candidates.
        returns: (B, C) item rows, ascending, then ``UNKNOWN`` where a user has fewer.
    """
    longest = int(np.diff(masked.indptr).max(initial=0))
    nearest, _ = top_k_exact(taste.vectors, evidence.space.item_vectors, count + longest)
    found = [allowed(row, columns_of(masked, b), count) for b, row in enumerate(nearest)]
    return with_second(evidence, taste, found, outside(masked), count)


def outside(masked: sp.csr_matrix) -> Allows:
    """Return what allows user b every row but those of CSR row b."""
    return lambda b, rows: ~np.isin(rows, columns_of(masked, b))


def with_second(
    evidence: Evidence, taste: Taste, found: list[Rows], allows: Allows, count: int
) -> Rows:
    """Return what the vectors found for each user, and the best of the second model with it.

    Shapes:
        found: B lists of rows. returns: (B, C) rows, ascending, then ``UNKNOWN``.
    """
    if evidence.second is None:
        return padded([np.sort(rows) for rows in found])
    second = second_best(evidence.second, taste.history, allows, count)
    return padded([np.union1d(a, b) for a, b in zip(found, second, strict=True)])


def allowed(rows: Rows, masked: Rows, count: int) -> Rows:
    """Return the first ``count`` of ``rows`` that are not masked."""
    return rows[~np.isin(rows, masked)][:count]


def second_best(
    second: sp.csr_matrix, history: sp.csr_matrix, allows: Allows, count: int
) -> list[Rows]:
    """Return, for each history, the items that the second model scores highest above nothing.

    Equal scores stand in order of row.

    Shapes:
        second: CSR (N, N). history: CSR (B, N). returns: B of at most ``count`` rows.
    """
    scores = sp.csr_matrix(history @ second)
    scores.sort_indices()
    found = []
    for b in range(scores.shape[0]):
        span = slice(scores.indptr[b], scores.indptr[b + 1])
        rows, values = scores.indices[span], scores.data[span]
        kept = (values > 0) & allows(b, rows)
        rows, values = rows[kept], values[kept]
        found.append(rows[np.argsort(-values, kind="stable")[:count]])
    return found


def padded(lists: list[Rows]) -> Rows:
    """Return lists of rows as one array, filled up with ``UNKNOWN``."""
    width = max((len(rows) for rows in lists), default=0)
    whole = np.full((len(lists), width), UNKNOWN, dtype=np.int64)
    for row, items in zip(whole, lists, strict=True):
        row[: len(items)] = items
    return whole
