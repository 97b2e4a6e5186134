"""EfficientNet-Lite0 without its classifier, batch norms folded into the convolutions.

Tan and Le, EfficientNet (ICML 2019); the Lite variant drops squeeze-and-excitation and swish,
and keeps the stem and head unscaled. Weights and "same" padding follow the TensorFlow release.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.arrays import Floats
from pipeline.embed.encoders.base import Placement
from pipeline.embed.encoders.network_image import NetworkImage

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, WIDTH = 224, 1280
MEAN, SCALE = 127.0, 128.0
"""Pixels enter as (value - 127) / 128, as in the release."""
_NORM_EPSILON = 1e-3
_STAGES = (
    (1, 1, 1),
    (2, 2, 6),
    (2, 2, 6),
    (3, 2, 6),
    (3, 1, 6),
    (4, 2, 6),
    (1, 1, 6),
)
"""Blocks, stride of the first, expansion; kernels and widths are read off the weights."""

Weights = dict[str, Tensor]


def load_lite0(weights: Path, placement: Placement) -> NetworkImage:
    """Return the encoder of the packaged weights file."""
    network = Lite0(torch.load(weights, weights_only=True, map_location="cpu")).eval()
    network = network.to(placement.device, getattr(torch, placement.precision))
    return NetworkImage(network, prepare, SIDE, WIDTH, placement)


def prepare(picture: "Image") -> Floats:
    """Return the whole picture at 224 x 224: a poster's edges carry its title, so no crop.

    Shapes:
        returns: (3, 224, 224).
    """
    from PIL.Image import Resampling

    resized = picture.resize((SIDE, SIDE), Resampling.BICUBIC, reducing_gap=2.0)
    pixels = (np.asarray(resized, dtype=np.float32) - MEAN) / SCALE
    return pixels.transpose(2, 0, 1)


class Lite0(nn.Module):
    """The network from pixels to pooled features.

    Shapes:
        input: (B, 3, 224, 224). returns: (B, 1280).
    """

    def __init__(self, weights: Weights) -> None:
        """Build the layers from a state dict in the release's naming."""
        super().__init__()
        self.stem = SameConv(*_folded(weights, "_conv_stem", "_bn0"), stride=2)
        self.blocks = nn.Sequential(*_blocks(weights))
        self.head = SameConv(*_folded(weights, "_conv_head", "_bn1"))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return pooled features."""
        states = functional.relu6(self.stem(pixels), inplace=True)
        states = functional.relu6(self.head(self.blocks(states)), inplace=True)
        pooled: Tensor = states.mean(dim=(2, 3))
        return pooled


def _blocks(weights: Weights) -> Iterator["Block"]:
    number = 0
    for count, first_stride, expansion in _STAGES:
        for place in range(count):
            stride = first_stride if place == 0 else 1
            yield Block(weights, f"_blocks.{number}.", stride, expansion)
            number += 1


class Block(nn.Module):
    """Widen by a pointwise convolution, filter depthwise, narrow again.

    Shapes:
        input: (B, C, H, W). returns: (B, C', H / stride, W / stride).
    """

    def __init__(self, weights: Weights, prefix: str, stride: int, expansion: int) -> None:
        """Take the block's layers from the weights under ``prefix``."""
        super().__init__()
        expand = _folded(weights, f"{prefix}_expand_conv", f"{prefix}_bn0") if expansion > 1 else ()
        depthwise = _folded(weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
        project = _folded(weights, f"{prefix}_project_conv", f"{prefix}_bn2")
        self.expand = SameConv(*expand) if expand else None
        self.depthwise = SameConv(*depthwise, stride=stride, depthwise=True)
        self.project = SameConv(*project)
        enters = (expand or depthwise)[0].shape[1 if expand else 0]
        self.residual = stride == 1 and enters == project[0].shape[0]

    def forward(self, states: Tensor) -> Tensor:
        """Return the block's output, added to its input where shapes allow."""
        inner = states
        if self.expand is not None:
            inner = functional.relu6(self.expand(inner), inplace=True)
        inner = functional.relu6(self.depthwise(inner), inplace=True)
        inner = self.project(inner)
        out: Tensor = inner + states if self.residual else inner
        return out


class SameConv(nn.Module):
    """A convolution padded as TensorFlow pads an even input: the odd pixel goes to the far side.

    Shapes:
        input: (B, C, H, W), H and W even where stride is 2. returns: (B, C', H / stride, ...).
    """

    def __init__(
        self, kernel: Tensor, bias: Tensor, stride: int = 1, *, depthwise: bool = False
    ) -> None:
        """Hold a folded kernel and bias."""
        super().__init__()
        self.kernel, self.bias = nn.Parameter(kernel, False), nn.Parameter(bias, False)
        self._stride, self._groups = stride, len(kernel) if depthwise else 1
        total = kernel.shape[-1] - stride
        near = total // 2
        self._even = near == total - near
        self._near, self._far = near, total - near

    def forward(self, states: Tensor) -> Tensor:
        """Return the convolved states."""
        padding = self._near
        if not self._even:
            edges = (self._near, self._far, self._near, self._far)
            states, padding = functional.pad(states, edges), 0
        return functional.conv2d(
            states, self.kernel, self.bias, self._stride, padding, groups=self._groups
        )


def _folded(weights: Weights, conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of a convolution followed by its batch norm."""
    spread = (weights[f"{norm}.running_var"] + _NORM_EPSILON).sqrt()
    gain = weights[f"{norm}.weight"] / spread
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return weights[f"{conv}.weight"] * gain[:, None, None, None], bias
