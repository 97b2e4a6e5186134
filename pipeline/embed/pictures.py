"""Pictures: where an item's file is, and its pixels as RGB, or the reason there are none."""

import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
UNDECODABLE = "undecodable"
MAX_PIXELS = 89_478_485
"""A quarter of a gigabyte as RGB; larger ones are taken for decompression bombs."""


class PictureError(Exception):
    """A picture that cannot be used; the message is its reason code."""


class PictureFolder:
    """The files below a folder, by relative path, and by name for items without a path."""

    def __init__(self, root: Path) -> None:
        """List the folder once: a lookup then costs no disk access."""
        self._root = root
        self._paths = {path.relative_to(root).as_posix() for path in _walk(root)}
        self._by_key: dict[str, str] = {}
        for path in sorted(self._paths, reverse=True):
            pure = PurePosixPath(path)
            if pure.suffix.lower() in SUFFIXES:
                self._by_key[pure.stem] = path

    def find(self, image: str | None, key: str) -> Path:
        """Return the file an item names, or the one that is named by its key.

        Raises:
            PictureError: ``no_image``, ``outside_folder`` or ``file_missing``.
        """
        relative = _inside(image, self._root) if image else None
        if relative in self._paths:
            return self._root / relative
        if key in self._by_key:
            return self._root / self._by_key[key]
        raise PictureError("file_missing" if image else "no_image")


def _walk(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root, followlinks=True):
        yield from (Path(folder, name) for name in names)


def _inside(image: str, root: Path) -> str:
    """Return ``image`` relative to ``root``; a catalogue may not point anywhere else."""
    named = image.replace("\\", "/")
    if named.startswith("/"):
        own = root.as_posix().rstrip("/") + "/"
        named = named.removeprefix(own) if named.startswith(own) else named
    path = PurePosixPath(named)
    if path.is_absolute() or ".." in path.parts:
        raise PictureError("outside_folder")
    return path.as_posix()


def digest(path: Path) -> str:
    """Return the content hash of a picture file.

    Raises:
        PictureError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PictureError(f"{UNDECODABLE}:unreadable") from error


@contextmanager
def bombs_are_errors() -> Iterator[None]:
    """Make Pillow raise for a suspiciously large picture, where it would warn and go on."""
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)
        yield


def decode(path: Path | BinaryIO, side: int) -> "Image":
    """Return the first frame upright and in RGB; a large JPEG only about as large as needed.

    Raises:
        PictureError: ``undecodable:…`` with the reason.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureError(f"{UNDECODABLE}:too_large")
            picture.draft(None, (2 * side, 2 * side))
            picture.load()
            return to_rgb(_upright(picture))
    except (PictureError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{UNDECODABLE}:too_large") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{UNDECODABLE}:not_a_picture") from error
    except Exception as error:  # Pillow's decoders raise all sorts on damaged files
        raise PictureError(f"{UNDECODABLE}:damaged") from error


def _upright(picture: "Image") -> "Image":
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged header beside sound pixels
        return picture.copy()


def to_rgb(picture: "Image") -> "Image":
    """Return the picture in RGB: palettes looked up, transparency on white, 16 bits cut to 8."""
    from PIL import Image

    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith(("I", "F")):
        return _eight_bits(picture)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: "Image") -> "Image":
    from PIL import Image

    levels = np.nan_to_num(np.asarray(picture, dtype=np.float64))
    scale = 256 if levels.max(initial=0) > 255 else 1
    return Image.fromarray((levels / scale).clip(0, 255).astype(np.uint8)).convert("RGB")
