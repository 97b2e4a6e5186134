"""CLIP, SigLIP and plain vision models through transformers; needs torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pipeline.arrays import Floats
from pipeline.embed.encoders.base import Placement
from pipeline.embed.encoders.network_image import NetworkImage
from pipeline.embed.torchvision_guard import guard
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image


def load_transformers_image(folder: Path, placement: Placement) -> NetworkImage:
    """Return the image features of a model folder; nothing is fetched.

    Raises:
        ConfigError: transformers cannot read the folder.
    """
    guard()
    from transformers import AutoImageProcessor, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = getattr(torch, placement.precision)
    try:
        processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, local_files_only=True, backend="pil"
        )
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=dtype)
    except Exception as error:  # transformers and safetensors raise kinds of their own
        raise ConfigError(f"transformers cannot load the image model {folder}: {error}") from error
    model = model.eval().to(placement.device)

    def prepare(picture: "Image") -> Floats:
        """Return the pixels that the model's own processor makes."""
        pixels: Floats = np.asarray(processor(images=picture)["pixel_values"][0], np.float32)
        return pixels

    side = _side(model)
    with torch.inference_mode():
        probe = torch.zeros(1, 3, side, side, device=placement.device, dtype=dtype)
        width = int(_features(model, probe).shape[1])
    return NetworkImage(lambda x: _features(model, x), prepare, side, width, placement)


def _features(model: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401 - transformers is untyped
    """Return what the model calls the features of an image.

    Shapes:
        pixels: (B, 3, side, side). returns: (B, D).
    """
    joint = hasattr(model, "get_image_features")
    out = model.get_image_features(pixel_values=pixels) if joint else model(pixel_values=pixels)
    pooled = getattr(out, "pooler_output", out)
    features: Tensor = out.last_hidden_state[:, 0] if pooled is None else pooled
    return features.flatten(1)


def _side(model: Any) -> int:  # noqa: ANN401 - transformers is untyped
    config = getattr(model.config, "vision_config", model.config)
    return int(np.max(config.image_size))
