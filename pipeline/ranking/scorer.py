"""The two-stage ranking as a scorer: candidates above everything else, in the network's order."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.artifacts import Artifact
from pipeline.ranking.candidates import candidates_of
from pipeline.ranking.space import Space
from pipeline.ranking.store import SecondStage, open_second_stage

BELOW = 1e4
"""How far an item that is no candidate stands below those that are."""


@dataclass(frozen=True)
class RankedScorer:
    """Retrieves with the vectors and the second model, then ranks with the network.

    Shapes:
        masked: CSR (U, N), items that are never candidates, such as those a user has.
    """

    stage: SecondStage
    masked: sp.csr_matrix

    @classmethod
    def opened(cls, ranker: Artifact, model: Artifact, train: sp.csr_matrix) -> "RankedScorer":
        """Return the scorer of a ranker on the model that it was fitted to.

        Raises:
            ArtifactError: they do not fit each other.
        """
        return cls(open_second_stage(ranker, Space.opened(model), train), train)

    def scores(self, users: Rows) -> Floats:
        """Return (B, N): network scores of candidates, far lower vector scores of the others."""
        taste = self.stage.evidence.tastes(users)
        masked = sp.csr_matrix(self.masked[users])
        rows = candidates_of(self.stage.evidence, taste, self.stage.count, masked)
        whole = self.stage.evidence.space.catalogue_scores(taste.vectors) - BELOW
        owners, places = np.nonzero(rows >= 0)
        found = self.stage.scores(taste, rows)
        whole[owners, rows[owners, places]] = found[owners, places]
        return whole.astype(np.float32)
