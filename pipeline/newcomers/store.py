"""The kit as files: the same names in the model artifact and in the bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from pipeline import files
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError
from pipeline.newcomers.fusion import RULES, Fusion
from pipeline.newcomers.network import Network, Relation

SETTINGS, TENSORS = "attach.json", "attach.safetensors"
LAYERS, ROWS = "attach_layers.npy", "attach_rows.npy"
_FILES = (SETTINGS, TENSORS, LAYERS, ROWS)
_DEGREES = "degrees"
_NUMBERS = ("median", "user_share", "shift", "scale", "width", "loudness")
_FUSION, _GATES = "fusion.", "gates."


def write_kit(
    into: Path, settings: Mapping[str, Any], tensors: Mapping[str, Floats], rows: Rows
) -> None:
    """Write what ``Attacher.kit`` gives, and the rows of the network's items."""
    rest = dict(tensors)
    files.write_array(into / LAYERS, rest.pop("layers"))
    files.write_array(into / ROWS, rows.astype(np.int64))
    save_file({name: np.ascontiguousarray(t) for name, t in rest.items()}, into / TENSORS)
    files.write_json(into / SETTINGS, dict(settings))


def kit_files(artifact: Artifact) -> list[str]:
    """Return the files of the kit, none where the artifact holds no kit."""
    return [name for name in _FILES if artifact.has(name)] if artifact.has(SETTINGS) else []


def open_network(artifact: Artifact) -> Network | None:
    """Return the network of a model or bundle, its layers mapped; None where it has none.

    Raises:
        ArtifactError: its parts do not fit each other.
    """
    if not artifact.has(SETTINGS):
        return None
    told = artifact.json(SETTINGS)
    tensors = load_file(artifact.file(TENSORS))
    network = Network(
        fusion=_fusion(told, tensors),
        relations={n: _relation(n, each, tensors) for n, each in told["relations"].items()},
        rows=artifact.array(ROWS, mapped=False),
        layers=artifact.array(LAYERS),
        degrees=tensors[_DEGREES],
        **{name: told[name] for name in _NUMBERS},
    )
    _must_fit(artifact, network, told)
    return network


def _fusion(told: Mapping[str, Any], tensors: Mapping[str, Floats]) -> Fusion | None:
    if not told["modalities"]:
        return None
    own = {n.removeprefix(_FUSION): t for n, t in tensors.items() if n.startswith(_FUSION)}
    chosen = {name: told[name] for name in ("width", "experts", "experts_used")}
    return Fusion(told["fusion"], tuple(told["modalities"]), own, **chosen)


def _relation(name: str, told: Mapping[str, Any], tensors: Mapping[str, Floats]) -> Relation:
    names = ("query", "key", "strength")
    gates = [tensors.get(f"{_GATES}{name}.{part}") for part in names]
    return Relation(told["weight"], told["share"], told["divisor"], *gates)


def _must_fit(artifact: Artifact, network: Network, told: Mapping[str, Any]) -> None:
    count = len(network.rows)
    found: dict[str, Any] = {LAYERS: network.layers.shape[1:], _DEGREES: network.degrees.shape}
    wanted: dict[str, Any] = {LAYERS: (count, network.width), _DEGREES: (count,)}
    if told["modalities"] and told["fusion"] not in RULES:
        found["fusion"], wanted["fusion"] = told["fusion"], tuple(RULES)
    if found != wanted:
        raise ArtifactError(
            f"{artifact.kind} {artifact.fingerprint}: what attaches new items has {found}, wanted "
            f"{wanted}. Make it again: plotpointe run CONFIG --from train --force"
        )
