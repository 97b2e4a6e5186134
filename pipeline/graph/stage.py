"""The graph stage: tables and embeddings to graphs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from pipeline import files, interactions, measure
from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.config import GraphConfig, RuntimeConfig
from pipeline.crew import Crew
from pipeline.errors import ArtifactError
from pipeline.graph import statistics
from pipeline.graph.among import Among, knn_among
from pipeline.graph.approximate import approximate_knn
from pipeline.graph.cooccurrence import cooccurrence
from pipeline.graph.given import read_graph
from pipeline.graph.neighbors import block_pairs, cosine_knn
from pipeline.job import Facts, Job
from pipeline.relations import FEW
from pipeline.schema import CATEGORIES

if TYPE_CHECKING:
    import torch

EXACT_UP_TO = 100_000
"""Items that ``search: auto`` compares all with all: half a minute on two cores at width 384."""

_PRESENT, _VECTORS, _KNN, _ACTIVE = "_present.npy", ".npy", "_knn.npz", "_active.npz"


def run(job: Job[GraphConfig]) -> Facts:
    """Write the user-item, item-item and co-occurrence graphs; return their statistics.

    Raises:
        ArtifactError: the embeddings are not of these tables, or not finite.
        DataError: a ready-made graph does not fit the items.
    """
    tables = job.inputs["tables"]
    train = interactions.user_item(tables)
    categories = _first_categories(tables)
    files.write_matrix(job.into / "user_item.npz", train)
    found: Facts = {"user_item": statistics.bipartite(train)}
    bought = np.diff(sp.csc_matrix(train).indptr) > 0
    for modality in _modalities(job):
        with measure.task(f"{modality} neighbours"):
            graph, how, included = _item_graph(job, modality, len(categories))
        files.write_matrix(job.into / f"{modality}{_KNN}", graph, ranked=True)
        found[f"{modality}_knn"] = how | statistics.item_graph(graph, categories, included)
        if modality not in job.data.graphs and wants_active(job.config, bought):
            found[f"{modality}_active"] = _write_active(job, modality, np.flatnonzero(bought))
    together = _cooccurrence(job, train)
    files.write_matrix(job.into / "cooccurrence.npz", together, ranked=True)
    found["cooccurrence"] = statistics.item_graph(together, categories, bought)
    files.write_json(job.into / "statistics.json", found)
    return found


def _modalities(job: Job[GraphConfig]) -> list[str]:
    embedded = job.inputs["embeddings"].modalities(_PRESENT)
    return sorted({*embedded, *job.data.graphs})


def _item_graph(
    job: Job[GraphConfig], modality: str, n_items: int
) -> tuple[sp.csr_matrix, dict[str, Any], Flags]:
    """Return a modality's graph, how it was made, and the items that can have edges."""
    k = job.config.neighbors
    if modality in job.data.graphs:
        given = read_graph(job.data.graphs[modality], n_items, k)
        return given, {"source": "given", "neighbors": k}, np.ones(n_items, dtype=bool)
    vectors = job.inputs["embeddings"].array(modality + _VECTORS)
    present = np.asarray(job.inputs["embeddings"].array(modality + _PRESENT))
    _must_fit(modality, (len(vectors), len(present)), n_items)
    try:
        graph, how = _neighbours(job, modality, vectors, present)
    except ArtifactError as error:
        raise ArtifactError(f"embeddings of {modality}: {error}") from None
    return graph, {"source": "cosine", "neighbors": k, **how}, present


def _neighbours(
    job: Job[GraphConfig], modality: str, vectors: Floats, present: Flags
) -> tuple[sp.csr_matrix, dict[str, Any]]:
    """Return the most similar items of each, by the configured search, and how it went."""
    k, items = job.config.neighbors, int(present.sum())
    exact = searches_exactly(job.config, items)
    total = block_pairs(items) if exact else None
    with job.task.progress(f"{modality} neighbours", total=total, unit="blocks") as bar:
        crew = Crew(job.threads, bar.advance)
        if exact:
            device = device_for(job.runtime)
            return cosine_knn(vectors, present, k, crew, device=device), {
                "exact": True,
                "recall": 1.0,
            }
        return approximate_knn(vectors, present, k, job.config.recall_floor, crew)


def device_for(runtime: RuntimeConfig) -> "torch.device | None":
    """Return the GPU to search on; None for the processor, without importing torch for nothing."""
    if runtime.device == "cpu" or (runtime.device == "auto" and not has_driver()):
        return None
    import torch

    if runtime.device == "auto" and not torch.cuda.is_available():
        return None
    return torch.device("cuda" if runtime.device == "auto" else runtime.device)


def has_driver() -> bool:
    """Return whether this machine has a driver of NVIDIA's."""
    return Path("/dev/nvidiactl").exists()


def searches_exactly(config: GraphConfig, items: int) -> bool:
    """Return whether the neighbours of so many items with a vector are found by comparing all."""
    return config.search == "exact" or (config.search == "auto" and items <= EXACT_UP_TO)


def wants_active(config: GraphConfig, bought: Flags) -> bool:
    """Return whether the nearest of the items with interactions are looked for as well."""
    return config.active_neighbors != 0 and 0 < bought.mean() <= FEW


def _write_active(job: Job[GraphConfig], modality: str, active: Rows) -> dict[str, Any]:
    """Write each item's nearest of the active ones; return how they were found."""
    vectors = job.inputs["embeddings"].array(modality + _VECTORS)
    present = np.asarray(job.inputs["embeddings"].array(modality + _PRESENT))
    exact = searches_exactly(job.config, int(present.sum()))
    k = job.config.active_neighbors or job.config.neighbors
    among = Among(active, k, None if exact else job.config.recall_floor)
    label = f"{modality} neighbours with interactions"
    total = len(vectors) if exact else None
    with (
        measure.task(label),
        job.task.progress(label, total=total, unit="items") as bar,
    ):
        graph, how = knn_among(vectors, present, among, Crew(job.threads, bar.advance))
    files.write_matrix(job.into / f"{modality}{_ACTIVE}", graph, ranked=True)
    return {"source": "cosine", "neighbors": k, "edges": int(graph.nnz), **how}


def _must_fit(modality: str, found: tuple[int, int], n_items: int) -> None:
    if found != (n_items, n_items):
        raise ArtifactError(
            f"embeddings of {modality} hold {found[0]} vectors and {found[1]} present flags; the "
            f"tables have {n_items} items. Make them again: plotpointe run CONFIG --from embed"
        )


def _cooccurrence(job: Job[GraphConfig], train: sp.csr_matrix) -> sp.csr_matrix:
    k, least = job.config.cooccurrence_neighbors, job.config.cooccurrence_min_users
    total = train.shape[1]
    with (
        measure.task("co-occurrence"),
        job.task.progress("co-occurrence", total=total, unit="items") as bar,
    ):
        return cooccurrence(train, k, least, advance=bar.advance)


def _first_categories(tables: Artifact) -> Rows:
    """Return a number for each item's first category, -1 where it has none.

    Shapes:
        returns: (N,).
    """
    listed = tables.table("items.parquet", [CATEGORIES])[CATEGORIES].to_pylist()
    first = pa.array([names[0] if names else None for names in listed], pa.string())
    codes: Rows = first.dictionary_encode().indices.fill_null(-1).to_numpy()
    return codes
