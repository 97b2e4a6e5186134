"""All runs of a store: found by name, kept by conditions, put in order."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.artifacts import Store
from pipeline.errors import ArtifactError, ConfigError, suggest
from pipeline.evaluate.summary import nearest_k
from pipeline.measure.track import Record
from pipeline.measure.track.record import ABOUT
from pipeline.runs.recording import RUNS

RunRecord = dict[str, Any]
"""What ``run.json`` holds."""

LAST = "last"
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "~": lambda found, wanted: str(wanted).lower() in str(found).lower(),
}
_CONDITION = re.compile(
    r"^\s*(?P<path>[^\s=!<>~]+)\s*(?P<how>==|!=|>=|<=|=|>|<|~)\s*(?P<value>.+)$"
)
_AND = re.compile(r"\s+and\s+")


def all_runs(store: Store) -> list[RunRecord]:
    """Return every run of a store, oldest first; what is no readable record is left out."""
    found = []
    for path in sorted((store.root / RUNS).glob(f"*/{ABOUT}")):
        try:
            found.append(Record(path.parent).about())
        except (OSError, ValueError, KeyError):  # torn, or of another program
            continue
    return found


def find(store: Store, name: str) -> RunRecord:
    """Return a run by its id, by a prefix that only one has, or the newest as ``last``.

    Raises:
        ArtifactError: none or several match.
    """
    return Record(folder_of(store, name)).about()


def folder_of(store: Store, name: str) -> Path:
    """Return the folder of a run, named as for ``find``.

    Raises:
        ArtifactError: none or several match.
    """
    folders = sorted(path.parent for path in (store.root / RUNS).glob(f"*/{ABOUT}"))
    known = [folder.name for folder in folders]
    if name == LAST and folders:
        return folders[-1]
    matches = [f for f in folders if f.name == name] or [
        f for f in folders if f.name.startswith(name)
    ]
    if len(matches) != 1:
        hint = "" if matches else suggest(name, known)
        newest = f"; the newest are {known[-3:]}" if known else ". Make one: plotpointe run CONFIG"
        raise ArtifactError(f"{len(matches)} runs in {store.root} match {name!r}{hint}{newest}")
    return matches[0]


@dataclass(frozen=True)
class Condition:
    """A part of a run compared with a value: ``metrics.ndcg@20 > 0.05``."""

    path: str
    how: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> "list[Condition]":
        """Return the conditions of a text, which ``and`` separates.

        Raises:
            ConfigError: it is none.
        """
        return [cls._one(part) for part in _AND.split(text.strip())]

    @classmethod
    def _one(cls, text: str) -> "Condition":
        found = _CONDITION.match(text)
        if found is None:
            raise ConfigError(
                f"--where {text!r} must look like 'metrics.ndcg@20 > 0.05'; it compares by one of "
                f"{[*_COMPARE]}, and 'and' joins several"
            )
        return cls(found["path"], found["how"], yaml.safe_load(found["value"]))

    def holds(self, run: Mapping[str, Any]) -> bool:
        """Return whether a run has the part, and it compares as wanted."""
        found = look(run, self.path)
        if found is None and self.value is not None:
            return False
        try:
            return _COMPARE[self.how](found, self.value)
        except TypeError:  # a number against a word
            return False


def look(run: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - JSON is any value
    """Return the part of a run at a dotted path, or None.

    Names may have dots themselves. What is no part of the run is looked for among its metrics,
    then in its configuration: ``ndcg@20``, ``train.width``.
    """
    for place in (run, run.get("metrics", {}), run.get("config", {})):
        found, value = _look(place, path)
        if found:
            return value
    return None


def _look(values: Any, path: str) -> tuple[bool, Any]:  # noqa: ANN401 - JSON is any value
    if not isinstance(values, Mapping):
        return False, None
    if path in values:
        return True, values[path]
    parts = path.split(".")
    for at in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:at])
        if head in values:
            found, value = _look(values[head], ".".join(parts[at:]))
            if found:
                return True, value
    return False, None


def headline(run: RunRecord) -> dict[str, float]:
    """Return the metrics of a run as a whole, at the usual list length alone."""
    whole = {name: value for name, value in run["metrics"].items() if "/" not in name}
    at_k = [name for name in whole if "@" in name]
    usual = f"@{nearest_k(at_k)}" if at_k else "@"
    return {k: v for k, v in sorted(whole.items()) if "@" not in k or k.endswith(usual)}


def chosen(
    runs: Iterable[RunRecord], conditions: Sequence[Condition], sort: str | None = None
) -> list[RunRecord]:
    """Return the runs that keep every condition, by falling values of ``sort`` where one is given.

    Runs that lack what is sorted by come last; ``-path`` sorts by rising values.
    """
    kept = [run for run in runs if all(each.holds(run) for each in conditions)]
    if sort is None:
        return kept
    path = sort.removeprefix("-")
    having = [run for run in kept if look(run, path) is not None]
    having.sort(key=lambda run: _orderly(look(run, path)), reverse=not sort.startswith("-"))
    return having + [run for run in kept if look(run, path) is None]


def _orderly(value: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON is any value
    """Return a key under which numbers and words can be compared."""
    return (0, float(value)) if isinstance(value, int | float) else (1, str(value))
