"""Every artifact that belongs to one run: what it was made from, and what was made of its model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Keys, Rows
from pipeline.artifacts import Artifact, Store, check_kind, check_version
from pipeline.errors import ArtifactError
from pipeline.interactions import user_item
from pipeline.leaks.log import Log, read_log
from pipeline.schema import KEY, KINDS, SPLITS, TRAIN

MODEL = "model"
"""The main model's name among the models of a run; baselines stand under theirs."""


@dataclass(frozen=True)
class Run:
    """One run's artifacts, and its interactions."""

    asked: Artifact
    tables: Artifact
    by_kind: Mapping[str, Artifact]
    """Those that there are, of the other kinds but models."""
    models: Mapping[str, Artifact] = field(default_factory=dict)
    """The main model as ``model``, baselines by name."""
    gone: tuple[str, ...] = ()
    """Artifacts that manifests name and the store no longer holds."""

    @cached_property
    def log(self) -> Log:
        """Return the interactions."""
        return read_log(self.tables)

    @cached_property
    def train(self) -> sp.csr_matrix:
        """Return the training interactions, CSR (U, N)."""
        return user_item(self.tables, (TRAIN,))

    @cached_property
    def everything(self) -> sp.csr_matrix:
        """Return the interactions of all splits, CSR (U, N)."""
        return user_item(self.tables, [*SPLITS.values()])

    @cached_property
    def item_counts(self) -> tuple[Rows, Rows]:
        """Return each item's interactions in training, and in all splits, (N,) twice."""
        items = self.train.shape[1]
        trained, ever = (
            np.bincount(m.indices, minlength=items) for m in (self.train, self.everything)
        )
        return trained, ever

    @cached_property
    def item_keys(self) -> Keys:
        """Return the catalogue's item ids, (N,)."""
        return _keys(self.tables, "items.parquet")

    @cached_property
    def user_keys(self) -> Keys:
        """Return the catalogue's user ids, (U,)."""
        return _keys(self.tables, "users.parquet")


def _keys(tables: Artifact, name: str) -> Keys:
    return np.asarray(tables.table(name, [KEY])[KEY].to_pylist(), dtype=np.str_)


def name_of(artifact: Artifact) -> str:
    """Return ``kind/fingerprint``."""
    return f"{artifact.kind}/{artifact.fingerprint}"


def find_run(store: Store, which: str | None) -> Run:
    """Return the run that an artifact belongs to.

    ``which`` is KIND/FINGERPRINT, KIND (the promoted or newest one), a fingerprint, or None for
    the promoted bundle. A prefix of a fingerprint is enough.

    Raises:
        ArtifactError: no such artifact, several, or its tables are gone.
    """
    asked = _pick(store, which)
    found = {**_below(store, asked), asked.kind: asked}
    for kind in ("report", "bundle"):
        for above in _made_of(store, kind, found):
            found = {**_below(store, above), kind: above, **found}
    tables = found.get("tables")
    if tables is None:
        named = asked.manifest["inputs"].get("tables")
        raise ArtifactError(
            f"{name_of(asked)} was made from tables {named}, which {store.root} does not hold; "
            f"without them nothing can be compared. Make them: plotpointe run CONFIG --to etl"
        )
    kinds = {k: a for k, a in found.items() if k in KINDS and k not in ("tables", MODEL)}
    models = {k.removeprefix("model:"): a for k, a in found.items() if k.split(":")[0] == MODEL}
    gone = tuple(sorted({*_gone(store, found)}))
    return Run(asked, tables, kinds, models, gone)


def _pick(store: Store, which: str | None) -> Artifact:
    if which is None:
        return store.open("bundle")
    kind, _, fingerprint = which.partition("/")
    if kind in KINDS or fingerprint:
        check_kind(kind)
        if fingerprint or store.current(kind):
            return store.open(kind, fingerprint or None)
        matches = store.all(kind)[-1:]
    else:
        everything = [a for k in KINDS for a in store.all(k)]
        matches = [a for a in everything if a.fingerprint.startswith(which)]
        matches = [a for a in matches if a.fingerprint == which] or matches
    if len(matches) != 1:
        found = [name_of(a) for a in matches]
        raise ArtifactError(
            f"{len(matches)} artifacts in {store.root} match {which!r} {found}; name one as "
            f"KIND/FINGERPRINT (see: plotpointe show)"
        )
    check_version(matches[0])
    return matches[0]


def _below(store: Store, artifact: Artifact) -> dict[str, Artifact]:
    """Return what an artifact was made from, by the names its and their manifests use."""
    inputs = artifact.manifest["inputs"].items()
    sources = {name: _find(store, name, str(fingerprint)) for name, fingerprint in inputs}
    known = {name: source for name, source in sources.items() if source is not None}
    found: dict[str, Artifact] = {}
    for source in known.values():
        found |= _below(store, source)
    return found | known


def _made_of(store: Store, kind: str, found: Mapping[str, Artifact]) -> list[Artifact]:
    """Return what was made of the model that was found: the promoted one, else the newest.

    Several runs may share a model. What shares the other artifacts too, such as the second stage,
    comes before what does not.
    """
    made = [a for a in store.all(kind) if MODEL in found and _shares(a, MODEL, found)]
    same = [a for a in made if all(_shares(a, name, found) for name in a.manifest["inputs"])]
    current = [a for a in same if a.fingerprint == store.current(kind)]
    return (current or same or made)[-1:]


def _shares(artifact: Artifact, name: str, found: Mapping[str, Artifact]) -> bool:
    """Return whether an artifact was made from the one that was found, where one was."""
    return name not in found or artifact.manifest["inputs"].get(name) == found[name].fingerprint


def _gone(store: Store, found: Mapping[str, Artifact]) -> Iterator[str]:
    for artifact in found.values():
        for name, fingerprint in artifact.manifest["inputs"].items():
            if _find(store, name, str(fingerprint)) is None:
                yield f"{name}/{fingerprint}"


def _find(store: Store, name: str, fingerprint: str) -> Artifact | None:
    return store.find(name.split(":")[0], fingerprint)
