"""Picture encoding from JPEG files: our batches and workers beside open_clip's usual loop.

python -m benchmarks.embed_pictures [--pictures 128] [--threads 2] [--encoders open-clip,…]

Reading and decoding are part of it on both sides. CLIP is ViT-B/32 with drawn weights, which cost
what trained ones do; the peer opens, transforms and encodes 32 pictures at a time in float32 on all
threads.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.embed_throughput import PRECISIONS, rate, run_batches
from pipeline.arrays import Floats, Rows
from pipeline.config import ImageConfig
from pipeline.embed.batching import by_count
from pipeline.embed.encoders import IMAGE_ENCODERS, ImageEncoder, Placement
from pipeline.embed.modality import PICTURES_AT_ONCE
from pipeline.embed.pictures import decode
from pipeline.embed.torchvision_guard import guard

Record = dict[str, Any]
ARCHITECTURE, PEER_BATCH = "ViT-B-32", 32
_SIZE = (500, 375)


def write_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Return JPEG files of a shop's size: smooth areas with some grain, 50 to 60 KB each."""
    rng = np.random.default_rng(seed)
    paths = []
    for at in range(count):
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(_SIZE, Image.Resampling.BICUBIC))
        grain = rng.integers(-12, 13, smooth.shape)
        pixels = (smooth + grain).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{at}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=85)
    return paths


def ours(encoder: ImageEncoder, paths: list[Path], threads: int) -> None:
    """Read, decode and encode as the stage does: a batch a worker, one torch thread each."""

    def work(batch: Rows) -> Floats:
        """Return the vectors of a batch of files."""
        shown = [encoder.prepare(decode(paths[at], encoder.side)) for at in batch]
        return encoder.encode(shown)

    run_batches(work, by_count(len(paths), PICTURES_AT_ONCE), threads, 1)


def usual(model: Any, transform: Callable[[Any], Any], paths: list[Path], threads: int) -> None:  # noqa: ANN401
    """Read, transform and encode as open_clip's own example does."""
    import torch

    torch.set_num_threads(threads)
    with torch.inference_mode():
        for start in range(0, len(paths), PEER_BATCH):
            batch = paths[start : start + PEER_BATCH]
            shown = [transform(Image.open(path).convert("RGB")) for path in batch]
            model.encode_image(torch.stack(shown))


def clip_records(paths: list[Path], folder: Path, threads: int) -> Iterator[Record]:
    """Yield the rates of CLIP: open_clip's loop first."""
    guard()
    import open_clip
    import torch

    torch.manual_seed(0)
    model, _, transform = open_clip.create_model_and_transforms(ARCHITECTURE)
    weights = folder / "clip.pt"
    torch.save(model.state_dict(), weights)
    plain = partial(usual, model.eval(), transform, paths, threads)
    yield {"way": "open_clip, float32", "pictures_per_second": rate(plain, len(paths))}
    yield from our_records("open-clip", paths, threads, ARCHITECTURE, str(weights))


def our_records(
    name: str, paths: list[Path], threads: int, model: str | None = None, weights: str | None = None
) -> Iterator[Record]:
    """Yield our rates in both precisions, and how far their vectors agree."""
    recipe = IMAGE_ENCODERS[name](ImageConfig(encoder=name, model=model, pretrained=weights))
    vectors = {}
    for kind in PRECISIONS:
        encoder = recipe.load(Placement("cpu", kind))
        found = encoder.encode([encoder.prepare(decode(p, encoder.side)) for p in paths[:16]])
        vectors[kind] = found / np.linalg.norm(found, axis=1, keepdims=True)
        cosine = float((vectors["float32"] * vectors[kind]).sum(axis=1).min())
        way = {"way": f"{name}, {kind}", "least_cosine_with_float32": round(cosine, 5)}
        run = partial(ours, encoder, paths, threads)
        yield way | {"pictures_per_second": rate(run, len(paths))}


def main() -> None:
    """Print one JSON record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoders", default="open-clip,efficientnet-lite0")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        paths = write_pictures(Path(made), given.pictures)
        for name in given.encoders.split(","):
            clip = name == "open-clip"
            records = (
                clip_records(paths, Path(made), given.threads)
                if clip
                else our_records(name, paths, given.threads)
            )
            first = 0.0
            for record in records:
                first = first or record["pictures_per_second"]
                ratio = {"ratio_to_first": round(record["pictures_per_second"] / first, 2)}
                print(json.dumps(record | ratio), flush=True)


if __name__ == "__main__":
    main()
