"""Who asks: a request's keys as rows, and the vector that stands for the user.

The vector of a user is the model's. A history given with the request is folded in; without a known
user that is the fold-in of the history alone. Examples are added and taken away: for a user with n
items, m new ones, and P positives and G negatives,

    q = (sqrt(n) u + sum of fold_in(new) + sum of fold_in(positives) - sum of fold_in(negatives))
        / sqrt(n + m + P + G)

where a raw vector stands for itself. Orders and repetitions in the request change no bit of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.errors import DataError
from pipeline.ids import UNKNOWN, IdMap
from pipeline.ranking import Space
from serving.bundle import COLD, HOT, WARM, Bundle
from serving.filters import Selection
from serving.messages import Strategy, Tier
from serving.requests import Example, RecommendRequest

NONE: Rows = np.empty(0, dtype=np.int64)


class VectorError(DataError):
    """A raw vector is not of the bundle's width."""


@dataclass(frozen=True)
class Examples:
    """What to go towards and away from.

    Shapes:
        positives, negatives: sorted item rows. towards: (P', D), away: (G', D) raw vectors.
    """

    positives: Rows
    negatives: Rows
    towards: Floats
    away: Floats

    def __len__(self) -> int:
        """Return how many there are."""
        parts = (self.positives, self.negatives, self.towards, self.away)
        return sum(len(part) for part in parts)

    def total(self, fold_in: Floats) -> Floats:
        """Return the sum of what they add in a space.

        Shapes:
            fold_in: (N, D), of any space; raw vectors count where their width is its own.
        """
        total = fold_in[self.positives].sum(axis=0) - fold_in[self.negatives].sum(axis=0)
        if self.towards.shape[1] == len(total):
            # Sorted, so that the order of the request changes no bit.
            total = total + np.sort(self.towards, axis=0).sum(axis=0)
            total = total - np.sort(self.away, axis=0).sum(axis=0)
        found: Floats = total
        return found


@dataclass(frozen=True)
class Asker:
    """A request, with everything in it looked up.

    Shapes:
        vector: (D,). has, new, liked, excluded: sorted item rows; ``new`` are those that the bundle
        does not know of, ``liked`` those the user has and the positives.
    """

    request: RecommendRequest
    vector: Floats | None
    """None where nothing is known."""
    strategy: Strategy
    has: Rows
    new: Rows
    liked: Rows
    excluded: Rows
    unknown: list[str]
    row: int = UNKNOWN
    """Of the user; ``UNKNOWN`` for a stranger."""
    examples: Examples | None = None
    selection: Selection | None = field(default=None, repr=False)
    """What the filter leaves; None where there is none."""
    reach: int = 0
    """How many of the best are ranked, where that is more than is wanted."""

    @property
    def wanted(self) -> int:
        """Return how many items lead up to the end of the page."""
        return self.request.offset + self.request.k

    @property
    def depth(self) -> int:
        """Return how many of the best are to be ranked."""
        return max(self.wanted, self.reach)

    @property
    def tier(self) -> Tier:
        """Return how much is known of the user."""
        if self.strategy == "popular":
            return COLD
        return WARM if self.strategy == "fold_in" else HOT

    @property
    def seen(self) -> Rows:
        """Return what the bundle knows that the user has."""
        return np.setdiff1d(self.has, self.new, assume_unique=True) if len(self.new) else self.has

    def vector_in(self, space: Space) -> Floats:
        """Return the vector that stands for the user in a space: zeros if nothing is known."""
        return vector_in(space, self.row, (self.seen, self.new), self.examples)


def look_up(bundle: Bundle, request: RecommendRequest, selection: Selection | None = None) -> Asker:
    """Return a request with every key in it turned into a row."""
    return look_up_many(bundle, [request], [selection])[0]


