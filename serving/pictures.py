"""Pictures: a path below the images folder, never outside it, or a URL of the catalogue."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from serving.catalogue import Item

MEDIA_TYPES = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""By suffix; SVG is left out since it can carry scripts."""


@dataclass(frozen=True)
class Pictures:
    """Where the catalogue's pictures are."""

    folder: Path | None

    def link(self, key: str, image: str | None) -> str | None:
        """Return where a browser finds an item's picture, None where there is none."""
        if image is None or is_url(image):
            return image
        return None if self.folder is None else f"/v1/items/{quote(key, safe='')}/image"

    def file(self, item: Item) -> Path | None:
        """Return the picture's file, None where it is missing, no picture, or outside."""
        if self.folder is None or item.image is None or "\0" in item.image:
            return None
        path = (self.folder / item.image).resolve()
        inside = path.is_relative_to(self.folder.resolve())
        return path if inside and path.suffix.lower() in MEDIA_TYPES and path.is_file() else None


def is_url(image: str | None) -> bool:
    """Return whether a stored picture is a web address."""
    return image is not None and image[:8].lower().startswith(("http://", "https://"))
