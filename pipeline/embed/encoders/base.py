"""What an encoder is, how one is described before it is loaded, and the two registries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pipeline.arrays import Floats, Rows
from pipeline.config import ImageConfig, TextConfig
from pipeline.errors import ConfigError
from pipeline.registry import Registry

if TYPE_CHECKING:
    from PIL.Image import Image

Precision = Literal["float32", "bfloat16"]


class TextEncoder(Protocol):
    """Turns texts into vectors. Both methods may be called from several threads at once."""

    @property
    def width(self) -> int:
        """Return D, the length of a vector."""

    def tokenize(self, texts: Sequence[str]) -> list[Rows]:
        """Return the token ids of each text, cut to the encoder's limit."""

    def encode(self, tokens: Sequence[Rows]) -> Floats:
        """Return a (B, D) float32 array, not normalised."""


class ImageEncoder(Protocol):
    """Turns pictures into vectors. Both methods may be called from several threads at once."""

    @property
    def width(self) -> int:
        """Return D, the length of a vector."""

    @property
    def side(self) -> int:
        """Return the pixels per side that the network sees: a JPEG is not decoded much larger."""

    def prepare(self, picture: "Image") -> Floats:
        """Return the network's input for one RGB picture; shape (C, side, side) as a rule."""

    def encode(self, prepared: Sequence[Floats]) -> Floats:
        """Return a (B, D) float32 array, not normalised."""


E = TypeVar("E", covariant=True)


@dataclass(frozen=True)
class Placement:
    """Where and how an encoder computes."""

    device: str = "cpu"
    precision: Precision = "float32"


@dataclass(frozen=True)
class Recipe(Generic[E]):
    """An encoder before it is loaded: what its vectors depend on, and how to load it."""

    name: str
    identity: Mapping[str, Any]
    """Name, revision or hash of the weights, settings: same identity, same vectors."""
    load: Callable[[Placement], E]
    neural: bool = True
    """Whether it runs on torch, and so has a device and a choice of precision."""


TEXT_ENCODERS: Registry[Callable[[TextConfig], Recipe[TextEncoder]]] = Registry("text encoder")
IMAGE_ENCODERS: Registry[Callable[[ImageConfig], Recipe[ImageEncoder]]] = Registry("image encoder")


def device_of(wanted: str) -> str:
    """Return the torch device for ``runtime.device``.

    Raises:
        ConfigError: a device was asked for that this machine does not have.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if has_cuda else "cpu"
    if wanted.startswith("cuda") and not has_cuda:
        raise ConfigError(
            f"runtime.device is {wanted!r}, but torch {torch.__version__} sees no CUDA device; "
            f"set it to auto or cpu"
        )
    return wanted
