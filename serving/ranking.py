"""The second stage at work: what was retrieved, and what the second model adds, put in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.allowed import Ranked
from pipeline.arrays import Flags, Floats, Rows
from pipeline.ranking import SecondStage
from pipeline.ranking.candidates import with_second
from pipeline.ranking.evidence import Taste
from pipeline.ranking.features import VECTORS
from pipeline.ranking.scorer import BELOW
from serving.asker import Asker

Parts = tuple[list[str], Floats, Floats]
"""Names of F features, what each adds to the score of each item (k, F), and the rest (k,)."""


@dataclass(frozen=True)
class Ranker:
    """Ranks the candidates of askers that have a vector, all at once.

    Candidates do not depend on the page that is asked for, so that pages of one list never
    overlap; what the vectors find beyond them follows in the vectors' order.
    """

    stage: SecondStage

    def fetch(self, asker: Asker) -> int:
        """Return how many items are to be retrieved for an asker."""
        return max(asker.depth, self.stage.count)

    def lacks(self, rows: Rows) -> int:
        """Return how many candidates are missing among what was found.

        Scores depend on which items are ranked together: what was added must not displace one.
        """
        return max(0, self.stage.count - int((rows < self.stage.evidence.items).sum()))

    def best(self, askers: Sequence[Asker], retrieved: Sequence[Ranked]) -> list[Ranked]:
        """Return each asker's best items; equal scores in order of row.

        Shapes:
            retrieved: what the vectors found for each asker, exclusions left out.
        """
        if not askers:
            return []
        known = self.stage.evidence.items
        found = [rows[rows < known] for rows, _ in retrieved]
        taste = self._taste(askers)
        candidates = self._candidates(askers, taste, found)
        scores = self.stage.scores(taste, candidates)
        ranked = [_in_order(*each) for each in zip(candidates, scores, strict=True)]
        whole = [self._filled(*each) for each in zip(askers, ranked, found, strict=True)]
        return [
            with_newcomers(list_, rows, known, asker.depth)
            for asker, list_, (rows, _) in zip(askers, whole, retrieved, strict=True)
        ]

    def parts(self, asker: Asker, retrieved: Ranked, shown: Rows) -> Parts:
        """Return what adds up to the score of each shown item.

        Of an item that was added since, nothing but the score of its place is known.

        Shapes:
            retrieved: as in ``best``. shown: (k,).
        """
        old = shown < self.stage.evidence.items
        if not old.all():
            names, some, left = self.parts(asker, retrieved, shown[old])
            whole: Floats = np.zeros((len(shown), len(names)))
            placed = self._placed(asker, retrieved, shown)
            whole[old], placed[old] = some, left
            return names, whole, placed
        taste = self._taste([asker])
        first = retrieved[0][retrieved[0] < self.stage.evidence.items]
        candidates = self._candidates([asker], taste, [first])
        names, added, rest = self.stage.parts(taste, candidates)
        at = np.searchsorted(candidates[0], shown).clip(max=candidates.shape[1] - 1)
        ranked = candidates[0][at] == shown
        added, rest = np.where(ranked[:, None], added[0][at], 0), np.where(ranked, rest[0][at], 0)
        if not ranked.all():
            assert asker.vector is not None
            scores = self.stage.evidence.space.scores(asker.vector[None], shown[None])[0]
            added[:, names.index(VECTORS)] += np.where(ranked, 0, scores)
            rest = np.where(ranked, rest, -BELOW)
        return names, added, rest

    def _placed(self, asker: Asker, retrieved: Ranked, shown: Rows) -> Floats:
        """Return the score that each shown item has in the list, (k,)."""
        rows, scores = self.best([asker], [retrieved])[0]
        order = np.argsort(rows)
        at = np.searchsorted(rows[order], shown).clip(max=len(rows) - 1)
        placed: Floats = scores[order][at].astype(np.float64)
        return placed

    def _candidates(self, askers: Sequence[Asker], taste: Taste, found: Sequence[Rows]) -> Rows:
        def allows(b: int, rows: Rows) -> Flags:
            """Return which rows the filter leaves and nothing excludes."""
            free: Flags = ~np.isin(rows, askers[b].excluded)
            selection = askers[b].selection
            return free if selection is None else free & selection.flags[rows]

        count = self.stage.count
        first = [rows[:count] for rows in found]
        return with_second(self.stage.evidence, taste, first, allows, count)

    def _filled(self, asker: Asker, ranked: Ranked, found: Rows) -> Ranked:
        """Return a list at the length that is wanted, as far as there are items."""
        rows, scores = ranked
        if len(rows) < asker.depth and asker.vector is not None:
            others = found[~np.isin(found, rows)]
            below = self.stage.evidence.space.scores(asker.vector[None], others[None])[0] - BELOW
            rows, scores = np.concatenate([rows, others]), np.concatenate([scores, below])
        return rows[: asker.depth], scores[: asker.depth]

    def _taste(self, askers: Sequence[Asker]) -> Taste:
        vectors = np.stack([asker.vector for asker in askers if asker.vector is not None])
        history = _rows_of([asker.liked for asker in askers], self.stage.evidence.items)
        others = {
            name: np.stack([asker.vector_in(space) for asker in askers])
            for name, space in self.stage.evidence.others.items()
        }
        return Taste(vectors, history, np.array([asker.row for asker in askers]), others)


def with_newcomers(ranked: Ranked, retrieved: Rows, known: int, wanted: int) -> Ranked:
    """Return a ranked list with the items in it that the second stage does not know.

    Such an item, of row ``known`` or above, stands as high in the list as it was retrieved: behind
    as many of the others as the vectors put before it, with the score of the one that follows.
    """
    places = np.flatnonzero(retrieved >= known)
    if not len(places):
        return ranked
    rows, scores = ranked
    before = (places - np.arange(len(places))).clip(max=len(rows))
    following = scores[before.clip(max=len(scores) - 1)] if len(scores) else np.zeros(len(places))
    both = np.insert(rows, before, retrieved[places]), np.insert(scores, before, following)
    return both[0][:wanted], both[1][:wanted].astype(np.float32)


def _rows_of(lists: Sequence[Rows], width: int) -> sp.csr_matrix:
    """Return lists of sorted columns as a binary CSR matrix, columns beyond its width left out."""
    lists = [rows[: np.searchsorted(rows, width)] for rows in lists]
    bounds = np.concatenate([[0], np.cumsum([len(rows) for rows in lists])])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
    ones = np.ones(len(columns), dtype=np.float32)
    return sp.csr_matrix((ones, columns, bounds), shape=(len(lists), width))


def _in_order(rows: Rows, scores: Floats) -> Ranked:
    real = rows >= 0
    rows, scores = rows[real], scores[real]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]
