"""Parts of answers as JSON: what is told of an item is the same in every list of a bundle."""

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import orjson

from pipeline.arrays import Floats, Rows
from pipeline.ids import UNKNOWN
from serving.reasons import Edge
from serving.summaries import ChangedSummaries, Summaries
from serving.wording import TASTE, connection

K = TypeVar("K", bound=Hashable)

_KEPT = 50_000
"""Parts of each kind that are remembered."""

NO_REASONS = b"[]"
_TASTE = b"[" + orjson.dumps(TASTE) + b"]"


@dataclass(frozen=True)
class Fragments:
    """Items and reasons as JSON, made once and kept while there is room."""

    summaries: Summaries
    others: "Fragments | None" = field(default=None, repr=False)
    """Of what did not change since."""
    changed: Collection[int] = ()
    _items: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)
    _owned: dict[tuple[str, int], bytes] = field(default_factory=dict, repr=False, compare=False)

    def over(self, summaries: Summaries) -> "Fragments":
        """Return the parts for summaries of which a few are others; the rest is shared."""
        if summaries is self.summaries:
            return self
        assert isinstance(summaries, ChangedSummaries)
        return Fragments(summaries, self, summaries.there)

    def items(
        self, rows: list[int], scores: Floats, reasons: list[bytes], offset: int
    ) -> list[bytes]:
        """Return each item of lists, best first, with its rank, score and reasons.

        Shapes:
            rows: B * k. scores: (B, k). reasons: B * k. returns: B * k.
        """
        k = scores.shape[1]
        ranks = [b"%d" % rank for rank in range(offset + 1, offset + k + 1)] * len(scores)
        return [
            b'%b%b,"score":%b,"reasons":%b}' % each
            for each in zip(
                self._known_items(rows), ranks, numbers(scores.ravel().tolist()), reasons,
                strict=True,
            )
        ]  # fmt: skip

    def reasons(self, relations: Sequence[str], owned: Rows, weights: Floats) -> list[bytes]:
        """Return the reasons of each shown item: an edge by relation, or the user's taste.

        Shapes:
            owned, weights: (G, S), rows -1 for none. returns: S.
        """
        pairs, places, kept = list[tuple[str, int]](), list[int](), list[float]()
        for relation, rows, strong in zip(relations, owned.tolist(), weights.tolist(), strict=True):
            for place, row in enumerate(rows):
                if row != UNKNOWN:
                    pairs.append((relation, row))
                    places.append(place)
                    kept.append(strong[place])
        found: list[list[bytes]] = [[] for _ in range(owned.shape[1])]
        heads = _kept(self._owned, pairs, self._of_owned)
        for place, head, weight in zip(places, heads, numbers(kept), strict=True):
            found[place].append(b"%b%b}" % (head, weight))
        return [b"[%b]" % b",".join(each) if each else _TASTE for each in found]

    def _of_items(self, rows: list[int]) -> list[bytes]:
        if self.others is not None:
            return _joined(rows, self.changed, self._new_items, self.others._known_items)
        return self._new_items(rows)

    def _known_items(self, rows: list[int]) -> list[bytes]:
        return _kept(self._items, rows, self._of_items)

    def _new_items(self, rows: list[int]) -> list[bytes]:
        found = self.summaries.of(np.array(rows, dtype=np.int64))
        return [orjson.dumps(each)[:-1] + b',"rank":' for each in found]

    def _of_owned(self, pairs: list[tuple[str, int]]) -> list[bytes]:
        names = self.summaries.names(np.array([row for _, row in pairs], dtype=np.int64))
        told = []
        for (relation, row), name in zip(pairs, names, strict=True):
            said = connection(Edge(relation, row, 0.0), *name)
            del said["weight"]
            told.append(orjson.dumps(said)[:-1] + b',"weight":')
        return told


def _joined(
    rows: list[int],
    changed: Collection[int],
    new: Callable[[list[int]], list[bytes]],
    known: Callable[[list[int]], list[bytes]],
) -> list[bytes]:
    """Return the parts of rows, of which some changed and the others are known."""
    made = iter(new([row for row in rows if row in changed]))
    kept = iter(known([row for row in rows if row not in changed]))
    return [next(made if row in changed else kept) for row in rows]


def numbers(values: list[float]) -> list[bytes]:
    """Return each number as JSON."""
    return orjson.dumps(values)[1:-1].split(b",") if values else []


def _kept(
    kept: dict[K, bytes], keys: list[K], made: Callable[[list[K]], list[bytes]]
) -> list[bytes]:
    """Return what is kept of each key, and keep what had to be made."""
    # Other threads may empty what is kept at any time; ``found`` is ours.
    found = {key: kept.get(key) for key in keys}
    lacking = [key for key, known in found.items() if known is None]
    if lacking:
        new = dict(zip(lacking, made(lacking), strict=True))
        if len(kept) > _KEPT:
            kept.clear()
        kept.update(new)
        found.update(new)
    return [each for key in keys if (each := found[key]) is not None]
