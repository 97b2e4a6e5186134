"""The second stage as files: the same names in the ranker artifact and in the bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from safetensors.numpy import load_file, save_file

from pipeline import files
from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.errors import ArtifactError
from pipeline.ranking.blend import blended, moments
from pipeline.ranking.evidence import Evidence, Taste
from pipeline.ranking.features import VECTORS, features
from pipeline.ranking.network import Network, shapes
from pipeline.ranking.space import Space

NETWORK, SETTINGS, SECOND = "network.safetensors", "ranking.json", "second.npz"
_RELATION = "relation_{}.npz"
_OTHER = "other_{}_{}.npy"
_VECTORS = ("user_vectors", "item_vectors", "fold_in")


@dataclass(frozen=True)
class SecondStage:
    """What ranks a user's candidates."""

    evidence: Evidence
    network: Network
    count: int
    """Candidates from each source."""

    share: float = 0.0
    """Of the vectors' own scores in the result."""

    def scores(self, taste: Taste, candidates: Rows) -> Floats:
        """Return the score of each candidate.

        Shapes:
            candidates: (B, C); the score of a negative row means nothing. returns: (B, C).
        """
        names, values = features(self.evidence, taste, candidates)
        vectors = values[:, :, names.index(VECTORS)]
        return blended(self.network.scores(values), vectors, candidates >= 0, self.share)

    def parts(self, taste: Taste, candidates: Rows) -> tuple[list[str], Floats, Floats]:
        """Return the features' names, what each adds to a score, and what stands without them.

        The parts of a candidate and the last value add up to its score; the vectors' own share in
        the score is part of their feature.

        Shapes:
            candidates: (B, C). returns: F names, (B, C, F), (B, C).
        """
        names, values = features(self.evidence, taste, candidates)
        added, base = self.network.parts(values)
        left = np.full(candidates.shape, base)
        if self.share:
            real, at = candidates >= 0, names.index(VECTORS)
            mean, spread = moments(self.network.scores(values), real)
            added, left = (1 - self.share) * added / spread[:, :, None], left - mean
            left = (1 - self.share) * left / spread
            mean, spread = moments(values[:, :, at], real)
            added[:, :, at] += self.share * (values[:, :, at] - mean) / spread
        return names, added, left


def write_relations(into: Path, relations: Mapping[str, sp.csr_matrix]) -> None:
    """Write the relations of an Evidence."""
    for name, matrix in relations.items():
        files.write_matrix(into / _RELATION.format(name), matrix)


def write_others(into: Path, others: Mapping[str, Space]) -> None:
    """Write the other models' vectors of an Evidence."""
    for name, space in others.items():
        for part in _VECTORS:
            files.write_array(into / _OTHER.format(name, part), getattr(space, part))


def write_network(into: Path, network: Network, count: int, share: float) -> None:
    """Write the network and its settings."""
    save_file(network.arrays(), into / NETWORK)
    settings = {"features": list(network.names), "candidates": count, "vectors": share}
    files.write_json(into / SETTINGS, settings)


def second_stage_files(artifact: Artifact) -> list[str]:
    """Return the files of the second stage that an artifact holds."""
    named = [name for name in (NETWORK, SETTINGS, SECOND) if artifact.has(name)]
    relations = [_RELATION.format(name) for name in _named(artifact, _RELATION)]
    return [*named, *relations, *(file for each in _others(artifact).values() for file in each)]


def open_second_stage(artifact: Artifact, space: Space, taken: sp.csr_matrix) -> SecondStage:
    """Return the second stage of a ranker or bundle, over the vectors that retrieve.

    Shapes:
        taken: CSR (U, N), what each user has.

    Raises:
        ArtifactError: its parts do not fit the vectors, or its network wants other features.
    """
    settings = artifact.json(SETTINGS)
    network = _network(artifact, settings["features"])
    names = _named(artifact, _RELATION)
    relations = {name: artifact.matrix(_RELATION.format(name), mapped=True) for name in names}
    second = artifact.matrix(SECOND, mapped=True) if artifact.has(SECOND) else None
    others = {n: Space(*map(artifact.array, parts)) for n, parts in _others(artifact).items()}
    evidence = Evidence(space, taken, relations, second, others)
    _must_fit(artifact, evidence, network)
    return SecondStage(evidence, network, int(settings["candidates"]), settings["vectors"])


def _network(artifact: Artifact, names: list[str]) -> Network:
    arrays = load_file(artifact.file(NETWORK))
    found = {name: array.shape for name, array in arrays.items()}
    wanted = shapes(len(names), found.get("hidden", ()))
    if found != wanted:
        raise _unfit(artifact, f"its network has arrays of shapes {found}, wanted {wanted}")
    return Network.of(names, arrays)


def _must_fit(artifact: Artifact, evidence: Evidence, network: Network) -> None:
    square = (evidence.items, evidence.items)
    found = [m.shape for m in (*evidence.relations.values(), evidence.second) if m is not None]
    if any(shape != square for shape in found):
        raise _unfit(artifact, f"item-item matrices have the shapes {found}, wanted {square}")
    found = [each.shape for each in evidence.others.values()]
    if any(shape != evidence.space.shape for shape in found):
        raise _unfit(
            artifact, f"other vectors are of (users, items) {found}, wanted {evidence.space.shape}"
        )
    someone = evidence.tastes(np.arange(min(1, len(evidence.space.user_vectors))))
    names, _ = features(evidence, someone, np.zeros((len(someone.users), 1), dtype=np.int64))
    if tuple(names) != network.names:
        raise _unfit(artifact, f"its network wants {[*network.names]}, there are {names}")


def _unfit(artifact: Artifact, what: str) -> ArtifactError:
    return ArtifactError(
        f"the second stage of {artifact.kind} {artifact.fingerprint}: {what}. "
        f"Make it again: plotpointe run CONFIG --from rank --force"
    )


def _others(artifact: Artifact) -> dict[str, list[str]]:
    """Return the files of each other model's vectors, by its name."""
    names = _named(artifact, _OTHER.format("{}", _VECTORS[0]))
    return {name: [_OTHER.format(name, part) for part in _VECTORS] for name in names}


def _named(artifact: Artifact, pattern: str) -> list[str]:
    """Return what stands for the braces of ``pattern`` in the names of files, sorted."""
    start, end = pattern.split("{}")[0], pattern.rsplit("{}", 1)[-1]
    names = [n for n in artifact.manifest["files"] if n.startswith(start) and n.endswith(end)]
    return sorted(n.removeprefix(start).removesuffix(end) for n in names)
