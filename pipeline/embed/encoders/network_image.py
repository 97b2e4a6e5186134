"""A vision network as an image encoder: the part that all torch image encoders share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.arrays import Floats
from pipeline.embed.encoders.base import Placement

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class NetworkImage:
    """A network's image features, with the preprocessing it was trained with.

    Shapes:
        forward: (B, C, side, side) to (B, width).
    """

    forward: Callable[[Tensor], Tensor]
    prepare: Callable[["Image"], Floats]
    side: int
    width: int
    placement: Placement

    def encode(self, prepared: Sequence[Floats]) -> Floats:
        """Return (B, D) features."""
        pixels = torch.from_numpy(np.stack(prepared)).to(
            device=self.placement.device,
            dtype=getattr(torch, self.placement.precision),
            memory_format=torch.channels_last,
        )
        with torch.inference_mode():
            features: Floats = self.forward(pixels).float().cpu().numpy()
        return features
