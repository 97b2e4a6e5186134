"""Many queries of an inverted-list index at once, list by list: lists.c through ctypes.

FAISS reads a query's lists for that query alone, which for large catalogues is a wait for memory.
Of a thousand queries many look at the same lists; here each is read once for all of them. Needs
the native code that is compiled on installing; where there is none, FAISS is asked.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrays import Floats, Rows
from pipeline.native import library

Addresses = npt.NDArray[np.uint64]

_LIBRARY = "pipeline._lists"


@cache
def _library() -> ctypes.CDLL | None:
    native = library(_LIBRARY)
    if native is None:
        return None
    pointers = [ctypes.c_void_p] * 7
    native.search_lists.argtypes = [*[ctypes.c_int64] * 5, *pointers, ctypes.c_int]
    native.search_lists.restype = ctypes.c_int
    return native


def processors() -> int:
    """Return how many threads a search of this thread may use: as many as FAISS would."""
    import faiss

    return int(faiss.omp_get_max_threads())


@dataclass(frozen=True)
class Lists:
    """Lists of vectors in memory, each with the ids of its vectors.

    Shapes:
        vectors, ids: (L,) addresses, of (size, D) float32 and (size,) int64. sizes: (L,).
    """

    vectors: Addresses
    ids: Addresses
    sizes: Rows

    def best(self, queries: Floats, assigned: Rows, k: int, threads: int) -> tuple[Rows, Floats]:
        """Return the k best by inner product of the lists that each query looks at.

        Shapes:
            queries: (B, D). assigned: (B, P), negative for none. returns: rows (B, k), -1 where
            there are fewer; scores (B, k), the lowest float32 there; equal ones by id.

        Raises:
            MemoryError: there was none for the work.
        """
        asked, chosen = (np.ascontiguousarray(queries, "f4"), np.ascontiguousarray(assigned, "i8"))
        count, width = asked.shape
        rows, scores = np.empty((count, k), dtype=np.int64), np.empty((count, k), dtype=np.float32)
        native = _library()
        assert native is not None
        arrays = (asked, chosen, self.vectors, self.ids, self.sizes, scores, rows)
        sizes = (count, width, len(self.sizes), chosen.shape[1], k)
        places = [array.ctypes.data for array in arrays]
        if k and not native.search_lists(*sizes, *places, max(1, min(threads, count))):
            raise MemoryError(f"no memory to search for {count} queries at once")
        return rows, scores


@dataclass(frozen=True)
class InvertedLists:
    """The lists of an IVF index of whole vectors, by inner product.

    Shapes:
        centroids: (L, D); None where the index does not choose lists by an exact search.
    """

    index: Any
    lists: Lists
    centroids: Floats | None

    @classmethod
    def of(cls, index: Any) -> "InvertedLists | None":  # noqa: ANN401 - faiss has no types
        """Return the lists of an index; None where it has no such lists, or nothing compiled."""
        import faiss

        if _library() is None or type(index) is not faiss.IndexIVFFlat:
            return None
        inside: Any = index.invlists
        held = faiss.downcast_InvertedLists(inside)
        by_product = index.metric_type == faiss.METRIC_INNER_PRODUCT
        if not by_product or not isinstance(held, faiss.ArrayInvertedLists):
            return None
        every = range(index.nlist)
        lists = Lists(
            # An empty list has no address.
            np.array([int(held.get_codes(each) or 0) for each in every], dtype=np.uint64),
            np.array([int(held.get_ids(each) or 0) for each in every], dtype=np.uint64),
            np.array([held.list_size(each) for each in every], dtype=np.int64),
        )
        chooser = faiss.downcast_index(index.quantizer)
        exact = isinstance(chooser, faiss.IndexFlat)
        same = exact and chooser.metric_type == faiss.METRIC_INNER_PRODUCT
        return cls(index, lists, chooser.reconstruct_n(0, index.nlist) if same else None)

    def search(self, queries: Floats, k: int, threads: int) -> tuple[Rows, Floats]:
        """Return what ``top_k_faiss`` does; equal scores in order of row.

        Shapes:
            queries: (B, D). returns: rows (B, k), scores (B, k).

        Raises:
            MemoryError: there was none for the work.
        """
        return self.lists.best(queries, self._chosen(queries, threads), k, threads)

    def _chosen(self, queries: Floats, threads: int) -> Rows:
        """Return the lists that each query looks at, (B, P): the centroids are a list as well."""
        probes, centroids = min(self.index.nprobe, self.index.nlist), self.centroids
        if centroids is None:
            chosen: Rows = self.index.quantizer.search(np.ascontiguousarray(queries), probes)[1]
            return chosen
        ids = np.arange(len(centroids))
        whole = Lists(
            np.array([centroids.ctypes.data], dtype=np.uint64),
            np.array([ids.ctypes.data], dtype=np.uint64),
            np.array([len(centroids)]),
        )
        only = np.zeros((len(queries), 1), dtype=np.int64)
        return whole.best(queries, only, probes, threads)[0]
