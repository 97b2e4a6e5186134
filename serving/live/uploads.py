"""Pictures that are sent: looked at before anything decodes them, and kept for showing."""

import base64
import binascii
import hashlib
import io
import os
from pathlib import Path

from serving.live.attach import ContentError
from serving.pictures import SENT

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 40_000_000
"""Larger pictures are taken for decompression bombs: 120 MB as RGB."""
FOLDER = "pictures"
_SIDE = 1024
_QUALITY = 90


def decoded(text: str) -> bytes:
    """Return the bytes of base64, with or without the head of a data URL.

    Raises:
        ContentError: it is no base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContentError(f"the picture is not base64: {error}") from error


def checked(data: bytes) -> bytes:
    """Return a picture's bytes, if its head says that it is one of a size that can be decoded.

    Raises:
        ContentError: it is no picture, or too large a one.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            wide, high = picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ContentError(f"the picture has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's readers raise all sorts on damaged files
        raise ContentError(f"the picture is none of {', '.join(FORMATS)}, or damaged") from error
    if not 0 < wide * high <= MAX_PIXELS:
        raise ContentError(
            f"the picture has {wide} x {high} pixels; at most {MAX_PIXELS:,} are decoded"
        )
    return data


def kept(data: bytes, state: Path) -> str:
    """Return the name under which a picture can be shown: drawn anew, without anything hidden.

    Raises:
        ContentError: it cannot be decoded.
        OSError: it cannot be written.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            picture.draft("RGB", (_SIDE, _SIDE))
            shown = ImageOps.exif_transpose(picture).convert("RGB")
            shown.thumbnail((_SIDE, _SIDE))
            out = io.BytesIO()
            shown.save(out, "JPEG", quality=_QUALITY)
    except Exception as error:
        raise ContentError("the picture is damaged and cannot be decoded") from error
    name = hashlib.sha256(data).hexdigest() + ".jpg"
    _write(state / FOLDER / name, out.getvalue())
    return SENT + name


def _write(path: Path, data: bytes) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
