"""Which picture belongs to an item: the one place where image paths are resolved.

1. A URL stays a URL.
2. A path is taken below ``data.images``. Where its first folder has the name of that folder (a
   table says ``posters/1.jpg``, ``images: data/posters``), that part is dropped, unless the folder
   really holds another of the same name.
3. Without a path, or where the path leads nowhere, ``<item key>.jpg`` (or png, webp …) is taken
   if the folder holds it.
4. A path that leads nowhere is kept, so that embedding records the picture as missing. One that
   leaves the folder (``../``) is dropped: a catalogue must not read its reader's files.

Without ``data.images`` paths stay as written.
"""

import os
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Of picture files, in the order of preference."""


class Pictures:
    """Resolves what a table says about an item's picture."""

    def __init__(self, folder: Path | None) -> None:
        """Look in ``folder``, ``data.images``.

        Raises:
            DataError: it is not a folder.
        """
        if folder is not None and not folder.is_dir():
            raise DataError(f"data.images: {folder} is not a folder; name the folder of pictures")
        self._folder = folder

    def of(self, key: str, image: str | None) -> str | None:
        """Return the path below the folder, or the URL, or None where the item has no picture."""
        if image and image.startswith(("http://", "https://")):
            return image
        if self._folder is None:
            return image
        path = self._below(image) if image else None
        if path and (self._folder / path).is_file():
            return path
        return self.named.get(key) or path

    @cached_property
    def named(self) -> dict[str, str]:
        """Picture files directly in the folder, by name without suffix, sorted."""
        if self._folder is None:
            return {}
        found: dict[str, str] = {}
        names = (entry.name for entry in os.scandir(self._folder) if entry.is_file())
        for name in sorted(names, key=_preference):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES:
                found.setdefault(stem, name)
        return dict(sorted(found.items()))

    def _below(self, image: str) -> str | None:
        assert self._folder is not None
        written = image.replace("\\", "/")
        if "\0" in written:
            return None
        path = PurePosixPath(os.path.normpath(written))
        if path.is_absolute():
            if not path.is_relative_to(self._folder):
                return None
            path = path.relative_to(self._folder)
        if path.parts and path.parts[0] == self._folder.name and not (self._folder / path).exists():
            path = PurePosixPath(*path.parts[1:])
        outside = not path.parts or path.parts[0] == ".."
        return None if outside else str(path)


def _preference(name: str) -> tuple[int, str]:
    suffix = os.path.splitext(name)[1].lower()
    return (SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES), name)
