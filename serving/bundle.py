"""The bundle artifact in memory: arrays mapped from disk, every part checked against the others."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError
from pipeline.ids import IdMap
from pipeline.interactions import columns_of
from pipeline.nearest import open_index, recall_by_score, top_k_rescored
from pipeline.ranking import SecondStage, Space, open_second_stage
from pipeline.ranking.store import SETTINGS
from serving.catalogue import Catalogue, ids_of
from serving.messages import Tier
from serving.reasons import TOGETHER

HOT: Final = "hot"
WARM: Final = "warm"
COLD: Final = "cold"

Listed = npt.NDArray[np.int32]

_KNOWN = "known.npy"


_NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Activity:
    """What a user did that the bundle does not know of.

    Shapes:
        taken, hidden: rows of items.
    """

    taken: Rows
    """Items that they have."""
    hidden: Rows
    """Items that they do not want to see."""

    def below(self, limit: int) -> "Activity":
        """Return what concerns rows below a limit."""
        if not len(self.taken) and not len(self.hidden):
            return self
        return Activity(self.taken[self.taken < limit], self.hidden[self.hidden < limit])


NOTHING: Final = Activity(_NO_ROWS, _NO_ROWS)


@dataclass(frozen=True)
class SelfCheck:
    """What asking the index for the canaries' lists gave."""

    canaries: int
    recall: float
    floor: float

    @property
    def ready(self) -> bool:
        """Return whether the index answers as it did when it was audited."""
        return self.canaries > 0 and self.recall >= self.floor

    @property
    def reason(self) -> str | None:
        """Return why the service is not ready, None where it is."""
        if self.ready:
            return None
        if not self.canaries:
            return "the bundle holds no canary users, so the index could not be checked"
        return (
            f"the index finds {self.recall:.3f} of the canaries' exact lists, the floor is "
            f"{self.floor:.3f}; rebuild the bundle: plotpointe run CONFIG --to index"
        )


