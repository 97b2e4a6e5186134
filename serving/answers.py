"""What was found, as answers: pages, reasons, parts of scores, steps, and why a list is short."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.allowed import Ranked
from pipeline.arrays import Rows
from serving.asker import Asker
from serving.attention import Attention, Named
from serving.bundle import Bundle
from serving.contributions import Contributions, by_features, by_popularity, shares
from serving.ranking import Ranker
from serving.reasons import Edge, Lists, explain
from serving.summaries import Plain, Summaries
from serving.wording import TASTE, alike, connection, popularity

FULL = "full"
"""What ``explain`` says where parts and steps are wanted, too."""


@dataclass(frozen=True)
class Found:
    """What each step left for an asker."""

    asker: Asker
    retrieved: Ranked
    ranked: Ranked
    spread: Ranked | None = None
    """In the order that diversity and caps make; None where neither was asked for."""

    @property
    def whole(self) -> Ranked:
        """Return the list up to the end of the page."""
        rows, scores = self.ranked if self.spread is None else self.spread
        return rows[: self.asker.wanted], scores[: self.asker.wanted]

    @property
    def page(self) -> Ranked:
        """Return what is shown."""
        rows, scores = self.whole
        return rows[self.asker.request.offset :], scores[self.asker.request.offset :]


@dataclass(frozen=True)
class Answers:
    """Words what was found in one bundle."""

    bundle: Bundle
    summaries: Summaries
    name: Plain
    """Of the bundle."""
    new_id: Callable[[], str]
    ranker: Ranker | None
    attention: Attention

    def of(self, found: Sequence[Found]) -> list[Plain]:
        """Return each list as the fields of ``Recommendations``."""
        pages = [each.page for each in found]
        flat = self.summaries.of(_flat([rows for rows, _ in pages]))
        reasons = iter(self._reasons([each for each in found if each.asker.request.explain]))
        answers, at = [], 0
        for each, (rows, scores) in zip(found, pages, strict=True):
            request = each.asker.request
            mine = flat[at : at + len(rows)]
            at += len(rows)
            why = next(reasons) if request.explain else {}
            items = _listed(mine, (rows, scores), why, request.offset)
            full = request.explain == FULL
            if full:
                items = self._detailed(items, each)
            answers.append(self._answer(each, items, full))
        return answers

    def _detailed(self, items: list[Plain], found: Found) -> list[Plain]:
        """Return items with what adds up to their scores and what their content is made of."""
        parts, content = self._parts(found), self.attention.modalities(found.page[0])
        return [
            {**item, "parts": adding, "shares": shares(adding), "content": shown}
            for item, adding, shown in zip(items, parts, content, strict=True)
        ]

    def _answer(self, found: Found, items: list[Plain], full: bool) -> Plain:
        asker = found.asker
        answer = {
            "recommendation_id": self.new_id(),
            "bundle": self.name,
            "user_tier": asker.tier,
            "strategy": asker.strategy,
            "items": items,
            "shortfall_reason": self._shortfall(found, len(items)),
            "unknown_items": asker.unknown,
        }
        if asker.request.context is not None:
            answer["context"] = asker.request.context
        if full:
            answer["steps"] = self._steps(found)
        return answer

    def alike(self, by: str, ranked: Ranked, offset: int) -> list[Plain]:
        """Return items that are like one, as the fields of ``Recommendation``."""
        reasons = {row: [alike(by)] for row in ranked[0].tolist()}
        return _listed(self.summaries.of(ranked[0]), ranked, reasons, offset)

    def _reasons(self, found: Sequence[Found]) -> list[dict[int, list[Plain]]]:
        """Return the reasons of each list's items, by row."""
        shown = [each.page[0] for each in found]
        edges = explain(self.bundle.graphs, Lists(shown, [each.asker.liked for each in found]))
        owned = list({edge.item for one in edges for several in one.values() for edge in several})
        names = dict(zip(owned, self.summaries.names(np.array(owned, dtype=np.int64)), strict=True))
        weighed = self._attention(found, edges)
        return [
            {
                row: [
                    connection(edge, *names[edge.item]) | weighed.get((row, edge), {})
                    for edge in connected.get(row, ())
                ]
                or [self._alone(each.asker, row)]
                for row in rows.tolist()
            }
            for each, rows, connected in zip(found, shown, edges, strict=True)
        ]

    def _attention(
        self, found: Sequence[Found], edges: Sequence[Mapping[int, Sequence[Edge]]]
    ) -> dict[Named, Plain]:
        """Return attention of the edges of those lists that are to be explained in full."""
        return self.attention.of_edges(
            [
                (row, edge)
                for each, by_row in zip(found, edges, strict=True)
                if each.asker.request.explain == FULL
                for row, several in by_row.items()
                for edge in several
            ]
        )

    def _alone(self, asker: Asker, row: int) -> Plain:
        if asker.vector is not None:
            return TASTE
        return popularity(int(self.bundle.takers[row]))

    def _parts(self, found: Found) -> list[list[Plain]]:
        """Return what adds up to the score of each shown item."""
        asker, (rows, scores) = found.asker, found.page
        if asker.vector is None:
            return [by_popularity(score) for score in scores.tolist()]
        if self.ranker is None:
            return Contributions(self.bundle, self.summaries).by_vectors(asker, rows)
        if not len(rows):
            return []
        names, added, rest = self.ranker.parts(asker, found.retrieved, rows)
        return [by_features(names, *each) for each in zip(added, rest.tolist(), strict=True)]

    def _steps(self, found: Found) -> Plain:
        asker = found.asker
        items = len(self.bundle.catalogue)
        left = asker.selection
        by_stage = self.ranker is not None and asker.vector is not None
        return {
            "items": items,
            "allowed": items if left is None else len(left.rows),
            "excluded": self._barred(asker),
            "retrieved": len(found.retrieved[0]),
            "ranked": len(found.ranked[0]) if by_stage else 0,
            "diversified": len(found.whole[0]),
            "shown": len(found.page[0]),
        }

    def _barred(self, asker: Asker) -> int:
        """Return how many of the items that the filter leaves are excluded."""
        left = asker.selection
        if left is None:
            return len(asker.excluded)
        return int(left.flags[asker.excluded].sum())

    def _shortfall(self, found: Found, shown: int) -> str | None:
        asker = found.asker
        request = asker.request
        if shown == request.k:
            return None
        page = f"the page asks for {request.offset + 1} to {asker.wanted}"
        pool, what = self._pool(asker)
        barred = int(np.isin(asker.excluded, pool).sum())
        told = f"{len(pool)} {what}, {barred} of them excluded: {len(pool) - barred} can be ranked"
        left = asker.selection
        if left is not None and left.steps:
            told = f"the filter leaves {told} ({left.words()})"
        if request.max_per is not None and found.spread is not None:
            cap = request.max_per
            told += (
                f", and max_per ({cap.count} of each {cap.field}) leaves {len(found.spread[0])} "
                f"of the best {len(found.ranked[0])}"
            )
        return f"{told}, and {page}"

    def _pool(self, asker: Asker) -> tuple[Rows, str]:
        """Return the rows that could have been shown, and what they are."""
        left = asker.selection
        if asker.vector is None:
            popular = self.bundle.by_popularity if left is None else left.popular
            return popular, "popular items"
        return (np.arange(len(self.bundle.catalogue)) if left is None else left.rows), "items"


def _flat(lists: Sequence[Rows]) -> Rows:
    return np.concatenate([np.empty(0, dtype=np.int64), *lists])


def _listed(
    summaries: Sequence[Plain], ranked: Ranked, reasons: dict[int, list[Plain]], offset: int
) -> list[Plain]:
    return [
        {**summary, "rank": rank, "score": score, "reasons": reasons.get(row, [])}
        for rank, (summary, row, score) in enumerate(
            zip(summaries, ranked[0].tolist(), ranked[1].tolist(), strict=True), offset + 1
        )
    ]
