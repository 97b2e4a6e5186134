"""Lists of known users that need no search: the bundle holds them, and what an answer is made of.

Nothing that such a list shows changes within a bundle, so its answer is joined from JSON that was
made once (``fragments``), and differs in no byte from the one that a search would have given. A
request that asks for anything else, or for more than the list holds, is left to the search.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import orjson
import scipy.sparse as sp

from pipeline.allowed import Ranked, dots
from pipeline.arrays import Floats, Rows
from pipeline.edges import Edges
from pipeline.ids import UNKNOWN
from serving.asker import Asker
from serving.bundle import Bundle
from serving.fragments import NO_REASONS, Fragments
from serving.reasons import Lists, strongest
from serving.requests import RecommendRequest
from serving.summaries import Plain

_SLACK = 1e-5
"""Relative error allowed between two ways of summing a score."""


def listed(bundle: Bundle, asker: Asker, count: int) -> Ranked | None:
    """Return what a search for an asker's best would find; None where the list does not tell."""
    if bundle.known is None or asker.row == UNKNOWN or asker.strategy != "model":
        return None
    if asker.selection is not None or not asker.request.exclude_seen or asker.vector is None:
        return None
    rows = bundle.known[asker.row]
    if len(asker.excluded) > len(asker.has):
        rows = rows[~np.isin(rows, asker.excluded)]
    rows = rows[:count].astype(np.int64)
    if len(rows) < count or not count or rows[-1] == UNKNOWN:
        return None
    scores = dots(bundle.item_vectors[rows], asker.vector)
    reached = _reached_since(bundle, asker.vector[None], scores[-1:])
    return None if reached[0] else (rows, scores)


def _reached_since(bundle: Bundle, vectors: Floats, last: Floats) -> list[bool]:
    """Return whether an item that was added since might stand before the last of each list.

    Shapes:
        vectors: (B, D). last: (B,) scores.
    """
    added = bundle.added_vectors
    if not len(added):
        return [False] * len(last)
    # A little less will do: sums of other orders differ in their last bits.
    best = (vectors @ added.T).max(axis=1)
    reached: list[bool] = (best >= last - _SLACK * np.maximum(1.0, abs(last))).tolist()
    return reached


def is_plain(request: RecommendRequest) -> bool:
    """Return whether a request says nothing but whose list it wants, and which page of it."""
    if request.user is None or request.explain == "full" or not request.exclude_seen:
        return False
    asked = request.history or request.positives or request.negatives or request.exclude_ids
    if asked or request.diversity or request.max_per is not None:
        return False
    return request.filter is None and request.context is None


@dataclass(frozen=True)
class AtHand:
    """Answers of one bundle that are joined from what is at hand."""

    bundle: Bundle
    fragments: Fragments
    name: Plain
    """Of the bundle."""
    new_id: Callable[[], str]
    edges: Edges | None
    """That reasons are told from: of what the bundle was made with."""
    _head: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make what stands before every list."""
        said = {"bundle": self.name, "user_tier": "hot", "strategy": "model"}
        object.__setattr__(self, "_head", b'",' + orjson.dumps(said)[1:-1] + b',"items":[')

    def answers(self, requests: Sequence[RecommendRequest]) -> list[bytes | None]:
        """Return each answer as it is sent; None where it has to be searched for."""
        found: list[bytes | None] = [None] * len(requests)
        asked = [place for place, request in enumerate(requests) if is_plain(request)]
        if self.bundle.known is None or not asked:
            return found
        users = self._users([requests[place].user or "" for place in asked])

        def page(pair: tuple[int, int]) -> tuple[int, int, bool]:
            """Return which page a request asks for, and whether with reasons."""
            request = requests[pair[0]]
            return request.offset, request.k, bool(request.explain)

        is_active = self.bundle.is_active
        there = [
            (place, user)
            for place, user in zip(asked, users, strict=True)
            if user != UNKNOWN and not is_active(requests[place].user)
        ]
        for (offset, k, explain), group in groupby(sorted(there, key=page), key=page):
            pairs = self._reached([*group], offset + k)
            if pairs:
                answers = self._pages([user for _, user in pairs], offset, k, explain)
                for (place, _), answer in zip(pairs, answers, strict=True):
                    found[place] = answer
        return found

    def _users(self, keys: list[str]) -> list[int]:
        ids = self.bundle.users
        return [ids.row(keys[0])] if len(keys) == 1 else ids.rows(keys).tolist()

    def _reached(self, pairs: list[tuple[int, int]], wanted: int) -> list[tuple[int, int]]:
        """Return the places and users whose list reaches so far with nothing in it gone."""
        known, gone = self.bundle.known, self.bundle.gone
        assert known is not None
        if wanted > known.shape[1]:
            return []
        pairs = [pair for pair in pairs if known[pair[1], wanted - 1] != UNKNOWN]
        if len(gone) and pairs:
            listed = known[[user for _, user in pairs], :wanted]
            lost = {place for place, row in enumerate(np.isin(listed, gone)) if row.any()}
            pairs = [pair for place, pair in enumerate(pairs) if place not in lost]
        return pairs

    def _pages(
        self, users: list[int], offset: int, k: int, explain: bool
    ) -> Iterator[bytes | None]:
        """Yield the answer of each user; None where an item that was added since may be in it."""
        bundle = self.bundle
        assert bundle.known is not None
        rows = bundle.known[users, offset : offset + k].astype(np.int64)
        vectors = bundle.user_vectors[users]
        scores = np.einsum("bfd,bd->bf", bundle.item_vectors[rows], vectors)
        reached = _reached_since(bundle, vectors, scores[:, -1])
        reasons = self._reasons(users, rows) if explain else [NO_REASONS] * rows.size
        items = self.fragments.items(rows.ravel().tolist(), scores, reasons, offset)
        for b, others in enumerate(reached):
            yield None if others else self._answer(items[b * k : b * k + k])

    def _answer(self, items: list[bytes]) -> bytes:
        return b"".join(
            (
                b'{"recommendation_id":"', self.new_id().encode(), self._head, b",".join(items),
                b'],"shortfall_reason":null,"unknown_items":[]}',
            )
        )  # fmt: skip

    def _reasons(self, users: list[int], rows: Rows) -> list[bytes]:
        """Return the reasons of each shown item, list after list.

        Shapes:
            rows: (B, k). returns: B * k.
        """
        has, relations = [self.bundle.seen_by(user) for user in users], self.bundle.graphs
        owned, weights = heaviest(relations, self.edges, rows, has)
        return self.fragments.reasons([*relations], owned, weights)


def heaviest(
    graphs: Mapping[str, sp.csr_matrix], edges: Edges | None, shown: Rows, has: Sequence[Rows]
) -> tuple[Rows, Floats]:
    """Return what each user has that leads to each shown item, by relation.

    Shapes:
        shown: (B, k). has: B lists of sorted rows. returns: rows (G, B * k), -1 for none, weights.
    """
    if edges is not None:
        return edges.heaviest([*shown], has)
    owned = np.full((len(graphs), shown.size), UNKNOWN, dtype=np.int64)
    weights = np.zeros(owned.shape, dtype=np.float32)
    for g, graph in enumerate(graphs.values()):
        for b, strong in enumerate(strongest(graph, Lists([*shown], has))):
            for place, row in enumerate(shown[b].tolist(), b * shown.shape[1]):
                owned[g, place], weights[g, place] = strong.get(row, (UNKNOWN, 0.0))
    return owned, weights
