"""The artifact contract: draft, publish, open, promote and roll back.

An artifact is the folder ``<store>/<kind>/<fingerprint>/``. It is complete if and only if its
``manifest.json`` exists: everything is written in a draft beside it, flushed to disk, and renamed
in one step. It is never changed after that, so two writers of the same fingerprint race safely and
a crash leaves no half artifact. ``<store>/<kind>/CURRENT`` names the promoted one.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from pipeline import files
from pipeline.errors import ArtifactError, suggest
from pipeline.hashing import sha256_file
from pipeline.schema import KINDS

MANIFEST = "manifest.json"
CURRENT = "CURRENT"
HISTORY = "HISTORY.jsonl"
SCRATCH = ".scratch"


@dataclass(frozen=True)
class Artifact:
    """A complete, read-only artifact."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Return the kind's name, such as ``tables``."""
        return str(self.manifest["kind"])

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of what was asked for."""
        return str(self.manifest["fingerprint"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return what the stage measured about its output."""
        facts: Mapping[str, Any] = self.manifest["facts"]
        return facts

    def has(self, name: str) -> bool:
        """Return whether the artifact holds the file ``name``."""
        return name in self.manifest["files"]

    def file(self, name: str) -> Path:
        """Return the path of a file of this artifact.

        Raises:
            ArtifactError: it holds no such file.
        """
        if not self.has(name):
            known = sorted(self.manifest["files"])
            raise ArtifactError(
                f"{self.kind} {self.fingerprint} holds no {name!r}{suggest(name, known)}; "
                f"it holds {known}"
            )
        return self.path / name

    def array(self, name: str, *, mapped: bool = True) -> np.ndarray:
        """Return an array, memory-mapped read-only by default."""
        return files.read_array(self.file(name), mapped=mapped)

    def matrix(self, name: str, *, mapped: bool = False) -> sp.csr_matrix:
        """Return a CSR matrix; ``mapped`` leaves it on disk, to be read but not changed."""
        return files.read_matrix(self.file(name), mapped=mapped)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return a table, or only the named columns."""
        return files.read_table(self.file(name), columns)

    def json(self, name: str) -> Any:  # noqa: ANN401 - JSON is any value
        """Return a parsed JSON file."""
        return files.read_json(self.file(name))

    def modalities(self, suffix: str) -> list[str]:
        """Return the modality names of the files ``<modality><suffix>``, sorted."""
        names = self.manifest["files"]
        return sorted(n.removesuffix(suffix) for n in names if n.endswith(suffix))


class Store:
    """A folder of artifacts, addressed by kind and fingerprint."""

    def __init__(self, root: Path | str) -> None:
        """Use the folder ``root``; it need not exist yet."""
        self.root = Path(root)

    def folder(self, kind: str, fingerprint: str) -> Path:
        """Return where an artifact stands, or would stand."""
        return self.root / kind / fingerprint

    def find(self, kind: str, fingerprint: str) -> Artifact | None:
        """Return the complete artifact, or None."""
        folder = self.folder(kind, fingerprint)
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            missing = {"kind", "fingerprint", "files", "inputs", "created_at"} - {*manifest}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError) as error:
            raise ArtifactError(
                f"{folder / MANIFEST} is not JSON: {error}. Delete {folder} and run again"
            ) from error
        if missing:
            raise ArtifactError(
                f"{folder / MANIFEST} names no {sorted(missing)}. Delete {folder} and run again"
            )
        return Artifact(folder, manifest)

    def open(self, kind: str, fingerprint: str | None = None) -> Artifact:
        """Return an artifact by fingerprint (a unique prefix is enough), or the promoted one.

        Raises:
            ArtifactError: none or several match, or its version is not the one read here.
        """
        check_kind(kind)
        wanted = fingerprint or self.current(kind)
        if wanted is None:
            raise ArtifactError(
                f"no {kind} is promoted in {self.root}. Promote one: plotpointe promote {kind}/…"
            )
        matches = [a for a in self.all(kind) if a.fingerprint.startswith(wanted)]
        matches = [a for a in matches if a.fingerprint == wanted] or matches
        if len(matches) != 1:
            found = [a.fingerprint for a in self.all(kind)]
            raise ArtifactError(f"{len(matches)} {kind} in {self.root} match {wanted!r}: {found}")
        check_version(matches[0])
        return matches[0]

    def all(self, kind: str) -> list[Artifact]:
        """Return the complete artifacts of a kind, oldest first."""
        folder = self.root / kind
        names = sorted(p.name for p in folder.glob("*/")) if folder.is_dir() else []
        found = [self.find(kind, name) for name in names if not name.startswith(".")]
        return sorted((a for a in found if a), key=lambda a: str(a.manifest["created_at"]))

    def scratch(self, stage: str, name: str) -> Path:
        """Return a work folder that survives a kill; delete it when its result is published."""
        folder = self.root / SCRATCH / stage / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def draft(self, kind: str, fingerprint: str) -> Iterator[Path]:
        """Yield an empty folder to fill; what is left in it at the end is thrown away."""
        folder = self.root / kind
        sweep_drafts(folder)
        draft, lock = _locked_folder(folder, fingerprint)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            os.close(lock)

    def publish(self, draft: Path, manifest: Mapping[str, Any]) -> Artifact:
        """Make a filled draft an artifact: describe its files, flush, rename.

        ``manifest`` holds everything but ``files`` and ``created_at``. Losing a race to another
        writer of the same fingerprint is a success: the other's artifact is returned.
        """
        kind, fingerprint = str(manifest["kind"]), str(manifest["fingerprint"])
        whole = {
            **manifest,
            "files": {p.name: describe(p) for p in sorted(draft.iterdir())},
            "created_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        }
        files.write_json(draft / MANIFEST, whole)
        for path in (*draft.iterdir(), draft):
            flush(path)
        final = self.folder(kind, fingerprint)
        if final.exists() and not (final / MANIFEST).exists():
            shutil.rmtree(final)
        try:
            draft.rename(final)
        except OSError:
            if not (final / MANIFEST).exists():
                raise
        flush(final.parent)
        published = self.find(kind, fingerprint)
        assert published is not None
        return published

    def remove(self, kind: str, fingerprint: str) -> None:
        """Remove an artifact; a crash leaves a draft to sweep, never half an artifact."""
        doomed, lock = _locked_folder(self.root / kind, fingerprint)
        try:
            self.folder(kind, fingerprint).rename(doomed / fingerprint)
        finally:
            shutil.rmtree(doomed, ignore_errors=True)
            os.close(lock)

    def current(self, kind: str) -> str | None:
        """Return the promoted fingerprint of a kind, or None."""
        try:
            return (self.root / kind / CURRENT).read_text().strip()
        except FileNotFoundError:
            return None

    def history(self, kind: str) -> list[dict[str, Any]]:
        """Return every promotion of a kind, oldest first, without those a crash cut short."""
        path = self.root / kind / HISTORY
        entries = []
        for line in path.read_text().splitlines() if path.exists() else []:
            with suppress(ValueError):
                entries.append(json.loads(line))
        return entries

    def previous(self, kind: str) -> str | None:
        """Return what a rollback would promote, None where there is nothing earlier.

        A rollback undoes promotions one by one: what it left is not returned to.
        """
        promoted: list[str] = []
        for entry in self.history(kind):
            fingerprint = str(entry["fingerprint"])
            while entry.get("rollback") and promoted and promoted[-1] != fingerprint:
                promoted.pop()
            if promoted[-1:] != [fingerprint]:
                promoted.append(fingerprint)
        current = self.current(kind)
        while current in promoted and promoted.pop() != current:
            pass
        return promoted[-1] if promoted else None

    def point(self, kind: str, fingerprint: str, why: str, *, rollback: bool = False) -> None:
        """Make ``fingerprint`` the promoted one and append to the history; the swap is atomic."""
        folder = self.root / kind
        entry = {
            "fingerprint": fingerprint,
            "previous": self.current(kind),
            "why": why,
            "rollback": rollback,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        files.append_line(folder / HISTORY, entry)
        flush(folder / HISTORY)
        draft = folder / f".{CURRENT}.{os.getpid()}"
        draft.write_text(fingerprint + "\n")
        flush(draft)
        draft.replace(folder / CURRENT)
        flush(folder)

    def roll_back(self, kind: str) -> str:
        """Promote what was promoted before the current one; return its fingerprint.

        Raises:
            ArtifactError: there is no earlier one, or it is gone.
        """
        previous = self.previous(kind)
        if previous is None:
            raise ArtifactError(f"no earlier {kind} was promoted in {self.root}")
        self.open(kind, previous)
        self.point(kind, previous, f"rollback from {self.current(kind)}", rollback=True)
        return previous


def check_kind(kind: str) -> None:
    """Refuse a name that is no kind of artifact.

    Raises:
        ArtifactError: with the closest kind.
    """
    if kind not in KINDS:
        raise ArtifactError(f"unknown kind {kind!r}{suggest(kind, [*KINDS])}; one of {[*KINDS]}")


def check_version(artifact: Artifact) -> None:
    """Refuse an artifact of another kind version.

    Raises:
        ArtifactError: with both versions and the command that rebuilds it.
    """
    kind, found = KINDS[artifact.kind], artifact.manifest["kind_version"]
    if found != kind.version:
        raise ArtifactError(
            f"{kind.name} {artifact.fingerprint} has kind_version {found}; this code reads "
            f"{kind.version}. Rebuild: plotpointe run CONFIG --to {kind.made_by}"
        )


def describe(path: Path) -> dict[str, Any]:
    """Return a file's size, SHA-256 and, where it has them, shape and dtype."""
    entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    if path.suffix == ".npy":
        array = files.read_array(path)
        entry |= {"shape": list(array.shape), "dtype": str(array.dtype)}
    elif path.suffix == ".parquet":
        meta = pq.read_metadata(path)
        entry |= {"shape": [meta.num_rows, meta.num_columns]}
    elif path.suffix == ".npz":
        matrix = files.read_matrix(path, mapped=True)
        entry |= {"shape": list(matrix.shape), "nonzero": matrix.nnz, "dtype": str(matrix.dtype)}
    return entry


def flush(path: Path) -> None:
    """Force a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_drafts(folder: Path) -> None:
    """Remove drafts that nobody holds any more.

    A draft is locked by the process that fills it, and the system opens the lock when that
    process ends, however it ends. A process number would not do: the next one may be the same.
    """
    for draft in folder.glob(".*.*/"):
        with suppress(FileNotFoundError):
            lock = os.open(draft, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(draft, ignore_errors=True)
            except BlockingIOError:
                pass
            finally:
                os.close(lock)


def _locked_folder(parent: Path, name: str) -> tuple[Path, int]:
    """Return a new draft folder and its lock; another process may sweep it before it is locked."""
    while True:
        draft = parent / f".{name}.{uuid4().hex[:8]}"
        draft.mkdir(parents=True)
        lock = os.open(draft, os.O_RDONLY)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if draft.exists():
                return draft, lock
        os.close(lock)
