"""Where pictures lie on this machine: remembered beside the artifacts, never part of one."""

from pathlib import Path

from pipeline import files
from pipeline.artifacts import Artifact, Store

_MEMORY = ".places.json"


def remember(store: Store, tables: Artifact | None, images: Path | None) -> None:
    """Note the images folder that belongs to a tables artifact."""
    if tables is None or images is None:
        return
    known = _known(store)
    if known.get(tables.fingerprint) != str(images):
        files.write_json(store.root / _MEMORY, {**known, tables.fingerprint: str(images)})


def images_of(store: Store, bundle: Artifact) -> Path | None:
    """Return the images folder of a bundle's catalogue, None where it is not known or gone."""
    noted = _known(store).get(str(bundle.manifest["inputs"].get("tables")))
    folder = Path(noted) if noted else None
    return folder if folder and folder.is_dir() else None


def _known(store: Store) -> dict[str, str]:
    path = store.root / _MEMORY
    return dict(files.read_json(path)) if path.exists() else {}
