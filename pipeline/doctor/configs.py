"""Whether configuration files are valid, and what they read is there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.config import load_config
from pipeline.doctor.finding import FAIL, OK, SKIP, WARN, Finding
from pipeline.errors import ConfigError
from pipeline.sections import read_yaml

_OURS = ("data",)


def files(given: Sequence[Path], folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the given files, or with those in a folder and its ``configs``."""
    paths = [*given] or [
        path
        for place in (folder, folder / "configs")
        for path in sorted(place.glob("*.yaml"))
        if _is_of_a_run(path)
    ]
    if not paths:
        yield Finding("configs", SKIP, "no configuration here", "plotpointe init …")
        return
    valid = 0
    for path in paths:
        try:
            config = load_config(path)
        except ConfigError as error:
            yield Finding("configs", FAIL, str(error), f"$EDITOR {path}")
            continue
        valid += 1
        raw = config.data
        named = [raw.folder, raw.interactions, raw.items, raw.images, *raw.vectors.values()]
        missing = [str(each) for each in named if each is not None and not each.exists()]
        if missing and given:
            told = f"{path} reads {', '.join(missing)}, which is not there"
            yield Finding("configs", WARN, told, f"$EDITOR {path}")
    yield Finding("configs", OK, f"{valid} of {len(paths)} configurations are valid")


def _is_of_a_run(path: Path) -> bool:
    try:
        return all(name in read_yaml(path, _OURS) for name in _OURS)
    except ConfigError:
        # Named like one and unreadable: the user will want to know.
        return path.name == "plotpointe.yaml" or path.parent.name == "configs"
