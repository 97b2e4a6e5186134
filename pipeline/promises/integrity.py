"""The artifact contract: the files of the manifest, unaltered, of the kind's names and formats."""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import files
from pipeline.artifacts import MANIFEST, Artifact
from pipeline.hashing import fingerprint, sha256_file
from pipeline.promises.check import Check, equal
from pipeline.schema import KINDS, FileSpec, Kind, attributes_of, items_with

_REQUEST = ("stage", "stage_version", "config", "inputs", "raw", "seed")
_HEADER_BYTES = 8
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, pa.ArrowException)


def checks(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of manifest, names, bytes and formats."""
    yield from _manifest(artifact)
    listed: Mapping[str, Any] = artifact.manifest.get("files", {})
    yield from _names(artifact, {*listed})
    whole = True
    for check in _all_bytes(artifact.path, listed):
        whole &= check.kept
        yield check
    kind = KINDS.get(artifact.kind)
    if kind and whole:
        for name in sorted(listed):
            if (spec := spec_of(kind, name)) is not None:
                yield _format(artifact.path / name, spec)


def _manifest(artifact: Artifact) -> Iterator[Check]:
    manifest, kind = artifact.manifest, KINDS.get(artifact.kind)
    yield Check(MANIFEST, "names a known kind", kind is not None, artifact.kind, str([*KINDS]))
    if kind is not None:
        found = manifest.get("kind_version")
        yield equal(MANIFEST, "is of the kind version read here", found, kind.version)
    standing = artifact.path.parent.name, artifact.path.name
    named = artifact.kind, artifact.fingerprint
    yield equal(MANIFEST, "names the folder it stands in", named, standing)
    if all(key in manifest for key in _REQUEST):
        asked = fingerprint({key: manifest[key] for key in _REQUEST})
        yield equal(MANIFEST, "hashes to its fingerprint", asked, artifact.fingerprint)


def _names(artifact: Artifact, listed: set[str]) -> Iterator[Check]:
    standing = {path.name for path in artifact.path.iterdir()} - {MANIFEST}
    foreign = sorted(standing - listed)
    yield Check("the folder", "holds only what the manifest lists", not foreign, str(foreign))
    kind = KINDS.get(artifact.kind)
    if kind is None:
        return
    required = {name for name, spec in kind.files.items() if spec.required}
    missing = sorted(required - listed)
    yield Check("the manifest", "lists every file of the kind", not missing, f"no {missing}")
    unknown = sorted(name for name in listed if spec_of(kind, name) is None)
    yield Check("the manifest", "lists only files of the kind", not unknown, str(unknown))


def spec_of(kind: Kind, name: str) -> FileSpec | None:
    """Return what the kind says about a file; a name of its own goes before a pattern."""
    patterns = sorted(kind.files, key=lambda p: ("*" in p, -len(p)))
    return next((kind.files[p] for p in patterns if fnmatchcase(name, p)), None)


def _all_bytes(folder: Path, listed: Mapping[str, Any]) -> Iterator[Check]:
    """Yield the checks of each file's bytes, in order of name; files are hashed side by side."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for checks in pool.map(lambda each: [*_bytes(folder / each, listed[each])], sorted(listed)):
            yield from checks


def _bytes(path: Path, entry: Mapping[str, Any]) -> Iterator[Check]:
    if not path.is_file():
        yield Check(path.name, "is there", False, "no such file", "a file")
        return
    size = path.stat().st_size
    yield equal(path.name, "has the size of the manifest", size, entry["bytes"])
    if size == entry["bytes"]:
        digest = sha256_file(path)
        yield equal(path.name, "has the SHA-256 of the manifest", digest, entry["sha256"])


def _format(path: Path, spec: FileSpec) -> Check:
    rule = f"is {spec.format}"
    try:
        _READERS[spec.format](path, spec)
    except _UNREADABLE as error:
        return Check(path.name, rule, False, f"{type(error).__name__}: {error}")
    return Check(path.name, rule, True)


def _read_array(path: Path, _: FileSpec) -> None:
    files.read_array(path)


def _read_matrix(path: Path, _: FileSpec) -> None:
    files.read_matrix(path, mapped=True).check_format(full_check=True)


def _read_table(path: Path, spec: FileSpec) -> None:
    found = pq.read_schema(path)
    if spec.schema is not None and not found.equals(_wanted(found, spec)):
        wanted = {field.name: str(field.type) for field in spec.schema}
        raise ValueError(f"columns { ({f.name: str(f.type) for f in found}) }, wanted {wanted}")


def _wanted(found: pa.Schema, spec: FileSpec) -> pa.Schema:
    return items_with(attributes_of(found)) if spec.attributes else spec.schema


def _read_json(path: Path, _: FileSpec) -> None:
    files.read_json(path)


def _read_lines(path: Path, _: FileSpec) -> None:
    files.read_lines(path)


def _read_safetensors(path: Path, _: FileSpec) -> None:
    """Read the header alone: a length, then JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER_BYTES), "little")
        if length > path.stat().st_size:
            raise ValueError(f"a header of {length} bytes in {path.stat().st_size}")
        json.loads(file.read(length))


def _read_faiss(path: Path, _: FileSpec) -> None:
    """Look at the first bytes; the bundle's promises open the index."""
    with path.open("rb") as file:
        if not file.read(4).startswith(b"I"):
            raise ValueError("it does not begin like a FAISS index")


_READERS = {
    "npy": _read_array,
    "npz": _read_matrix,
    "parquet": _read_table,
    "json": _read_json,
    "jsonl": _read_lines,
    "safetensors": _read_safetensors,
    "faiss": _read_faiss,
}
