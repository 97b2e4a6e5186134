"""What items look like: vectors for every picture, and some real pictures.

A vector is what all pictures share, what its kind looks like, its style seen from one side, and
noise: pictures say less about an item than its description does, and something else.
"""

import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np

from pipeline.etl.generate.world import STYLE, PlantedWorld

WIDTH = 512
"""Of the vectors of CLIP ViT-B/32, which these stand in for."""

_COMMON, _OF_KIND, _OF_STYLE, _NOISE = 1.0, 0.6, 0.9, 0.7
_BLOCK = 8_192
_SHARE, _FEWEST, _MOST = 0.02, 16, 1_000
_SIDE, _QUALITY = 300, 85
_STREAM, _SAMPLE = 10, 11


def write_vectors(path: Path, world: PlantedWorld, seed: int, width: int) -> None:
    """Write (N, width) float16 unit vectors, zero where an item has no picture, by blocks."""
    rng = np.random.default_rng([seed, _STREAM])
    common = rng.standard_normal(width, np.float32) * _COMMON
    kinds = rng.standard_normal((len(world.kinds), width), np.float32) * _OF_KIND
    kinds += common
    seen = rng.standard_normal((STYLE, width), np.float32) * (_OF_STYLE / math.sqrt(STYLE))
    header = {"descr": "<f2", "fortran_order": False, "shape": (len(world.kind), width)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(world.kind), _BLOCK):
            rows = slice(start, start + _BLOCK)
            vectors = rng.standard_normal((len(world.kind[rows]), width), np.float32) * _NOISE
            vectors += kinds[world.kind[rows]]
            # No matrix product: its last bits follow the size of the block and the processor.
            for style, side in zip(world.style[rows].T, seen, strict=True):
                vectors += np.outer(style, side)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors[~world.pictured[rows]] = 0
            file.write(vectors.astype("<f2").tobytes())


def sample(world: PlantedWorld, seed: int) -> list[int]:
    """Return the rows of some items with a picture, which are drawn."""
    have = np.flatnonzero(world.pictured)
    count = int(np.clip(round(len(have) * _SHARE), _FEWEST, _MOST))
    rng = np.random.default_rng([seed, _SAMPLE])
    chosen: list[int] = np.sort(rng.choice(have, min(count, len(have)), replace=False)).tolist()
    return chosen


def write_pictures(folder: Path, world: PlantedWorld, keys: Mapping[int, str]) -> None:
    """Write ``<key>.jpg`` of each of these items; shape follows kind, and colour style."""
    folder.mkdir(exist_ok=True)
    for row, key in keys.items():
        (folder / f"{key}.jpg").write_bytes(_drawn(int(world.kind[row]), world.style[row], row))


def _drawn(kind: int, style: np.ndarray, row: int) -> bytes:
    """Return the JPEG of a thing on a pale ground, with the grain of a photograph."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng([kind, row])
    tones = (127 + 100 * np.tanh(style[:6] / 2)).astype(int).tolist()
    body, trim = (tones[0], tones[1], tones[2]), (tones[3], tones[4], tones[5])
    image = Image.new("RGB", (_SIDE, _SIDE), (236, 236, 232))
    draw = ImageDraw.Draw(image)
    shape = np.random.default_rng([kind])
    for part in range(int(shape.integers(3, 7))):
        middle, reach = shape.integers(90, 211, 2), shape.integers(25, 85, 2)
        middle = middle + rng.integers(-8, 9, 2)
        box = [*(middle - reach).tolist(), *(middle + reach).tolist()]
        outline = draw.ellipse if shape.random() < 0.5 else draw.rectangle
        outline(box, fill=trim if part % 2 else body, outline=(40, 40, 44), width=2)
    pixels = np.asarray(image, dtype=np.float32) + rng.normal(0, 6, (_SIDE, _SIDE, 1))
    kept = BytesIO()
    photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    photo.save(kept, "JPEG", quality=_QUALITY)
    return kept.getvalue()
