"""Requests to ranked lists: pure decisions on a bundle, used by the service and the command line.

Each request is looked up (``asker``), its best items are retrieved among those that its filter
leaves (``filters``, ``retrieval``), ranked by the second stage where there is one (``ranking``),
spread out if it asks for that (``diversity``), and explained (``answers``). Where something is
known of the user the model ranks; where nothing is, the list is the popular one, and says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import numpy as np

from pipeline.allowed import Ranked
from pipeline.arrays import Rows
from pipeline.edges import Edges
from pipeline.errors import DataError, suggest
from pipeline.ids import UNKNOWN
from serving import similar
from serving.answers import Answers, Found
from serving.asker import Asker, look_up_many
from serving.attention import Attention
from serving.bundle import Bundle
from serving.columns import Columns
from serving.diversity import POOL, Diversity, spread
from serving.filters import Filters, Selection
from serving.fragments import Fragments
from serving.grammar import Filter
from serving.known import AtHand, listed
from serving.messages import BundleName, ItemSummary, Recommendations, SimilarItems
from serving.ranking import Ranker
from serving.requests import RankRequest, RecommendRequest
from serving.retrieval import Retriever, Wanted
from serving.summaries import ChangedSummaries, Picture, Plain, Summaries, stored_picture
from serving.wording import MODEL

_FURTHEST = 20_000
"""How far caps look for items that still have room."""


class UnknownItemError(DataError):
    """The catalogue holds no item of that key."""


class UnknownRelationError(DataError):
    """The bundle has no such relation between items."""


def new_id() -> str:
    """Return a fresh recommendation id."""
    return uuid4().hex


@dataclass(frozen=True)
class Recommender:
    """Answers requests from one bundle; what it remembers follows from the bundle alone."""

    bundle: Bundle
    picture: Picture = stored_picture
    new_id: Callable[[], str] = new_id
    under: "Recommender | None" = field(default=None, repr=False)
    """Of the bundle without the changes that this one's has: what did not change is shared."""
    filters: Filters = field(init=False, repr=False)
    answers: Answers = field(init=False, repr=False)
    _retriever: Retriever = field(init=False, repr=False)
    _ranker: Ranker | None = field(init=False, repr=False)
    _diversity: Diversity = field(init=False, repr=False)
    _at_hand: AtHand | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Set up the steps."""
        bundle = self.bundle
        columns = Columns(bundle.catalogue.column, bundle.catalogue.columns)
        ranker = Ranker(bundle.second_stage) if bundle.second_stage else None
        summaries = self._summaries()
        attention = self.under.answers.attention if self.under else Attention(bundle)
        called = self.name.model_dump()
        made = {
            "filters": Filters(columns, len(bundle.catalogue), lambda: bundle.by_popularity),
            "answers": Answers(bundle, summaries, called, self.new_id, ranker, attention),
            "_retriever": Retriever(bundle.index, bundle.item_vectors, bundle.depth),
            "_ranker": ranker,
            "_diversity": Diversity(bundle.item_vectors, columns),
            "_at_hand": None if ranker else self._ready(summaries),
        }
        under = self.under
        if under is not None and bundle.catalogue is under.bundle.catalogue:
            made |= {"filters": under.filters, "_diversity": under._diversity}
        if under is not None and bundle.index is under.bundle.index:
            made["_retriever"] = under._retriever
        for name, step in made.items():
            object.__setattr__(self, name, step)

    def _ready(self, summaries: Summaries) -> AtHand | None:
        """Return what answers known users without a search, None where nothing does."""
        bundle, others = self.bundle, self.under._at_hand if self.under else None
        if bundle.known is None:
            return None
        if others is None:
            edges, name = Edges.of([*bundle.graphs.values()]), self.name.model_dump()
            return AtHand(bundle, Fragments(summaries), name, self.new_id, edges)
        return replace(others, bundle=bundle, fragments=others.fragments.over(summaries))

    def _summaries(self) -> Summaries:
        bundle, under = self.bundle, self.under
        if under is not None and bundle.catalogue is under.bundle.catalogue:
            return under.answers.summaries
        if under is None:
            return Summaries(bundle.catalogue.table, bundle.tiers, self.picture)
        rows, changed = bundle.catalogue.changes()
        tiers = [bundle.tier(row) for row in rows.tolist()]
        there = dict(zip(rows.tolist(), range(len(rows)), strict=True))
        return ChangedSummaries.over(
            under.answers.summaries, Summaries(changed, tiers, self.picture), there
        )

    @property
    def name(self) -> BundleName:
        """Return which bundle answers."""
        return BundleName(fingerprint=self.bundle.fingerprint, model=self.bundle.model)

    def warm(self) -> None:
        """Make what the first request of each kind would otherwise wait for."""
        self._retriever.prepare()
        users = [str(key) for key in self.bundle.users.keys[:1]]
        self.plain([RecommendRequest(), *(RecommendRequest(user=user) for user in users)])

    def recommend(self, request: RecommendRequest) -> Recommendations:
        """Return the ranked list for one request."""
        return self.recommend_many([request])[0]

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations]:
        """Return the list of each request; the index is searched once for all of them."""
        return [Recommendations.model_validate(each) for each in self.plain(requests)]

    def plain(self, requests: Sequence[RecommendRequest]) -> list[Plain]:
        """Return what ``recommend_many`` does as plain dictionaries, which cost far less to make.

        Raises:
            DataError: a request asks for a column or vector of a kind that there is not.
        """
        selections = [self.filters.selection(request.filter) for request in requests]
        return self._answered(look_up_many(self.bundle, requests, selections))

    def at_hand(self, requests: Sequence[RecommendRequest]) -> list[bytes | None]:
        """Return the answers, as JSON, that need no search; None for each of the others."""
        return self._at_hand.answers(requests) if self._at_hand else [None] * len(requests)

    def rank(self, request: RankRequest) -> Plain:
        """Return the given items in order for a user; all of them, but for unknown ones.

        Raises:
            DataError: an example is not of the bundle's width.
        """
        keys = list(dict.fromkeys(request.items))
        rows = self.bundle.catalogue.ids.rows(keys)
        known = rows[rows != UNKNOWN]
        fields = {name: getattr(request, name) for name in RankRequest.model_fields}
        fields.pop("items")
        asked = RecommendRequest.model_construct(
            **fields, exclude_ids=[], exclude_seen=False, k=len(known), offset=0
        )
        only = [self.filters.of_rows(known)]
        asker = look_up_many(self.bundle, [asked], only, hiding=False)[0]
        lost = [key for key, row in zip(keys, rows.tolist(), strict=True) if row == UNKNOWN]
        unknown = list(dict.fromkeys([*asker.unknown, *lost]))
        return self._answered([replace(asker, unknown=unknown)])[0]

    def _answered(self, askers: Sequence[Asker]) -> list[Plain]:
        deep = [replace(a, reach=POOL) if spread(a.request) else a for a in askers]
        return self.answers.of([self._spread(found) for found in self._found(deep)])

    def _found(self, askers: Sequence[Asker]) -> list[Found]:
        """Return what is found for each: by the model where it knows something, or popular."""
        known = [asker for asker in askers if asker.vector is not None]
        retrieved = self._retrieved(known)
        ranked = self._ranker.best(known, retrieved) if self._ranker else retrieved
        by_model = iter([Found(*each) for each in zip(known, retrieved, ranked, strict=True)])
        return [
            self._popular(asker) if asker.vector is None else next(by_model) for asker in askers
        ]

    def _retrieved(self, askers: Sequence[Asker]) -> list[Ranked]:
        """Return what the vectors find for each: listed beforehand, or by a search."""
        wants = [self._wanted(asker) for asker in askers]
        ready = [
            listed(self.bundle, *each)
            for each in zip(askers, (want.count for want in wants), strict=True)
        ]
        lacking = [want for want, done in zip(wants, ready, strict=True) if done is None]
        searched = iter(self._searched(lacking) if lacking else ())
        return [next(searched) if done is None else done for done in ready]

    def _searched(self, wanted: Sequence[Wanted]) -> list[Ranked]:
        """Return what is found for each, so many that added items take no candidate's place."""
        found = self._retriever.top(wanted)
        if self._ranker is None:
            return found
        for at, asked in enumerate(wanted):
            while len(found[at][0]) == asked.count and (few := self._ranker.lacks(found[at][0])):
                asked = replace(asked, count=asked.count + few)
                found[at] = self._retriever.top([asked])[0]
        return found

    def _wanted(self, asker: Asker) -> Wanted:
        assert asker.vector is not None
        count = self._ranker.fetch(asker) if self._ranker else asker.depth
        return Wanted(asker.vector, count, asker.excluded, asker.selection)

    def _popular(self, asker: Asker) -> Found:
        left = asker.selection
        pool = self.bundle.by_popularity if left is None else left.popular
        head = pool[: asker.depth + len(asker.excluded)]
        rows = head[~np.isin(head, asker.excluded)][: asker.depth]
        ranked = rows, self.bundle.takers[rows].astype(np.float32)
        return Found(asker, ranked, ranked)

    def _spread(self, found: Found) -> Found:
        """Return a list spread out; caps that leave too few look further down."""
        asker, there = found.asker, len(found.ranked[0])
        if not spread(asker.request):
            return found
        shown = self._diversity.spread(asker.request, found.ranked)
        if len(shown[0]) < asker.wanted and asker.depth <= there < _FURTHEST:
            deeper = replace(asker, reach=min(_FURTHEST, 4 * asker.depth))
            return self._spread(self._found([deeper])[0])
        return replace(found, spread=shown)

    def similar(
        self, key: str, k: int, by: str = MODEL, offset: int = 0, chosen: Filter | None = None
    ) -> SimilarItems:
        """Return the items most like one item.

        ``model`` goes by the cosine of item vectors; a modality or ``bought_together`` by that
        graph's edges, which are a fixed number per item.

        Raises:
            UnknownItemError: the catalogue holds no such item.
            UnknownRelationError: the bundle has no such relation.
        """
        row, page = self.row(key), slice(offset, offset + k)
        if by not in self.relations:
            known = self.relations
            raise UnknownRelationError(
                f"items cannot be compared by {by!r}{suggest(by, known)}; choose one of {known}"
            )
        left = self.filters.selection(chosen)
        rows, scores = self._alike(by, row, page.stop, left)
        there, what = len(rows), " that the filter leaves" if left else ""
        short = f"{by} connects this item to {there} others{what}"
        answer = {
            "item": self.answers.summaries.of(np.array([row]))[0],
            "by": by,
            "items": self.answers.alike(by, (rows[page], scores[page]), offset),
            "shortfall_reason": None if len(rows[page]) == k else short,
        }
        return SimilarItems.model_validate(answer)

    def _alike(self, by: str, row: int, count: int, left: Selection | None) -> Ranked:
        if by == MODEL:
            return similar.nearest(self.bundle, row, count, left)
        return similar.edges(self.bundle, by, row, left)

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
        return [ItemSummary.model_validate(each) for each in self.answers.summaries.of(rows)]
