"""Lists of known users, made beforehand: a user's vector changes only with the bundle."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from pipeline.allowed import GATHERED_AT_ONCE, SCAN_SHARE, Hunt, scanned, settled
from pipeline.arrays import Floats, Rows
from pipeline.ids import UNKNOWN
from pipeline.index.audit import Search
from pipeline.interactions import columns_of
from pipeline.lists import InvertedLists, processors
from pipeline.nearest import top_k_faiss

Listed = npt.NDArray[np.int32]

_TOGETHER = 512
"""Users whose lists are searched for at once."""


def known_lists(
    search: Search,
    users: Floats,
    seen: sp.csr_matrix,
    count: int,
    advance: Callable[[int], object] = id,
) -> Listed:
    """Return the best items of each user, what the user has left out, as the service finds them.

    Who has no vector or no history has no list: the row is all ``UNKNOWN``, which also fills lists
    that end early. Users of like histories are searched for together.

    Shapes:
        users: (U, D) float32. seen: CSR (U, N). returns: (U, count), best first.
    """
    listed = np.full((len(users), count), UNKNOWN, dtype=np.int32)
    lengths = np.diff(seen.indptr)
    trained = np.flatnonzero((lengths > 0) & np.asarray(users).any(axis=1))
    advance(len(users) - len(trained))
    ordered = trained[np.argsort(lengths[trained], kind="stable")]
    step = max(1, min(_TOGETHER, GATHERED_AT_ONCE // max(1, search.depth * count)))
    finder = _Finder(search)
    for start in range(0, len(ordered), step):
        block = ordered[start : start + step]
        excluded = [np.sort(columns_of(seen, u)) for u in block]
        hunt = Hunt(np.asarray(users[block], dtype=np.float32), excluded, [count] * len(block))
        for user, rows in zip(block.tolist(), finder.find(hunt), strict=True):
            listed[user, : len(rows)] = rows
        advance(len(block))
    return listed


class _Finder:
    """Asks for more and more until every list is settled, as the service does."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._lists = InvertedLists.of(search.index)

    def find(self, hunt: Hunt) -> list[Rows]:
        """Return the rows of each list, best first."""
        return self._deeper(hunt, self._search.depth * hunt.first_fetch)

    def _deeper(self, hunt: Hunt, fetch: int) -> list[Rows]:
        vectors, depth = self._search.vectors, self._search.depth
        if fetch >= SCAN_SHARE * len(vectors):
            asked = zip(hunt.queries, hunt.excluded, hunt.counts, strict=True)
            return [scanned(vectors, *each)[0] for each in asked]
        lists = settled(vectors, hunt, self._asked(hunt.queries, fetch), depth)
        left = [place for place, done in enumerate(lists) if done is None]
        further = iter(self._deeper(hunt.at(left), 2 * fetch) if left else ())
        return [next(further) if done is None else done[0] for done in lists]

    def _asked(self, queries: Floats, fetch: int) -> tuple[Rows, Floats]:
        if self._lists is None:
            return top_k_faiss(self._search.index, queries, fetch)
        return self._lists.search(queries, fetch, processors())