def look_up_many(
    bundle: Bundle, requests: Sequence[RecommendRequest], selections: Sequence[Selection | None]
) -> list[Asker]:
    """Return requests with every key turned into a row; users are looked up all at once.

    Raises:
        VectorError: an example is not of the bundle's width.
    """
    users = bundle.users.rows(["" if r.user is None else r.user for r in requests]).tolist()
    return [
        _looked_up(bundle, request, UNKNOWN if request.user is None else user, selection)
        for request, user, selection in zip(requests, users, selections, strict=True)
    ]


def _looked_up(
    bundle: Bundle, request: RecommendRequest, user: int, selection: Selection | None
) -> Asker:
    ids, unknown = bundle.catalogue.ids, list[str]()
    seen = NONE if user == UNKNOWN else bundle.seen_by(user)
    has, new, examples = seen, NONE, None
    if request.history:
        new = np.setdiff1d(_rows(ids, request.history, unknown), seen)
        has = np.union1d(seen, new)
    barred = _rows(ids, request.exclude_ids, unknown) if request.exclude_ids else NONE
    shown = liked = has
    if request.positives or request.negatives:
        examples = _examples(bundle, request, unknown)
        liked = np.union1d(has, examples.positives)
        shown = np.union1d(liked, examples.negatives)
    if request.exclude_seen:
        barred = np.union1d(barred, shown) if len(barred) else shown
    vector, strategy = taste(bundle.space, user, (seen, new), examples)
    return Asker(
        request=request,
        vector=vector,
        strategy=strategy,
        has=has,
        new=new,
        liked=liked,
        excluded=barred,
        unknown=list(dict.fromkeys(unknown)),
        row=user,
        examples=examples,
        selection=selection,
    )


def _rows(ids: IdMap, keys: Sequence[str], unknown: list[str]) -> Rows:
    """Return the sorted rows of the keys that there are, and note the others."""
    rows = ids.rows(keys)
    if (rows == UNKNOWN).any():
        unknown += [key for key, row in zip(keys, rows.tolist(), strict=True) if row == UNKNOWN]
    return np.unique(rows[rows != UNKNOWN])


def _examples(bundle: Bundle, request: RecommendRequest, unknown: list[str]) -> Examples:
    ids, width = bundle.catalogue.ids, bundle.item_vectors.shape[1]
    return Examples(
        _rows(ids, _keys(request.positives), unknown),
        _rows(ids, _keys(request.negatives), unknown),
        _raw(request.positives, width),
        _raw(request.negatives, width),
    )


def _keys(examples: Sequence[Example]) -> list[str]:
    return [each for each in examples if isinstance(each, str)]


def _raw(examples: Sequence[Example], width: int) -> Floats:
    vectors = [each for each in examples if not isinstance(each, str)]
    for vector in vectors:
        if len(vector) != width:
            raise VectorError(
                f"a raw vector has {len(vector)} numbers; those of this bundle have {width}"
            )
    return np.array(vectors, dtype=np.float32).reshape(len(vectors), width)


def vector_in(
    space: Space, user: int, known: tuple[Rows, Rows], examples: Examples | None
) -> Floats:
    """Return the vector that stands for a user in a space, by the formula above.

    Shapes:
        known: rows the user has, and further rows, none of them among the first. returns: (D,).
    """
    vector = space.vector_of(user, *known)
    if examples is None or not len(examples):
        return vector
    count = len(known[0]) + len(known[1])
    total = vector * np.sqrt(max(1, count)) + examples.total(space.fold_in)
    moved: Floats = (total / np.sqrt(count + len(examples))).astype(np.float32)
    return moved


def taste(
    space: Space, user: int, known: tuple[Rows, Rows], examples: Examples | None = None
) -> tuple[Floats | None, Strategy]:
    """Return the vector to search with and where it comes from; None where nothing is known.

    Shapes:
        known: rows the user has, and further rows, none of them among the first. returns: (D,).
    """
    vector = vector_in(space, user, known, examples)
    if not vector.any():
        return None, "popular"
    seen, new = known
    if space.trained(user, seen):
        further = len(new) > 0 or (examples is not None and len(examples) > 0)
        return vector, "model+fold_in" if further else "model"
    return vector, "fold_in"
