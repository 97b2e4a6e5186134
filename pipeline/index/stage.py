"""The index stage: a model, its tables and graphs to everything that serving needs."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline import files, interactions, measure
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.config import IndexConfig
from pipeline.errors import ArtifactError
from pipeline.index.audit import Audit, Exact, Search, audit_until, effort, ndcg
from pipeline.index.build import build, faiss_threads
from pipeline.index.known import known_lists
from pipeline.index.live import bring
from pipeline.index.recipe import Recipe
from pipeline.job import Facts, Job
from pipeline.nearest import top_k_faiss
from pipeline.ranking.store import second_stage_files
from pipeline.schema import SPLITS, TRAIN, VALIDATION

CANARIES = 64
"""Users whose exact lists the service compares with what its index answers."""

LISTED = 20
"""The length of the lists whose NDCG is compared."""

LONGEST_HISTORY = 100
"""Of the users whose NDCG is compared: so much more is searched for, and left out as seen."""

WIDE_BYTES = 3072
"""Of a vector of 768 float32, the common width of encoders: what bytes are stated against."""

_VECTORS = ("user_vectors.npy", "item_vectors.npy")
_FOLD_IN = "fold_in.npy"
_ALL = [*SPLITS.values()]


def run(job: Job[IndexConfig]) -> Facts:
    """Fill the bundle; return what its index was measured to find, and what it took.

    Raises:
        ArtifactError: the model has no vectors, ones of other tables, or ones that are not
            finite; the second stage is of another model; or the index stays below the recall
            floor.
    """
    tables, model = job.inputs["tables"], job.inputs["model"]
    _must_be_servable(model)
    for other in (model, job.inputs["graphs"]):
        _must_come_from(tables, other)
    if "ranker" in job.inputs:
        _must_come_from(model, job.inputs["ranker"])
    users, items, fold_in = _checked_vectors(model, interactions.shape_of(tables))
    train, seen = (interactions.user_item(tables, splits) for splits in ([TRAIN], _ALL))
    asked = Asked.of(users, items, train, job.config)
    with faiss_threads(job.threads):
        facts, search = _index(job, asked, items, (train, tables))
        if job.config.known_lists:
            _write_known_lists(job, search, users, seen)
    _link_vectors(model, job.into)
    files.write_array(job.into / _FOLD_IN, fold_in)
    files.write_array(job.into / "canary_users.npy", asked.users[asked.canaries].astype(np.int64))
    canary_top = asked.exact.rows[asked.canaries, : job.config.audit_k]
    files.write_array(job.into / "canary_top.npy", canary_top.astype(np.int64))
    _write_history(job.into, train, seen)
    _link_graphs(job.inputs["graphs"], job.into)
    if "ranker" in job.inputs:
        for name in second_stage_files(job.inputs["ranker"]):
            link(job.inputs["ranker"].file(name), job.into / name)
    for name in ("items.parquet", "users.parquet"):
        link(tables.file(name), job.into / name)
    if job.config.live and "embeddings" in job.inputs:
        brought = bring(model, job.inputs["graphs"], job.inputs["embeddings"], job.into, link)
        facts["live"] = {**brought, "tables_at": tables.manifest["created_at"]}
    return facts


def _must_be_servable(model: Artifact) -> None:
    missing = [name for name in _VECTORS if not model.has(name)]
    if missing:
        name = model.manifest["config"].get("model", "this model")
        raise ArtifactError(
            f"model {model.fingerprint} ({name}) has no {' and '.join(missing)}, so it cannot be "
            f"indexed. Models with vectors can (gat, gat_plain, freedom, vbpr, lightgcn, mf, als); "
            f"{name} can be a baseline: set train.model to one of them"
        )


def _must_come_from(source: Artifact, other: Artifact) -> None:
    found = other.manifest["inputs"].get(source.kind)
    if found != source.fingerprint:
        raise ArtifactError(
            f"{other.kind} {other.fingerprint} was made from {source.kind} {found}, not from "
            f"{source.fingerprint}; a bundle is of one run. Make it again: plotpointe run CONFIG"
        )


def _checked_vectors(model: Artifact, wanted: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Return user, item and fold-in vectors; item vectors where the model has no fold-in ones."""
    users, items = (model.array(name) for name in _VECTORS)
    fold_in = model.array(_FOLD_IN) if model.has(_FOLD_IN) else items
    found = len(users), len(items)
    if found != wanted or users.shape[1:] != items.shape[1:] or fold_in.shape != items.shape:
        raise ArtifactError(
            f"model {model.fingerprint} has vectors of shapes {users.shape} (users), "
            f"{items.shape} (items) and {fold_in.shape} (fold-in); the tables hold {wanted[0]} "
            f"users and {wanted[1]} items. Train again: plotpointe run CONFIG --from train"
        )
    for name, vectors in zip((*_VECTORS, _FOLD_IN), (users, items, fold_in), strict=True):
        wrong = ~np.isfinite(vectors).all(axis=1)
        if wrong.any():
            raise ArtifactError(
                f"{name} of model {model.fingerprint} has {int(wrong.sum())} rows that are not "
                f"finite, the first at row {int(wrong.argmax())}. Train again, with a lower "
                f"train.learning_rate: plotpointe run CONFIG --from train --force"
            )
    return users, items, fold_in


