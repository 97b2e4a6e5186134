"""What a model or bundle promises about the items that arrive later."""

from collections.abc import Iterator

import numpy as np

from pipeline.artifacts import Artifact
from pipeline.newcomers.content import LIVE, flags_file, vectors_file
from pipeline.newcomers.store import LAYERS, ROWS, SETTINGS
from pipeline.promises.check import Check, equal, finite, input_of, within


def checks(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of the kit and of the content, where an artifact holds them."""
    items = len(artifact.array("item_vectors.npy")) if artifact.has("item_vectors.npy") else 0
    if artifact.has(SETTINGS):
        yield from _kit(artifact, items)
    if artifact.has(LIVE):
        for modality in artifact.json(LIVE)["modalities"]:
            yield from _content(artifact, modality, items)


def _kit(artifact: Artifact, items: int) -> Iterator[Check]:
    rows, layers = artifact.array(ROWS, mapped=False), artifact.array(LAYERS)
    yield within(ROWS, "are rows of items", rows, items)
    yield Check(ROWS, "rise", bool((np.diff(rows) > 0).all()), "some that do not")
    told = artifact.json(SETTINGS)
    yield equal(LAYERS, "has a vector for each row", layers.shape[1:], (len(rows), told["width"]))
    yield finite(LAYERS, np.moveaxis(layers, 1, 0))


def _content(artifact: Artifact, modality: str, items: int) -> Iterator[Check]:
    vectors, flags = vectors_file(modality), flags_file(modality)
    for name in (vectors, flags):
        found = artifact.manifest["files"][name]["shape"][0]
        yield equal(name, "has a row for each item", found, items)
    source = input_of(artifact, "embeddings")
    theirs = {} if source is None else source.manifest["files"]
    for name, own in ((vectors, f"{modality}.npy"), (flags, f"{modality}_present.npy")):
        if own in theirs:
            ours = artifact.manifest["files"][name]["sha256"]
            yield equal(name, "is that of the embeddings", ours, theirs[own]["sha256"])
