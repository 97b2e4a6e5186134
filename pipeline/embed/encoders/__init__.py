"""Encoders by name. Describing one is cheap; torch comes in when a recipe is loaded."""

from pipeline.embed.encoders import image, text  # noqa: F401 - importing registers
from pipeline.embed.encoders.base import (
    IMAGE_ENCODERS,
    TEXT_ENCODERS,
    ImageEncoder,
    Placement,
    Precision,
    Recipe,
    TextEncoder,
    device_of,
)

__all__ = [
    "IMAGE_ENCODERS",
    "TEXT_ENCODERS",
    "ImageEncoder",
    "Placement",
    "Precision",
    "Recipe",
    "TextEncoder",
    "device_of",
]
