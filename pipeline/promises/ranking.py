"""What a second stage promises: numbers that are finite, and parts that fit each other."""

from collections.abc import Iterator

import numpy as np
from safetensors.numpy import load_file

from pipeline.artifacts import Artifact
from pipeline.promises.check import Check, equal, finite
from pipeline.ranking.store import NETWORK, SETTINGS, second_stage_files


def checks(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of a ranker, or of the second stage of a bundle."""
    arrays = load_file(artifact.file(NETWORK))
    wanted = len(artifact.json(SETTINGS)["features"])
    for name, array in sorted(arrays.items()):
        yield Check(NETWORK, f"{name} is finite", bool(np.isfinite(array).all()), "NaN or infinity")
    for name in ("mean", "deviation", "linear"):
        yield equal(
            NETWORK, f"{name} has a number for each feature", arrays[name].shape[-1], wanted
        )
    positive = bool((arrays["deviation"] > 0).all())
    yield Check(NETWORK, "deviations are positive", positive, "zero or less")
    for name in second_stage_files(artifact):
        if name.endswith(".npy"):
            yield finite(name, artifact.array(name))
        if name.endswith(".npz"):
            matrix = artifact.matrix(name, mapped=True)
            yield finite(name, matrix.data)
            yield equal(name, "is items by items", matrix.shape[0], matrix.shape[1])
