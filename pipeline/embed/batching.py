"""Which inputs are encoded together: fixed by the inputs alone, so that a resumed run agrees."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from pipeline.arrays import Rows

H = TypeVar("H", bound=Hashable)

NONE = -1
"""The distinct input of an item that has none."""


@dataclass(frozen=True)
class Distinct(Generic[H]):
    """Inputs without repeats, and which of them each item has.

    Shapes:
        rows: (N,), a position in ``inputs`` or ``NONE``.
    """

    inputs: list[H]
    rows: Rows


def distinct(inputs: Sequence[H | None]) -> Distinct[H]:
    """Return the inputs without repeats, in order of first appearance."""
    places: dict[H, int] = {}
    rows = [NONE if one is None else places.setdefault(one, len(places)) for one in inputs]
    return Distinct([*places], np.array(rows, dtype=np.int64))


def by_length(lengths: Rows, budget: int) -> list[Rows]:
    """Return batches of inputs of like length, the longest first.

    A batch is padded to its longest, so it costs count x longest, which stays within ``budget``
    (an input longer than that stands alone).

    Shapes:
        lengths: (M,). returns: positions; together they are every position once.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[Rows] = []
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        stop = start + max(1, budget // longest)
        batches.append(order[start:stop])
        start = stop
    return batches


def by_count(count: int, size: int) -> list[Rows]:
    """Return consecutive batches of at most ``size`` positions."""
    return [np.arange(at, min(at + size, count)) for at in range(0, count, size)]
