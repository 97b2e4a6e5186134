"""open_clip: any architecture with a checkpoint file, a checkpoint tag, or a model folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.arrays import Floats
from pipeline.embed.encoders.base import ImageEncoder, Placement
from pipeline.embed.encoders.hub import Wanted, locate, require_hub
from pipeline.embed.torchvision_guard import guard
from pipeline.errors import ConfigError, MissingExtraError, suggest

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_ARCHITECTURE, DEFAULT_TAG = "ViT-B-32", "laion2b_s34b_b79k"
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Checkpoint:
    """An open_clip model on disk."""

    architecture: str
    path: Path
    """The weights file, or the folder of a hub model."""
    tag: str | None = None
    traits: Mapping[str, Any] = field(default_factory=dict)
    """What the tag's training fixed: normalisation, interpolation, quick_gelu."""


def find_checkpoint(model: str | None, pretrained: str | None) -> Checkpoint:
    """Return the checkpoint on disk, downloading it at most once.

    ``model`` is an architecture, ``hf-hub:ORG/NAME`` or ``local-dir:FOLDER``.

    Raises:
        ConfigError: unknown architecture or tag, or the weights cannot be had.
        MissingExtraError: open_clip is not installed.
    """
    name = model or DEFAULT_ARCHITECTURE
    schema, found, rest = name.partition(":")
    if found and schema in ("hf-hub", "local-dir"):
        return Checkpoint(name, _model_folder(schema, rest))
    library = _library()
    if name not in library.list_models():
        hint = suggest(name, library.list_models())
        raise ConfigError(
            f"embed.image.model {name!r} is not an open_clip architecture{hint}; "
            f"python -c 'import open_clip; print(open_clip.list_models())' lists them"
        )
    if pretrained and Path(pretrained).expanduser().is_file():
        return Checkpoint(name, Path(pretrained).expanduser())
    tag = pretrained or (DEFAULT_TAG if name == DEFAULT_ARCHITECTURE else None)
    return _tagged(library, name, tag)


def _model_folder(schema: str, rest: str) -> Path:
    folder = Path(rest).expanduser()
    if schema == "hf-hub":
        return locate(Wanted("embed.image.model", rest, None, "efficientnet-lite0"))
    if not (folder / "open_clip_config.json").exists():
        raise ConfigError(f"embed.image.model: {folder} holds no open_clip_config.json")
    return folder


def _tagged(library: ModuleType, name: str, tag: str | None) -> Checkpoint:
    tags = library.list_pretrained_tags_by_model(name)
    if tag not in tags:
        hint = suggest(tag, tags) if tag else ""
        raise ConfigError(
            f"embed.image.pretrained {tag!r} is neither a file nor a checkpoint tag of "
            f"{name}{hint}; tags: {tags}"
        )
    traits = library.get_pretrained_cfg(name, tag)
    path = _cached(traits)
    if path is None:
        repository = str(traits.get("hf_hub", "")).rpartition("/")[0] or tag
        require_hub(
            Wanted("embed.image.pretrained", repository, None, packaged="efficientnet-lite0")
        )
        try:
            path = Path(library.download_pretrained(traits))
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"embed.image.pretrained: cannot get {tag!r}: {error}") from error
    return Checkpoint(name, path, tag, traits)


def _cached(traits: Mapping[str, Any]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    repository, _, filename = str(traits.get("hf_hub", "")).rpartition("/")
    names = (
        [filename] if filename else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    )
    for name in names if repository else []:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _library() -> ModuleType:
    guard()
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtraError(
            f"encoder 'open-clip' needs open_clip, which does not import here: {error}. "
            f"Install it: pip install open-clip-torch"
        ) from error
    library: ModuleType = open_clip
    return library


def load_open_clip(checkpoint: Checkpoint, placement: Placement) -> ImageEncoder:
    """Return the image tower of a checkpoint.

    Raises:
        ConfigError: the weights are not of that architecture.
    """
    import torch

    from pipeline.embed.encoders.network_image import NetworkImage

    model, transform = _created(checkpoint)
    dtype = getattr(torch, placement.precision)
    tower = model.visual.eval().to(device=placement.device, dtype=dtype)
    side = int(np.max(model.visual.image_size))

    def prepare(picture: "Image") -> Floats:
        """Return the pixels that the model's own transform makes."""
        pixels: Floats = transform(picture).numpy()
        return pixels

    with torch.inference_mode():
        probe = torch.zeros(1, 3, side, side, device=placement.device, dtype=dtype)
        width = int(_features(tower, probe).shape[1])
    return NetworkImage(lambda x: _features(tower, x), prepare, side, width, placement)


def _created(checkpoint: Checkpoint) -> tuple[Any, Any]:
    library, traits = _library(), checkpoint.traits
    folder = checkpoint.path.is_dir()
    try:
        model = library.create_model(
            f"local-dir:{checkpoint.path}" if folder else checkpoint.architecture,
            pretrained=None if folder else str(checkpoint.path),
            force_quick_gelu=bool(traits.get("quick_gelu")),
            force_preprocess_cfg={k: traits[k] for k in _PREPROCESSING if k in traits},
            require_pretrained=True,
        )
    except Exception as error:  # open_clip, torch and safetensors each raise kinds of their own
        raise ConfigError(
            f"open_clip cannot load {checkpoint.path} as {checkpoint.architecture}: {error}"
        ) from error
    from open_clip.transform import PreprocessCfg, image_transform_v2

    settings = PreprocessCfg(**model.visual.preprocess_cfg)
    return model, image_transform_v2(settings, is_train=False)


def _features(tower: Any, pixels: Any) -> Any:  # noqa: ANN401 - open_clip is untyped
    out = tower(pixels)
    return out[0] if isinstance(out, tuple) else out
