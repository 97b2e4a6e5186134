"""The store: manifests and sizes, what is promoted, what is left over; ``verify`` reads it all."""

import json
from collections.abc import Iterator
from pathlib import Path

from pipeline.artifacts import MANIFEST, Artifact, Store
from pipeline.doctor.finding import FAIL, OK, SKIP, WARN, Finding
from pipeline.errors import ArtifactError
from pipeline.schema import KINDS


def whole(store: Store) -> Iterator[Finding]:
    """Yield what of the store is damaged, by manifests and sizes of files."""
    if not store.root.is_dir():
        told = f"there is no store at {store.root}"
        yield Finding("store", SKIP, told, "plotpointe demo")
        return
    counted = 0
    for kind in KINDS:
        for folder in sorted((store.root / kind).glob("*/")):
            if folder.name.startswith("."):
                continue
            counted += 1
            wrong = _wrong_with(store, kind, folder)
            if wrong:
                cure = f"rm -r {folder} and run again, or: plotpointe verify {kind}/{folder.name}"
                yield Finding("store", FAIL, f"{kind}/{folder.name}: {wrong}", cure)
    yield Finding("store", OK, f"{counted} artifacts looked at, by manifests and sizes")
    yield from _promoted(store)


def _wrong_with(store: Store, kind: str, folder: Path) -> str | None:
    """Return what is wrong with an artifact, None where its files are there in their sizes."""
    if not (folder / MANIFEST).exists():
        return f"has no {MANIFEST}; it was not finished"
    try:
        artifact = store.find(kind, folder.name)
    except (ArtifactError, json.JSONDecodeError) as error:
        return str(error)
    assert artifact is not None
    wrong = [*_files(artifact)]
    if artifact.manifest.get("kind_version") != KINDS[kind].version:
        wrong.append(f"is of another version ({artifact.manifest.get('kind_version')})")
    return "; ".join(wrong) or None


def _files(artifact: Artifact) -> Iterator[str]:
    for name, entry in artifact.manifest["files"].items():
        path = artifact.path / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != entry["bytes"]:
            yield f"{name} has {path.stat().st_size:,} bytes; its manifest says {entry['bytes']:,}"


def _promoted(store: Store) -> Iterator[Finding]:
    named = store.current("bundle")
    if named is None:
        yield Finding("store", WARN, "no bundle is promoted", "plotpointe run CONFIG")
    elif not (store.folder("bundle", named) / MANIFEST).exists():
        told = f"the promoted bundle {named} is gone"
        yield Finding("store", FAIL, told, "plotpointe rollback bundle")
    else:
        yield Finding("store", OK, f"bundle {named} is promoted")
