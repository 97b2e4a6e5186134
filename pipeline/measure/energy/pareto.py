"""Accuracy against energy: which choices no other beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One model: how good it is, and what it took to make."""

    name: str
    joules: float
    accuracy: float


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats, the cheapest first.

    A point is beaten where another is at least as accurate for less, or more accurate for no more.
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.joules, -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best
