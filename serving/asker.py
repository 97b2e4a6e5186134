"""Who asks: a request's keys as rows, and the vector that stands for the user.

The vector of a user is the model's. A history given with the request is folded in; without a known
user that is the fold-in of the history alone.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.ids import UNKNOWN
from pipeline.ranking import Space
from serving.bundle import COLD, HOT, WARM, Bundle
from serving.messages import RecommendRequest, Strategy, Tier


@dataclass(frozen=True)
class Asker:
    """A request, with everything in it looked up.

    Shapes:
        vector: (D,). has, new, excluded: sorted item rows; ``new`` are those that the bundle does
        not know of.
    """

    request: RecommendRequest
    vector: Floats | None
    """None where nothing is known."""
    strategy: Strategy
    has: Rows
    new: Rows
    excluded: Rows
    unknown: list[str]
    row: int = UNKNOWN
    """Of the user; ``UNKNOWN`` for a stranger."""

    @property
    def wanted(self) -> int:
        """Return how many items lead up to the end of the page."""
        return self.request.offset + self.request.k

    @property
    def tier(self) -> Tier:
        """Return how much is known of the user."""
        if self.strategy == "popular":
            return COLD
        return WARM if self.strategy == "fold_in" else HOT


def look_up(bundle: Bundle, request: RecommendRequest) -> Asker:
    """Return a request with every key in it turned into a row."""
    ids = bundle.catalogue.ids
    given, barred = ids.rows(request.history), ids.rows(request.exclude_ids)
    unknown = [
        key
        for key, row in zip(
            [*request.history, *request.exclude_ids], [*given, *barred], strict=True
        )
        if row == UNKNOWN
    ]
    user = UNKNOWN if request.user is None else bundle.users.row(request.user)
    seen = np.empty(0, dtype=np.int64) if user == UNKNOWN else bundle.seen_by(user)
    since = bundle.activity_of(request.user)
    new = np.setdiff1d(np.concatenate([given[given != UNKNOWN], since.taken]), seen)
    has = bundle.forms(np.union1d(seen, new).astype(np.int64))
    barred = np.concatenate([barred[barred != UNKNOWN], since.hidden, bundle.gone])
    vector, strategy = taste(bundle.space, user, seen, new)
    return Asker(
        request=request,
        vector=vector,
        strategy=strategy,
        has=has,
        new=new,
        excluded=np.union1d(barred, has) if request.exclude_seen else np.unique(barred),
        unknown=list(dict.fromkeys(unknown)),
        row=user,
    )


def taste(space: Space, user: int, seen: Rows, new: Rows) -> tuple[Floats | None, Strategy]:
    """Return the vector to search with and where it comes from; None where nothing is known.

    Shapes:
        seen: rows the user has. new: further rows, none of them seen. returns: (D,).
    """
    vector = space.vector_of(user, seen, new)
    if not vector.any():
        return None, "popular"
    if space.trained(user, seen):
        return vector, "model+fold_in" if len(new) else "model"
    return vector, "fold_in"
