"""One promise about one file, and the few that many files make."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Rows
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError

_BLOCK = 65_536
_NAMED = 3


@dataclass(frozen=True)
class Check:
    """A rule about a file: whether it is kept, what was found, and what is wanted."""

    file: str
    rule: str
    kept: bool
    found: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        """Return the rule, with what was found and wanted where it is broken."""
        text = f"{self.file}: {self.rule}"
        if self.kept:
            return text
        wanted = f", wanted {self.wanted}" if self.wanted else ""
        return f"{text}: found {self.found}{wanted}"


def equal(file: str, rule: str, found: Any, wanted: Any) -> Check:  # noqa: ANN401 - any value
    """Return the check that two values are equal."""
    return Check(file, rule, bool(found == wanted), str(found), str(wanted))


def none(file: str, rule: str, wrong: Flags) -> Check:
    """Return the check that a fault occurs nowhere; it names the first rows where it does.

    Shapes:
        wrong: (N,).
    """
    rows = np.flatnonzero(wrong)
    first = ", ".join(str(row) for row in rows[:_NAMED])
    return Check(file, rule, not len(rows), f"{len(rows)} that do not, at {first}", "none")


def within(file: str, rule: str, rows: Rows, limit: int) -> Check:
    """Return the check that all rows are 0..limit-1."""
    low, high = (int(rows.min()), int(rows.max())) if rows.size else (0, -1)
    return Check(file, rule, low >= 0 and high < limit, f"{low} to {high}", f"0 to {limit - 1}")


def finite(file: str, array: np.ndarray) -> Check:
    """Return the check that every value is finite, reading the array in blocks.

    Shapes:
        array: (N, ...).
    """
    parts = [~np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in blocks(array)]
    wrong = np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
    return none(file, "every row is finite", wrong)


def blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield consecutive parts of a mapped array, so that memory does not hold all of it."""
    for start in range(0, len(array), _BLOCK):
        yield np.asarray(array[start : start + _BLOCK])


def binary(file: str, matrix: sp.csr_matrix) -> Check:
    """Return the check that every stored value is 1."""
    return none(file, "every stored value is 1", matrix.data != 1)


def input_of(artifact: Artifact, kind: str) -> Artifact | None:
    """Return an artifact this one was made from, if the store still holds it."""
    fingerprint = artifact.manifest["inputs"].get(kind)
    if fingerprint is None:
        return None
    try:
        return Store(artifact.path.parent.parent).find(kind, str(fingerprint))
    except ArtifactError:
        return None