def audited_users(train: sp.csr_matrix, count: int) -> Rows:
    """Return up to ``count`` users, drawn alike in every run, sorted; those with a history first.

    Shapes:
        train: CSR (U, N). returns: (at most count,).
    """
    has_history = np.diff(train.indptr) > 0
    shuffled = np.random.default_rng(0).permutation(train.shape[0])
    by_history = np.argsort(~has_history[shuffled], kind="stable")
    chosen: Rows = np.sort(shuffled[by_history][:count])
    return chosen


@dataclass(frozen=True)
class Asked:
    """The users whose exact lists an index is measured against.

    Shapes:
        users: (B,) rows, sorted. canaries: (C,) places in ``users``.
    """

    users: Rows
    canaries: Rows
    exact: Exact

    @classmethod
    def of(cls, users: Floats, items: Floats, train: sp.csr_matrix, config: IndexConfig) -> "Asked":
        """Return them with their exact lists: long enough for the audit and for the NDCG.

        Shapes:
            users: (U, D). items: (N, D). train: CSR (U, N).
        """
        chosen = audited_users(train, config.audit_queries)
        canaries = np.arange(len(chosen))[:: max(1, len(chosen) // CANARIES)][:CANARIES]
        longest = max(config.audit_k, LISTED + LONGEST_HISTORY)
        with measure.task("exact"):
            exact = Exact.of(np.asarray(users[chosen], dtype=np.float32), items, longest)
        return cls(chosen, canaries, exact)


def _index(
    job: Job[IndexConfig], asked: Asked, items: Floats, known: tuple[sp.csr_matrix, Artifact]
) -> tuple[Facts, Search]:
    """Write the index and its audit; return both with the times, which no file holds, and search.

    Files hold no times so that two runs of one request write the same bytes. The canaries come
    first: they are few, so the floor must hold for them too, or the service would not be ready.
    """
    config, n = job.config, len(items)
    recipe = Recipe.of(config, items.shape)
    with measure.task("build") as building:
        with job.task.progress(f"{recipe.method} index", total=n, unit="items") as bar:
            search = Search(build(items, recipe, bar.advance), items, recipe.depth)
    with measure.task("audit"):
        some, k, floor = asked.exact.at(asked.canaries), config.audit_k, config.recall_floor
        search, canaries = audit_until(search, some, k, floor)
        search, found = audit_until(search, asked.exact, k, floor)
        worth = worth_of(search, asked, *known)
    _write_index(search.index, job.into / "items.faiss")
    size = (job.into / "items.faiss").stat().st_size / max(1, n)
    report = _report(recipe, search, found, size)
    report |= {"recall_floor": floor, "canary_recall": canaries.recall, "ndcg": worth}
    files.write_json(job.into / "audit.json", report)
    assert building.cost is not None
    facts = report | {
        "build_seconds": building.cost.wall_seconds,
        "seconds_per_query": found.seconds_per_query,
        "exact_seconds_per_query": found.exact_seconds_per_query,
    }
    return facts, search


def _write_known_lists(
    job: Job[IndexConfig], search: Search, users: Floats, seen: sp.csr_matrix
) -> None:
    with (
        measure.task("known lists"),
        job.task.progress("known lists", total=len(users), unit="users") as bar,
    ):
        count = min(job.config.known_lists, len(search.vectors))
        listed = known_lists(search, users, seen, count, bar.advance)
    files.write_array(job.into / "known.npy", listed)


def worth_of(
    search: Search, asked: Asked, train: sp.csr_matrix, tables: Artifact
) -> dict[str, Any] | None:
    """Return the NDCG on validation of lists by the index beside exact ones, None without users.

    ``loss`` is relative to the exact lists. ``codes`` is what the index would give without any
    full vector; users with longer histories than ``LONGEST_HISTORY`` are left out.

    Shapes:
        train: CSR (U, N).
    """
    wanted = interactions.user_item(tables, [VALIDATION])
    histories, wishes = (np.diff(each.indptr)[asked.users] for each in (train, wanted))
    places = np.flatnonzero((wishes > 0) & (histories <= LONGEST_HISTORY))
    if not len(places):
        return None
    users, exact = asked.users[places], asked.exact.at(places)
    length = min(LISTED + LONGEST_HISTORY, len(search.vectors))

    def worth(lists: Rows) -> float:
        """Return the NDCG of these users' lists."""
        return ndcg(lists, train[users], wanted[users], LISTED)

    best, ours = worth(exact.rows[:, :length]), worth(search.top(exact.queries, length)[0])
    told = {"split": "validation", "k": LISTED, "users": len(users), "exact": best, "index": ours}
    if search.depth > 1:
        told["codes"] = worth(top_k_faiss(search.index, exact.queries, length)[0])
    return told | {"loss": 1 - ours / best if best else 0.0}


def _write_index(index: Any, path: Path) -> None:  # noqa: ANN401 - faiss has no types
    import faiss

    with path.open("wb") as file:
        file.write(faiss.serialize_index(index).data)


def _report(recipe: Recipe, search: Search, found: Audit, bytes_per_item: float) -> dict[str, Any]:
    report: dict[str, Any] = recipe.told() | {
        "items": search.vectors.shape[0],
        "width": search.vectors.shape[1],
        "k": found.k,
        "queries": found.queries,
        "recall": found.recall,
        "recall_by_row": found.recall_by_row,
        "recall_at_10": found.recall_at_10,
        "bytes_per_item": round(bytes_per_item, 2),
        "times_smaller_than_768_float32": round(WIDE_BYTES / bytes_per_item, 2),
        "depth": search.depth,
    }
    effort_name = {"hnsw": "ef_search", "ivf": "probes"}.get(recipe.method)
    return report | ({effort_name: effort(search.index)} if effort_name else {})


def _write_history(into: Path, train: sp.csr_matrix, seen: sp.csr_matrix) -> None:
    counts = np.bincount(train.indices, minlength=train.shape[1])
    files.write_array(into / "hot.npy", counts > 0)
    files.write_array(into / "popular.npy", np.argsort(-counts, kind="stable"))
    files.write_matrix(into / "seen.npz", seen)


def _link_vectors(model: Artifact, into: Path) -> None:
    for name in _VECTORS:
        link(model.file(name), into / name)


def _link_graphs(graphs: Artifact, into: Path) -> None:
    """Bring the item graphs, from which reasons are told."""
    names = [f"{modality}_knn.npz" for modality in graphs.modalities("_knn.npz")]
    for name in ("cooccurrence.npz", *names):
        link(graphs.file(name), into / name)


def link(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, or a copy where the store cannot link.

    Artifacts never change, so sharing is safe and saves gigabytes on large catalogues.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