@dataclass(frozen=True)
class Bundle:
    """Everything that answers a request.

    Shapes:
        item_vectors: (N, D). user_vectors: (U, D). fold_in: (N, D). hot: (N,). popular: (P,).
        seen: CSR (U, N). graphs: CSR (N, N) each. canary_users: (C,). canary_top: (C, k).
        known: (U, L), what the user has left out.
    """

    artifact: Artifact
    catalogue: Catalogue
    users: IdMap
    index: Any
    item_vectors: Floats
    user_vectors: Floats
    fold_in: Floats
    hot: Flags
    popular: Rows
    seen: sp.csr_matrix
    graphs: Mapping[str, sp.csr_matrix]
    """By relation: taken together first, then the modalities."""
    canary_users: Rows
    canary_top: Rows
    audit: Mapping[str, Any]
    known: Listed | None = None
    """The best items of each user, made beforehand; None where there are none, or others now."""
    second_stage: SecondStage | None = None
    """Puts retrieved items in order; None where the vectors alone do."""

    @classmethod
    def open(cls, store: Store, fingerprint: str | None = None) -> "Bundle":
        """Return the bundle with this fingerprint, or the promoted one.

        Raises:
            ArtifactError: there is none, it has another version, or its parts do not fit.
        """
        return cls.of(store.open("bundle", fingerprint))

    @classmethod
    def of(cls, artifact: Artifact) -> "Bundle":
        """Return a bundle artifact, opened.

        Raises:
            ArtifactError: a file is missing, or the parts do not fit each other.
        """
        _check_sizes(artifact)
        # Text before image: the later letter happens to be the better reason.
        modalities = sorted(artifact.modalities("_knn.npz"), reverse=True)
        with ThreadPoolExecutor(1) as beside:
            users = beside.submit(lambda: ids_of(artifact.table("users.parquet")))
            catalogue = Catalogue.open(artifact)
        bundle = cls(
            artifact=artifact,
            catalogue=catalogue,
            users=users.result(),
            index=_read_index(artifact),
            item_vectors=_float32(artifact.array("item_vectors.npy")),
            user_vectors=_float32(artifact.array("user_vectors.npy")),
            fold_in=_float32(artifact.array("fold_in.npy")),
            hot=artifact.array("hot.npy", mapped=False),
            popular=artifact.array("popular.npy", mapped=False),
            seen=artifact.matrix("seen.npz", mapped=True),
            graphs={
                TOGETHER: artifact.matrix("cooccurrence.npz", mapped=True),
                **{m: artifact.matrix(f"{m}_knn.npz", mapped=True) for m in modalities},
            },
            canary_users=artifact.array("canary_users.npy", mapped=False),
            canary_top=artifact.array("canary_top.npy", mapped=False),
            audit=artifact.json("audit.json"),
            known=_plain(artifact.array(_KNOWN)) if artifact.has(_KNOWN) else None,
        )
        check(bundle)
        return replace(bundle, second_stage=_second_stage(bundle))

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the bundle."""
        return self.artifact.fingerprint

    @property
    def model(self) -> str:
        """Return the fingerprint of the model that the vectors come from."""
        return str(self.artifact.manifest["inputs"].get("model", "unknown"))

    @property
    def made_from(self) -> float:
        """Return when the tables were made that the bundle comes from, in seconds since 1970."""
        told = self.artifact.facts.get("live", {}).get("tables_at")
        return datetime.fromisoformat(told or self.artifact.manifest["created_at"]).timestamp()

    @property
    def modalities(self) -> list[str]:
        """Return the modalities that have a graph."""
        return [relation for relation in self.graphs if relation != TOGETHER]

    @property
    def depth(self) -> int:
        """Return how many candidates of the index are scored afresh for each item wanted."""
        return int(self.audit.get("depth", 1))

    @cached_property
    def space(self) -> Space:
        """Return the vectors that retrieve."""
        return Space(self.user_vectors, self.item_vectors, self.fold_in)

    @cached_property
    def takers(self) -> Rows:
        """Return how many users have each item: (N,)."""
        return np.bincount(self.seen.indices, minlength=len(self.catalogue))

    @cached_property
    def by_popularity(self) -> Rows:
        """Return the popular items by how many users have each, ties as ``popular`` has them."""
        order = np.argsort(-self.takers[self.popular], kind="stable")
        return self.popular[order]

    @cached_property
    def lengths(self) -> Floats:
        """Return the length of each item vector: (N,)."""
        lengths: Floats = np.sqrt(np.einsum("nd,nd->n", self.item_vectors, self.item_vectors))
        return lengths

    def seen_by(self, user: int) -> Rows:
        """Return the sorted item rows that a user has."""
        return np.sort(columns_of(self.seen, user))

    @property
    def gone(self) -> Rows:
        """Return the rows of items that are not to be shown, sorted: none, see serving/live."""
        return _NO_ROWS

    def forms(self, rows: Rows) -> Rows:
        """Return sorted rows with those that took the place of any: none, see serving/live."""
        return rows

    def activity_of(self, user: str | None) -> Activity:
        """Return what a user did since the bundle was made: nothing, see serving/live."""
        return NOTHING

    def is_active(self, user: str | None) -> bool:
        """Return whether a user did anything since the bundle was made: no, see serving/live."""
        return False

    @property
    def added_vectors(self) -> Floats:
        """Return the vectors of items that the bundle was made without: none, see serving/live."""
        return self.item_vectors[:0]

    @cached_property
    def tiers(self) -> list[Tier]:
        """Return for each item hot (trained with interactions), warm (content only) or cold.

        An item that no modality connects to any other has no content to go by.
        """
        knn = [self.graphs[m] for m in self.modalities]
        known = np.full(len(self.hot), not knn)
        for graph in knn:
            known |= np.diff(graph.indptr) > 0
        names: list[Tier] = [COLD, WARM, HOT]
        return [names[place] for place in np.where(self.hot, 2, known).tolist()]

    def tier(self, item: int) -> Tier:
        """Return hot, warm or cold."""
        return self.tiers[item]

    def self_check(self) -> SelfCheck:
        """Return how well the index repeats the canaries' exact lists."""
        queries = np.asarray(self.user_vectors[self.canary_users])
        floor = float(self.audit["recall_floor"])
        if not len(queries):
            return SelfCheck(0, 0.0, floor)
        k = self.canary_top.shape[1]
        rows, _ = top_k_rescored(self.index, self.item_vectors, queries, k, self.depth)
        # Scored afresh: an index of other vectors would grade itself by its own scores.
        found = np.where(rows < 0, -np.inf, self._scores(queries, rows))
        recall = recall_by_score(found, self._scores(queries, self.canary_top))
        return SelfCheck(len(queries), recall, floor)

    def _scores(self, queries: Floats, rows: Rows) -> Floats:
        scores: Floats = np.einsum("bd,bkd->bk", queries, self.item_vectors[rows])
        return scores


