"""The second stage at work: what was retrieved, and what the second model adds, put in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.ranking import SecondStage, Space
from pipeline.ranking.candidates import with_second
from pipeline.ranking.evidence import Taste
from pipeline.ranking.scorer import BELOW
from serving.asker import Asker
from serving.retrieval import Ranked


@dataclass(frozen=True)
class Ranker:
    """Ranks the candidates of askers that have a vector, all at once.

    Candidates do not depend on the page that is asked for, so that pages of one list never
    overlap; what the vectors find beyond them follows in the vectors' order.
    """

    stage: SecondStage

    def fetch(self, asker: Asker) -> int:
        """Return how many items are to be retrieved for an asker."""
        return max(asker.wanted, self.stage.count)

    def best(self, askers: Sequence[Asker], retrieved: Sequence[Ranked]) -> list[Ranked]:
        """Return each asker's best items; equal scores in order of row.

        Shapes:
            retrieved: what the vectors found for each asker, exclusions left out.
        """
        if not askers:
            return []
        evidence, count = self.stage.evidence, self.stage.count
        taste = self._taste(askers)
        barred = _rows_of([asker.excluded for asker in askers], evidence.items)
        found = [rows[rows < evidence.items] for rows, _ in retrieved]
        candidates = with_second(evidence, taste, [rows[:count] for rows in found], barred, count)
        scores = self.stage.scores(taste, candidates)
        ranked = [_in_order(*each) for each in zip(candidates, scores, strict=True)]
        whole = [self._filled(*each) for each in zip(askers, ranked, found, strict=True)]
        return [
            with_newcomers(list_, rows, evidence.items, asker.wanted)
            for asker, list_, (rows, _) in zip(askers, whole, retrieved, strict=True)
        ]

    def _filled(self, asker: Asker, ranked: Ranked, found: Rows) -> Ranked:
        """Return a list at the length that is wanted, as far as there are items."""
        rows, scores = ranked
        if len(rows) < asker.wanted and asker.vector is not None:
            others = found[~np.isin(found, rows)]
            below = self.stage.evidence.space.scores(asker.vector[None], others[None])[0] - BELOW
            rows, scores = np.concatenate([rows, others]), np.concatenate([scores, below])
        return rows[: asker.wanted], scores[: asker.wanted]

    def _taste(self, askers: Sequence[Asker]) -> Taste:
        vectors = np.stack([asker.vector for asker in askers if asker.vector is not None])
        history = _rows_of([asker.has for asker in askers], self.stage.evidence.items)
        others = {
            name: np.stack([_vector_in(space, asker) for asker in askers])
            for name, space in self.stage.evidence.others.items()
        }
        return Taste(vectors, history, np.array([asker.row for asker in askers]), others)


def _vector_in(space: Space, asker: Asker) -> Floats:
    known = len(space.item_vectors)
    seen = np.setdiff1d(asker.has, asker.new, assume_unique=True)
    return space.vector_of(asker.row, seen[seen < known], asker.new[asker.new < known])


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
