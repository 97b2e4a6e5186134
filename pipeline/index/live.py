"""What the service needs for items that arrive later: content of all items, and how it was made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError
from pipeline.newcomers import kit_files
from pipeline.newcomers.content import LIVE, flags_file, vectors_file

Link = Callable[[Path, Path], None]

_PRESENT = "_present.npy"
_OF_THE_RUN = {"seconds", "per_second", "resumed", "encoded", "device"}
"""Facts of encoding that another run of the same request has otherwise: no file holds them."""


def bring(
    model: Artifact, graphs: Artifact, embeddings: Artifact, into: Path, link: Link
) -> dict[str, Any]:
    """Link the model's kit and every modality's vectors, and write how to make more of them.

    Returns what the files of content hold.

    Raises:
        ArtifactError: the model was made from other embeddings.
    """
    for other in (model, graphs):
        found = other.manifest["inputs"].get("embeddings", embeddings.fingerprint)
        if found != embeddings.fingerprint:
            raise ArtifactError(
                f"{other.kind} {other.fingerprint} was made from embeddings {found}, not from "
                f"{embeddings.fingerprint}; a bundle is of one run. Make it again: plotpointe run "
                f"CONFIG"
            )
    for name in kit_files(model):
        link(model.file(name), into / name)
    modalities = embeddings.modalities(_PRESENT)
    for name in modalities:
        link(embeddings.file(f"{name}.npy"), into / vectors_file(name))
        link(embeddings.file(f"{name}{_PRESENT}"), into / flags_file(name))
    told = {name: _told(name, graphs, embeddings) for name in modalities}
    files.write_json(into / LIVE, {"modalities": told})
    sizes = [embeddings.manifest["files"][f"{name}.npy"]["bytes"] for name in modalities]
    return {
        "modalities": modalities,
        "content_bytes": sum(sizes),
        "attaches": bool(kit_files(model)),
    }


def _told(name: str, graphs: Artifact, embeddings: Artifact) -> dict[str, Any]:
    """Return how many neighbours an item has, and what encoded it."""
    config = graphs.manifest["config"]
    active = graphs.has(f"{name}_active.npz") and config.get("active_neighbors")
    facts = embeddings.facts.get("modalities", {}).get(name, {"encoder": "given"})
    lasting = {key: value for key, value in facts.items() if key not in _OF_THE_RUN}
    if "precision" in lasting:
        lasting["precision"] = {"precision": lasting["precision"]["precision"]}
    return {
        "neighbors": active or config.get("neighbors"),
        "config": embeddings.manifest["config"].get(name),
        "encoder": lasting,
    }
