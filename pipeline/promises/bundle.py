"""What a bundle promises: everything in it is of one model, and its index finds what it should."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.artifacts import Artifact
from pipeline.nearest import open_index, recall_by_score, top_k_exact, top_k_rescored
from pipeline.promises import known, newcomers, ranking
from pipeline.promises.check import Check, binary, equal, finite, input_of, within
from pipeline.ranking.space import unit
from pipeline.ranking.store import SETTINGS

_SAMPLED = 64
_ALIKE = 0.5
"""Mean cosine of decoded vectors to those they stand for; one bit a dimension gives about .8."""

_VECTORS = ("item_vectors.npy", "user_vectors.npy", "fold_in.npy")


def checks(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of a bundle artifact."""
    items, users = (artifact.array(name) for name in _VECTORS[:2])
    for name in _VECTORS:
        yield finite(name, artifact.array(name))
    yield from _shapes(artifact, len(users), items.shape)
    yield from _one_run(artifact)
    yield from _popularity(artifact, len(items))
    yield binary("seen.npz", artifact.matrix("seen.npz", mapped=True))
    if artifact.has(SETTINGS):
        yield from ranking.checks(artifact)
    yield from newcomers.checks(artifact)
    if artifact.has(known.KNOWN):
        yield from known.checks(artifact)
    index, problem = _opened(artifact)
    yield Check("items.faiss", "can be opened", problem is None, str(problem))
    if index is None:
        return
    yield equal("items.faiss", "has the shape of the items", (index.ntotal, index.d), items.shape)
    if (index.ntotal, index.d) == items.shape:
        yield _same_vectors(artifact, index, items)
        yield from _canaries(artifact, index, users, items)


def _shapes(artifact: Artifact, users: int, items: tuple[int, ...]) -> Iterator[Check]:
    n, width = items
    wanted: dict[str, tuple[int, ...]] = {
        "user_vectors.npy": (users, width),
        "fold_in.npy": (n, width),
        "hot.npy": (n,),
        "popular.npy": (n,),
        "seen.npz": (users, n),
        "cooccurrence.npz": (n, n),
        **{f"{m}_knn.npz": (n, n) for m in artifact.modalities("_knn.npz")},
    }
    for name, shape in wanted.items():
        found = tuple(artifact.manifest["files"][name]["shape"])
        yield equal(name, "has the shape of its users and items", found, shape)
    for name, count in {"items.parquet": n, "users.parquet": users}.items():
        found = artifact.manifest["files"][name]["shape"][0]
        yield equal(name, "has a row for each vector", found, count)


def _one_run(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks that shared files are those of the model, graphs and tables named."""
    for kind in ("model", "ranker", "graphs", "tables"):
        source = input_of(artifact, kind)
        if source is None:
            continue
        theirs, ours = source.manifest["files"], artifact.manifest["files"]
        for name in sorted(theirs.keys() & ours.keys()):
            same = theirs[name]["sha256"], ours[name]["sha256"]
            yield equal(name, f"is that of {kind} {source.fingerprint}", same[1], same[0])


def _popularity(artifact: Artifact, n_items: int) -> Iterator[Check]:
    popular = artifact.array("popular.npy", mapped=False)
    once = np.array_equal(np.sort(popular), np.arange(n_items))
    named = n_items if once else len(np.unique(popular))
    yield Check("popular.npy", "names every item once", once, f"{named} items")
    hot = artifact.array("hot.npy", mapped=False)
    yield equal("hot.npy", "is bool", hot.dtype, np.dtype(np.bool_))
    if once and len(hot) == n_items:
        last = np.flatnonzero(hot[popular])
        kept = len(last) == (last[-1] + 1 if len(last) else 0)
        yield Check("popular.npy", "names hot items before the others", kept, "others between")


def _opened(artifact: Artifact) -> tuple[Any, str | None]:
    try:
        return open_index(artifact.file("items.faiss")), None
    except RuntimeError as error:
        return None, str(error)


def _same_vectors(artifact: Artifact, index: Any, items: np.ndarray) -> Check:  # noqa: ANN401
    import faiss

    rows = np.unique(np.linspace(0, len(items) - 1, min(len(items), _SAMPLED)).astype(np.int64))
    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        lists.make_direct_map()
    held = np.array([index.reconstruct(int(row)) for row in rows]).reshape(len(rows), -1)
    ours = np.asarray(items[rows], dtype=np.float32)
    if artifact.json("audit.json").get("compress", "none") == "none":
        same = np.array_equal(held, ours)
        return Check("items.faiss", "holds the vectors of item_vectors.npy", same, "other vectors")
    alike = float((unit(held) * unit(ours)).sum(axis=1).mean())
    rule, wanted = "holds codes of item_vectors.npy", f"a mean cosine of {_ALIKE}"
    return Check("items.faiss", rule, alike >= _ALIKE or not ours.any(), f"{alike:.3f}", wanted)


def _canaries(
    artifact: Artifact,
    index: Any,  # noqa: ANN401 - faiss has no types
    users: np.ndarray,
    items: np.ndarray,
) -> Iterator[Check]:
    """Yield the checks that the canaries' lists are exact and that the index repeats them.

    Lists are compared by score: machines differ in the last bit, and equal items may change place.
    """
    rows = artifact.array("canary_users.npy", mapped=False)
    top = artifact.array("canary_top.npy", mapped=False)
    yield within("canary_users.npy", "are rows of users", rows, len(users))
    yield within("canary_top.npy", "are rows of items", top, len(items))
    yield equal("canary_top.npy", "has a list for each canary", len(top), len(rows))
    queries = np.asarray(users[rows], dtype=np.float32)
    _, exact = top_k_exact(queries, items, top.shape[1])
    listed = np.einsum("bd,bkd->bk", queries, np.asarray(items[top]))
    repeats = recall_by_score(listed, exact)
    yield equal("canary_top.npy", "is the exact search", repeats, 1.0)
    audit = artifact.json("audit.json")
    floor, recall = float(audit["recall_floor"]), float(audit["recall"])
    yield Check("audit.json", "has a recall of the floor", recall >= floor, f"{recall}", f"{floor}")
    _, scores = top_k_rescored(index, items, queries, top.shape[1], int(audit.get("depth", 1)))
    found = recall_by_score(scores, exact)
    rule = "finds the canaries' lists"
    yield Check("items.faiss", rule, found >= floor, f"recall {found:.4f}", f"at least {floor}")
