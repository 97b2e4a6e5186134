"""FAISS indexes by inner product: every item, inverted lists or a small world; vectors or codes.

Row i of an index is item i. All is drawn from one seed and built by one thread, so bytes repeat.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.arrays import Floats
from pipeline.index.recipe import Recipe

Advance = Callable[[int], object]

_CHUNK = 4096
_SEED = 1234
_ROUNDS = 10
"""Of k-means."""
_PER_LIST = 32
"""Vectors that k-means sees for each list."""
_SAMPLE = 16_384
"""Vectors that quantisers are trained on: 64 for each of 256 centres."""
_BITS = 8
"""Of each part of a product quantiser's code."""


def build(vectors: Floats, recipe: Recipe, advance: Advance = id) -> Any:  # noqa: ANN401 - faiss
    """Return a FAISS inner-product index of the item vectors; row i is item i.

    The small-world graph is built by one thread: with several, the order in which nodes arrive
    and so the graph would differ from run to run. It searches by inner product as it is: with
    vectors made equally long by another dimension, the usual reduction to cosine, it finds far
    less where lengths vary, which they do when popularity is learned.

    Shapes:
        vectors: (N, D) float32.
    """
    import faiss

    with faiss_threads(1):
        turn = _rotation(vectors, recipe)
        index = _empty(vectors, recipe, turn)
        index.train(_turned(turn, _for_codes(vectors, recipe)))
        for start in range(0, len(vectors), _CHUNK):
            part = _turned(turn, vectors[start : start + _CHUNK])
            index.add(part)
            advance(len(part))
        if recipe.method == "ivf":
            _probe_by_longest(index, vectors)
    return index if turn is None else faiss.IndexPreTransform(turn, index)


def _empty(vectors: Floats, recipe: Recipe, turn: Any) -> Any:  # noqa: ANN401 - faiss
    width = vectors.shape[1]
    if recipe.method == "hnsw":
        return _small_world(width, recipe)
    if recipe.method == "ivf":
        sample = _sample(vectors, recipe.lists * _PER_LIST, recipe.lists)
        return _lists(_turned(turn, sample), recipe)
    return _codes(width, recipe)


def _codes(width: int, recipe: Recipe) -> Any:  # noqa: ANN401 - faiss
    import faiss

    metric = faiss.METRIC_INNER_PRODUCT
    if recipe.codes == "none":
        return faiss.IndexFlatIP(width)
    if recipe.codes == "binary":
        return faiss.IndexRaBitQ(width, metric)
    if recipe.codes in ("pq", "opq"):
        index = faiss.IndexPQ(width, recipe.code_bytes, _BITS, metric)
        _repeatable(index.pq.cp)
        return index
    return faiss.IndexScalarQuantizer(width, _scalar(recipe), metric)


def _small_world(width: int, recipe: Recipe) -> Any:  # noqa: ANN401 - faiss
    import faiss

    metric = faiss.METRIC_INNER_PRODUCT
    if recipe.codes == "none":
        index: Any = faiss.IndexHNSWFlat(width, recipe.links, metric)
    else:
        kind: Any = _scalar(recipe)
        index = faiss.IndexHNSWSQ(width, kind, recipe.links, metric)
    index.hnsw.efConstruction = recipe.ef_construction
    index.hnsw.efSearch = recipe.ef_search
    return index


def _lists(sample: Floats, recipe: Recipe) -> Any:  # noqa: ANN401 - faiss
    """Return empty inverted lists around the centres of a k-means, nearest by distance.

    Shapes:
        sample: (S, D), S at least the number of lists.
    """
    import faiss

    width, metric = sample.shape[1], faiss.METRIC_INNER_PRODUCT
    clusters = faiss.Clustering(width, recipe.lists)
    _repeatable(clusters)
    nearest = faiss.IndexFlatL2(width)
    clusters.train(sample, nearest)
    if recipe.codes == "none":
        index: Any = faiss.IndexIVFFlat(nearest, width, recipe.lists, metric)
    elif recipe.codes in ("pq", "opq"):
        parts = recipe.code_bytes
        index = faiss.IndexIVFPQ(nearest, width, recipe.lists, parts, _BITS, metric)
        _repeatable(index.pq.cp)
    else:
        kind = _scalar(recipe)
        index = faiss.IndexIVFScalarQuantizer(nearest, width, recipe.lists, kind, metric)
    # Codes are of whole vectors, so that the centres can be exchanged after the lists are full.
    index.by_residual = False
    index.nprobe = min(recipe.probes, recipe.lists)
    return index


