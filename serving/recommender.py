"""Requests to ranked lists: pure decisions on a bundle, used by the service and the command line.

Where something is known of the user (see ``asker``), the model ranks; where nothing is, the list
is the popular one, and says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np

from pipeline.arrays import Rows
from pipeline.errors import DataError, suggest
from pipeline.ids import UNKNOWN
from pipeline.nearest import top_k_of_scores
from serving.asker import Asker, look_up
from serving.bundle import Bundle
from serving.catalogue import Item
from serving.messages import (
    BundleName,
    ItemSummary,
    Reason,
    Recommendation,
    Recommendations,
    RecommendRequest,
    SimilarItems,
)
from serving.ranking import Ranker
from serving.reasons import explain
from serving.retrieval import Ranked, Retriever, Wanted
from serving.wording import MODEL, TASTE, alike, connection, popularity

Picture = Callable[[Item], str | None]
"""Where an item's picture is shown from."""


class UnknownItemError(DataError):
    """The catalogue holds no item of that key."""


class UnknownRelationError(DataError):
    """The bundle has no such relation between items."""


def stored_picture(item: Item) -> str | None:
    """Return the picture as the catalogue names it."""
    return item.image


def new_id() -> str:
    """Return a fresh recommendation id."""
    return uuid4().hex


@dataclass(frozen=True)
class Recommender:
    """Answers requests from one bundle; holds no state of its own, so threads may share it."""

    bundle: Bundle
    picture: Picture = stored_picture
    new_id: Callable[[], str] = new_id
    _retriever: Retriever = field(init=False, repr=False)
    _ranker: Ranker | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Set up the search and the second stage."""
        bundle = self.bundle
        retriever = Retriever(bundle.index, bundle.item_vectors, bundle.depth)
        object.__setattr__(self, "_retriever", retriever)
        stage = self.bundle.second_stage
        object.__setattr__(self, "_ranker", Ranker(stage) if stage else None)

    @property
    def name(self) -> BundleName:
        """Return which bundle answers."""
        return BundleName(fingerprint=self.bundle.fingerprint, model=self.bundle.model)

    def recommend(self, request: RecommendRequest) -> Recommendations:
        """Return the ranked list for one request."""
        return self.recommend_many([request])[0]

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations]:
        """Return the list of each request; the index is searched once for all of them."""
        askers = [look_up(self.bundle, request) for request in requests]
        found = iter(self._ranked([asker for asker in askers if asker.vector is not None]))
        return [
            self._answer(asker, self._popular(asker) if asker.vector is None else next(found))
            for asker in askers
        ]

    def _ranked(self, askers: Sequence[Asker]) -> list[Ranked]:
        """Return the best items for askers with a vector: retrieved, then ranked where we can."""
        ranker = self._ranker
        wants = [
            Wanted(asker.vector, ranker.fetch(asker) if ranker else asker.wanted, asker.excluded)
            for asker in askers
            if asker.vector is not None
        ]
        retrieved = self._retriever.top(wants)
        return ranker.best(askers, retrieved) if ranker else retrieved

    def similar(self, key: str, k: int, by: str = MODEL) -> SimilarItems:
        """Return the items most like one item.

        ``model`` goes by the cosine of item vectors; a modality or ``bought_together`` by that
        graph's edges, which are a fixed number per item.

        Raises:
            UnknownItemError: the catalogue holds no such item.
            UnknownRelationError: the bundle has no such relation.
        """
        row = self.row(key)
        if by not in self.relations:
            known = self.relations
            raise UnknownRelationError(
                f"items cannot be compared by {by!r}{suggest(by, known)}; choose one of {known}"
            )
        rows, scores = self._cosine(row, k) if by == MODEL else self._edges(by, row, k)
        texts = {int(r): [alike(by)] for r in rows}
        short = None if len(rows) == k else f"{by} connects this item to {len(rows)} others"
        return SimilarItems(
            item=self.summaries(np.array([row]))[0],
            by=by,
            items=self._listed((rows, scores), texts, 0),
            shortfall_reason=short,
        )

    @property
    def relations(self) -> list[str]:
        """Return what ``similar`` can go by."""
        return [MODEL, *self.bundle.graphs]

    def row(self, key: str) -> int:
        """Return the row of an item.

        Raises:
            UnknownItemError: the catalogue holds no such item.
        """
        row = self.bundle.catalogue.ids.row(key)
        if row == UNKNOWN:
            raise UnknownItemError(f"the catalogue holds no item {key!r}")
        return row

    def summaries(self, rows: Rows) -> list[ItemSummary]:
        """Return items as lists show them."""
        items = self.bundle.catalogue.items(rows)
        return [
            ItemSummary(
                id=item.key,
                title=item.title,
                image=self.picture(item),
                price=item.price,
                tier=self.bundle.tier(row),
            )
            for item, row in zip(items, rows.tolist(), strict=True)
        ]

    def _popular(self, asker: Asker) -> Ranked:
        head = self.bundle.by_popularity[: asker.wanted + len(asker.excluded)]
        rows = head[~np.isin(head, asker.excluded)][: asker.wanted]
        return rows, self.bundle.takers[rows].astype(np.float32)

    def _answer(self, asker: Asker, ranked: Ranked) -> Recommendations:
        request = asker.request
        rows, scores = ranked[0][request.offset :], ranked[1][request.offset :]
        reasons = self._reasons(asker, rows) if request.explain else {}
        return Recommendations(
            recommendation_id=self.new_id(),
            bundle=self.name,
            user_tier=asker.tier,
            strategy=asker.strategy,
            items=self._listed((rows, scores), reasons, request.offset),
            shortfall_reason=self._shortfall(asker, len(rows)),
            unknown_items=asker.unknown,
        )

    def _shortfall(self, asker: Asker, shown: int) -> str | None:
        if shown == asker.request.k:
            return None
        popular = asker.strategy == "popular"
        pool = self.bundle.popular if popular else np.arange(len(self.bundle.catalogue))
        barred = int(np.isin(asker.excluded, pool).sum())
        what = "popular items" if popular else "items"
        return (
            f"{len(pool)} {what}, {barred} of them excluded: {len(pool) - barred} can be ranked, "
            f"and the page asks for {asker.request.offset + 1} to {asker.wanted}"
        )

    def _listed(
        self, ranked: Ranked, reasons: dict[int, list[Reason]], offset: int
    ) -> list[Recommendation]:
        rows, scores = ranked
        return [
            Recommendation(
                **dict(summary), rank=rank, score=float(score), reasons=reasons.get(row, [])
            )
            for rank, (summary, row, score) in enumerate(
                zip(self.summaries(rows), rows.tolist(), scores.tolist(), strict=True), offset + 1
            )
        ]

    def _reasons(self, asker: Asker, shown: Rows) -> dict[int, list[Reason]]:
        edges = explain(self.bundle.graphs, shown, asker.has)
        owned = np.unique([edge.item for found in edges.values() for edge in found]).astype(int)
        items = dict(zip(owned.tolist(), self.bundle.catalogue.items(owned), strict=True))
        return {
            row: [connection(edge, items[edge.item]) for edge in edges.get(row, [])]
            or [TASTE if asker.vector is not None else popularity(int(self.bundle.takers[row]))]
            for row in shown.tolist()
        }

    def _cosine(self, row: int, k: int) -> Ranked:
        """Return the k items whose vectors point most nearly where this one's does."""
        vectors, lengths = self.bundle.item_vectors, self.bundle.lengths
        if not lengths[row]:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        products = vectors @ (vectors[row] / lengths[row])
        nowhere = np.full_like(products, -np.inf)
        cosines = np.divide(products, lengths, out=nowhere, where=lengths > 0)
        cosines[row] = cosines[self.bundle.gone] = -np.inf
        rows, scores = top_k_of_scores(cosines[None], k)
        found = np.isfinite(scores[0])
        return rows[0][found], scores[0][found]

    def _edges(self, relation: str, row: int, k: int) -> Ranked:
        """Return the k heaviest edges of an item."""
        graph = self.bundle.graphs[relation]
        span = slice(*graph.indptr[row : row + 2])
        rows, weights = graph.indices[span], graph.data[span]
        order = np.lexsort((rows, -weights))
        order = order[~np.isin(rows[order], self.bundle.gone)][:k]
        return rows[order], weights[order]