def _read_index(artifact: Artifact) -> Any:  # noqa: ANN401 - faiss has no types
    try:
        return open_index(artifact.file("items.faiss"))
    except RuntimeError as error:
        raise _unfit(artifact, f"items.faiss is not a FAISS index ({error})") from error


def _second_stage(bundle: Bundle) -> SecondStage | None:
    if not bundle.artifact.has(SETTINGS):
        return None
    return open_second_stage(bundle.artifact, bundle.space, bundle.seen)


def _float32(array: np.ndarray) -> Floats:
    # A plain view: taking rows of a ``memmap`` makes another, and costs more than the rows.
    return _plain(array.astype(np.float32, copy=False))


def _plain(array: np.ndarray) -> np.ndarray:
    return np.asarray(array)


def _check_sizes(artifact: Artifact) -> None:
    """Refuse files that were cut or lost; ``plotpointe verify`` compares every byte."""
    for name, told in artifact.manifest["files"].items():
        path = artifact.path / name
        found = path.stat().st_size if path.is_file() else None
        if found != told["bytes"]:
            raise _unfit(artifact, f"{name} has {found} bytes, the manifest says {told['bytes']}")


def check(bundle: Bundle) -> None:
    """Refuse a bundle whose parts do not belong together.

    Raises:
        ArtifactError: naming the first part that does not fit.
    """
    users, items = len(bundle.users), len(bundle.catalogue)
    width = bundle.index.d
    shapes = {
        "item_vectors.npy": (bundle.item_vectors.shape, (items, width)),
        "user_vectors.npy": (bundle.user_vectors.shape, (users, width)),
        "fold_in.npy": (bundle.fold_in.shape, (items, width)),
        "hot.npy": (bundle.hot.shape, (items,)),
        "seen.npz": (bundle.seen.shape, (users, items)),
        "items.faiss": ((bundle.index.ntotal, width), (items, width)),
        "canary_top.npy": (
            bundle.canary_top.shape,
            (len(bundle.canary_users), bundle.audit.get("k")),
        ),
        **{f"graph {m}": (graph.shape, (items, items)) for m, graph in bundle.graphs.items()},
    }
    if bundle.known is not None:
        # Its rows are looked at by ``verify``: reading all of them would take a while.
        shapes[_KNOWN] = (bundle.known.shape, (users, bundle.known.shape[-1]))
    for name, (found, wanted) in shapes.items():
        if tuple(found) != wanted:
            raise _unfit(bundle.artifact, f"{name} has shape {tuple(found)}, wanted {wanted}")
    _check_rows(bundle.artifact, "popular.npy", bundle.popular, items)
    _check_rows(bundle.artifact, "canary_users.npy", bundle.canary_users, users)
    _check_rows(bundle.artifact, "canary_top.npy", bundle.canary_top, items)
    if not np.isfinite(bundle.lengths).all():
        raise _unfit(bundle.artifact, "item_vectors.npy holds values that are not finite")
    if "recall_floor" not in bundle.audit:
        raise _unfit(bundle.artifact, "audit.json names no recall_floor")


def _check_rows(artifact: Artifact, name: str, rows: Rows, limit: int) -> None:
    if rows.size and not (rows.min() >= 0 and rows.max() < limit):
        raise _unfit(artifact, f"{name} names rows outside 0..{limit - 1}")


def _unfit(artifact: Artifact, what: str) -> ArtifactError:
    return ArtifactError(
        f"bundle {artifact.fingerprint}: {what}. Rebuild: plotpointe run CONFIG --to index --force"
    )