def _probe_by_longest(index: Any, vectors: Floats) -> None:  # noqa: ANN401 - faiss
    """Let a search choose lists by their centres at the length of their longest vector.

    Lists hold vectors that are near each other, long ones apart from short ones. The largest inner
    product is sought, and the longest vector of a list is who may give it.

    Shapes:
        vectors: (N, D).
    """
    import faiss

    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    longest = np.array(
        [lengths[_rows_of(index, each)].max(initial=0) for each in range(index.nlist)]
    )
    centres = index.quantizer.reconstruct_n(0, index.nlist)
    norms = np.linalg.norm(centres, axis=1)
    scale = np.divide(longest, norms, out=np.zeros_like(norms), where=norms > 0)
    probes: Any = faiss.IndexFlatIP(index.d)
    probes.add(np.ascontiguousarray(centres * scale[:, None], dtype=np.float32))
    index.quantizer = probes
    index.own_fields = True
    probes.this.disown()


def _rows_of(index: Any, each: int) -> np.ndarray:  # noqa: ANN401 - faiss
    import faiss

    size = index.invlists.list_size(each)
    if not size:
        return np.empty(0, dtype=np.int64)
    rows: np.ndarray = faiss.rev_swig_ptr(index.invlists.get_ids(each), size)
    return rows


def _rotation(vectors: Floats, recipe: Recipe) -> Any:  # noqa: ANN401 - faiss
    """Return the trained rotation before a product quantiser, None where there is none."""
    if recipe.codes != "opq":
        return None
    import faiss

    turn = faiss.OPQMatrix(vectors.shape[1], recipe.code_bytes)
    turn.niter, turn.niter_pq, turn.niter_pq_0 = 10, 4, _ROUNDS
    inner = faiss.ProductQuantizer(vectors.shape[1], recipe.code_bytes, _BITS)
    _repeatable(inner.cp)
    turn.pq = inner
    turn.train(_for_codes(vectors, recipe))
    turn.pq = None
    return turn


def _turned(turn: Any, vectors: Floats) -> Floats:  # noqa: ANN401 - faiss
    whole: Floats = np.ascontiguousarray(vectors, dtype=np.float32)
    return whole if turn is None else turn.apply(whole)


def _for_codes(vectors: Floats, recipe: Recipe) -> Floats:
    """Return what a quantiser is trained on; a scalar one must know every extreme."""
    if recipe.codes in ("pq", "opq", "binary"):
        return _sample(vectors, _SAMPLE, 1 << _BITS)
    return vectors if len(vectors) else _sample(vectors, 1, 1)


def _sample(vectors: Floats, most: int, fewest: int) -> Floats:
    """Return at most so many rows, drawn alike in every run; repeated where there are too few.

    Shapes:
        vectors: (N, D). returns: (S, D), S from ``fewest`` to ``most``.
    """
    if not len(vectors):
        return np.zeros((fewest, vectors.shape[1]), dtype=np.float32)
    rows = np.sort(np.random.default_rng(_SEED).permutation(len(vectors))[:most])
    return np.asarray(vectors[np.resize(rows, max(len(rows), fewest))], dtype=np.float32)


def _scalar(recipe: Recipe) -> int:
    import faiss

    kinds = {"sq8": faiss.ScalarQuantizer.QT_8bit, "sq4": faiss.ScalarQuantizer.QT_4bit}
    return int(kinds[recipe.codes])


def _repeatable(settings: Any) -> None:  # noqa: ANN401 - faiss
    """Set what a k-means of FAISS does; few vectors are no reason to complain."""
    settings.niter, settings.seed = _ROUNDS, _SEED
    settings.min_points_per_centroid = 1
    settings.max_points_per_centroid = _SAMPLE


@contextmanager
def faiss_threads(threads: int) -> Iterator[None]:
    """Let FAISS use so many threads; put back what was set before."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
