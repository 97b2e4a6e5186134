"""Model folders: found on disk, in the hub's cache, or fetched once; and what they hash to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.hashing import fingerprint, sha256_file

REACH_SECONDS = 5.0
"""A hub that does not answer within this is taken as absent, rather than retried for minutes."""
_WEIGHTS = (".safetensors", ".bin")
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")
_UNWANTED = ("onnx/*", "openvino/*")


@dataclass(frozen=True)
class Wanted:
    """A model as the configuration names it."""

    setting: str
    """The configuration key, for messages: ``embed.text.model``."""
    model: str | None
    """Folder or hub name."""
    revision: str | None = None
    packaged: str = "minilm"
    """The encoder that works without a network, for messages."""


def locate(wanted: Wanted) -> Path:
    """Return the folder of a model, downloading it at most once.

    Raises:
        ConfigError: nothing is named, there is no such folder, or the hub cannot give it.
    """
    if wanted.model is None:
        raise ConfigError(
            f"{wanted.setting} must name a model for encoder 'huggingface': a folder, or a hub "
            f"name such as sentence-transformers/all-mpnet-base-v2"
        )
    folder = Path(wanted.model).expanduser()
    if folder.is_dir():
        return _checked(folder, wanted)
    if wanted.model.startswith((".", "/", "~")) or wanted.model.count("/") > 1:
        raise ConfigError(f"{wanted.setting}: there is no folder {folder}")
    return _cached(wanted) or _fetched(wanted)


def _checked(folder: Path, wanted: Wanted) -> Path:
    if (folder / "config.json").exists() and _has_weights(folder):
        return folder
    found = sorted(p.name for p in folder.iterdir())
    raise ConfigError(
        f"{wanted.setting}: {folder} is not a model folder: it must hold config.json and "
        f"model.safetensors; found {found[:12]}"
    )


def _has_weights(folder: Path) -> bool:
    return any(p.suffix in _WEIGHTS for p in folder.iterdir())


def _cached(wanted: Wanted) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    assert wanted.model is not None
    try:
        found = snapshot_download(wanted.model, revision=wanted.revision, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise ConfigError(
            f"{wanted.setting}: no such folder, and not a hub name: {error}"
        ) from None
    folder = Path(found)
    complete = (folder / "config.json").exists() and _has_weights(folder)
    return folder if complete else None


def _fetched(wanted: Wanted) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    assert wanted.model is not None
    require_hub(wanted)
    patterns: Sequence[str] = _WANTED
    try:
        for patterns in (_WANTED, (*_WANTED, "pytorch_model*.bin")):
            folder = Path(
                snapshot_download(
                    wanted.model,
                    revision=wanted.revision,
                    allow_patterns=list(patterns),
                    ignore_patterns=list(_UNWANTED),
                )
            )
            if _has_weights(folder):
                break
    except (HfHubHTTPError, OSError) as error:
        raise ConfigError(f"{wanted.setting}: cannot get {wanted.model!r}: {error}") from error
    return _checked(folder, wanted)


def require_hub(wanted: Wanted) -> None:
    """Check that the hub answers, once and quickly.

    Raises:
        ConfigError: it does not; the message says how to bring the model by hand.
    """
    import httpx
    from huggingface_hub import constants

    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    if not reason:
        try:
            httpx.head(constants.ENDPOINT, timeout=REACH_SECONDS)
        except httpx.HTTPError as error:
            reason = f"{constants.ENDPOINT} cannot be reached: {error}"
    if reason:
        raise ConfigError(
            f"{wanted.setting}: {wanted.model!r} is neither a folder nor in the local hub cache, "
            f"and {reason}. Download it where there is a network (hf download {wanted.model} "
            f"--local-dir FOLDER) and name the folder here, or use the packaged encoder "
            f"{wanted.packaged!r}"
        )


def content_hash(folder: Path) -> str:
    """Return a short hash of the files that decide what a model folder computes."""
    kept = (*_WEIGHTS, ".json", ".txt", ".model")
    files = sorted(p for p in folder.rglob("*") if p.suffix in kept and p.is_file())
    return fingerprint({p.relative_to(folder).as_posix(): sha256_file(p) for p in files})
