"""Planted tastes: who takes what, because of what it is.

Every item is of a kind (a product category) and has a style, a point in a small space; within a
kind styles gather around lines of products. What an item is called, how it is described and what
its picture looks like follow from kind and style (``prose``, ``looks``), for items that nobody
has taken as well.

Every user has three interests: a kind and the style of something in it near to the user's own
taste. An interaction follows an interest with chance ``TASTE``: some items of the kind come to
the user's notice, popular ones oftener, and the one that is nearest to the interest is taken,
give or take. So items are taken together because they are alike, at a finer grain than kinds.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.etl.generate.degrees import degrees
from pipeline.etl.generate.spec import AmazonSpec
from pipeline.etl.generate.words import DEPARTMENTS, QUALIFIERS

TASTE = 0.7
"""Chance that an interaction follows one of the user's interests; the others follow popularity."""

STYLE = 8
"""Width of the space of styles."""

LINES = 12
"""Lines of products in a kind."""

CORE = 5
"""Fewest interactions of a user and of a reviewed item, where there are enough of them."""

PICTURED = 0.96
"""Share of items that have a picture."""

_LINE_SPREAD, _ITEM_SPREAD = 0.85, 0.5
_INTERESTS = np.cumsum([0.6, 0.28, 0.12])
_SAME_DEPARTMENT = 0.5
_NOTICED = 24
_TRIED = 4
_WIDTH = 1.0
_USER_TAIL, _ITEM_TAIL = 2.2, 1.5
_MOST_OF_USER, _MOST_OF_ITEM = 431, 4_915
_USERS, _HOT = 192_403, 63_001
_AT_RANDOM_AFTER, _UNIFORM_AFTER, _ROUNDS = 6, 20, 400
_BLOCK = 50_000
_DELIGHTED = np.cumsum([0.03, 0.04, 0.08, 0.25, 0.60])
_LUKEWARM = np.cumsum([0.12, 0.10, 0.18, 0.30, 0.30])


@dataclass(frozen=True)
class Kinds:
    """The kinds of items: names, and which department each is in."""

    names: list[str]
    department: np.ndarray
    """(C,)"""

    @classmethod
    def of(cls, hot_items: int) -> "Kinds":
        """Return the kinds of a catalogue; as many as the root of what is reviewed in it."""
        things = [
            (number, thing)
            for number, (_, listed) in enumerate(DEPARTMENTS)
            for thing in listed.split("|")
        ]
        spread = sorted(range(len(things)), key=lambda n: (n * 0.618_034) % 1)
        count = int(np.clip(round(hot_items**0.5), 16, len(things) * len(QUALIFIERS)))
        chosen = [(QUALIFIERS[n // len(things)], spread[n % len(things)]) for n in range(count)]
        names = [f"{qualifier} {things[at][1]}".strip() for qualifier, at in chosen]
        return cls(names, np.array([things[at][0] for _, at in chosen]))

    def __len__(self) -> int:
        """Return the number of kinds."""
        return len(self.names)


@dataclass(frozen=True)
class PlantedWorld:
    """Items, tastes, and the interactions in the order of items, as Amazon's files are.

    Shapes:
        kind, line: (N,) of each item; style: (N, STYLE). pictured: (N,) whether it has a picture.
        hot: (H,) items that have interactions.
        preferred: (U, 3) kinds. user, item, stars, day: (E,); day is a share of the edition's
        time span, in [0, 1).
    """

    kinds: Kinds
    kind: np.ndarray
    line: np.ndarray
    style: np.ndarray
    pictured: np.ndarray
    hot: np.ndarray
    preferred: np.ndarray
    user: np.ndarray
    item: np.ndarray
    stars: np.ndarray
    day: np.ndarray


def plant(spec: AmazonSpec) -> PlantedWorld:
    """Return the world of a specification: exactly its interactions, all pairs distinct."""
    rng = np.random.default_rng(spec.seed)
    kinds = Kinds.of(spec.hot_items)
    kind = rng.integers(0, len(kinds), spec.items)
    line = rng.integers(0, LINES, spec.items)
    centre = rng.standard_normal((len(kinds), LINES, STYLE), np.float32) * _LINE_SPREAD
    style = rng.standard_normal((spec.items, STYLE), np.float32) * _ITEM_SPREAD
    style += centre[kind, line]
    hot = np.sort(rng.choice(spec.items, spec.hot_items, replace=False))
    shelf = _Shelf(rng, kind, hot, _popularity(rng, spec))
    tastes = _Tastes(rng, spec.users, kinds, shelf, style)
    user, item, fits = _Log(spec, rng, shelf, tastes, style, kind).written()
    return PlantedWorld(
        kinds=kinds, kind=kind, line=line, style=style, hot=hot, preferred=tastes.kinds,
        pictured=rng.random(spec.items) < PICTURED,
        user=user, item=item, stars=_stars(rng, fits), day=_days(rng, spec, user, item),
    )  # fmt: skip


def _popularity(rng: np.random.Generator, spec: AmazonSpec) -> np.ndarray:
    """Return the weight of each reviewed item, at random places."""
    mean = spec.interactions / spec.hot_items
    most = _MOST_OF_ITEM * (spec.users / _USERS) ** 0.8
    most = min(spec.users // 2, round(max(most, 4 * mean)))
    counts = degrees(spec.interactions, spec.hot_items, most, _ITEM_TAIL, CORE)
    return rng.permutation(counts).astype(np.float64)


def _activity(rng: np.random.Generator, spec: AmazonSpec) -> np.ndarray:
    """Return how many interactions each user has."""
    mean = spec.interactions / spec.users
    most = _MOST_OF_USER * (spec.hot_items / _HOT) ** 0.5
    most = min(spec.hot_items * 3 // 4, round(max(most, 4 * mean)))
    return rng.permutation(degrees(spec.interactions, spec.users, most, _USER_TAIL, CORE))


class _Shelf:
    """Reviewed items by kind; a draw of a kind or of all, popular ones oftener."""

    def __init__(
        self, rng: np.random.Generator, kind: np.ndarray, hot: np.ndarray, weight: np.ndarray
    ) -> None:
        order = np.argsort(kind[hot], kind="stable")
        self.items = hot[order]
        self.mass = np.bincount(kind[hot], weight, minlength=int(kind.max()) + 1)
        counts = np.bincount(kind[hot], minlength=len(self.mass))
        self.start = np.concatenate([[0], np.cumsum(counts)])
        self.weight = np.concatenate([[0.0], np.cumsum(weight[order])])
        self.rng = rng

    def of_kinds(self, kinds: np.ndarray, times: int) -> np.ndarray:
        """Return items of each kind (of any, where nothing of it is reviewed).

        Shapes:
            kinds: (B,). returns: (B, times).
        """
        low, high = self.weight[self.start[kinds]], self.weight[self.start[kinds + 1]]
        none = high <= low
        low, high = np.where(none, 0.0, low), np.where(none, self.weight[-1], high)
        return self._at(low[:, None] + self.rng.random((len(kinds), times)) * (high - low)[:, None])

    def of_all(self, count: int) -> np.ndarray:
        """Return items of any kind."""
        return self._at(self.rng.random(count) * self.weight[-1])

    def _at(self, weight: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self.weight, weight, "right") - 1
        drawn: np.ndarray = self.items[place.clip(0, len(self.items) - 1)]
        return drawn


class _Tastes:
    """The interests of every user: kinds (U, 3) and the style wanted in each (U, 3, STYLE)."""

    def __init__(
        self,
        rng: np.random.Generator,
        users: int,
        kinds: Kinds,
        shelf: _Shelf,
        style: np.ndarray,
    ) -> None:
        reach = np.cumsum(shelf.mass) / shelf.mass.sum()
        chosen = [_kinds_by(rng, reach, users)]
        for _ in _INTERESTS[1:]:
            near = _kinds_beside(rng, kinds, shelf.mass, chosen[0])
            far = _kinds_by(rng, reach, users)
            chosen.append(np.where(rng.random(users) < _SAME_DEPARTMENT, near, far))
        self.kinds = np.stack(chosen, axis=1)
        own = rng.standard_normal((users, STYLE), np.float32)
        self.style = np.stack([_anchors(shelf, style, kind, own) for kind in chosen], axis=1)


def _kinds_by(rng: np.random.Generator, reach: np.ndarray, count: int) -> np.ndarray:
    return np.searchsorted(reach, rng.random(count), "right").clip(0, len(reach) - 1)


def _kinds_beside(
    rng: np.random.Generator, kinds: Kinds, mass: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """Return a kind of the same department as each, by what is bought of it."""
    found = np.zeros(len(first), dtype=np.int64)
    for number in np.unique(kinds.department):
        members = np.flatnonzero(kinds.department == number)
        reach = np.cumsum(mass[members]) / max(mass[members].sum(), 1.0)
        asked = np.flatnonzero(kinds.department[first] == number)
        found[asked] = members[_kinds_by(rng, reach, len(asked))]
    return found


def _anchors(shelf: _Shelf, style: np.ndarray, kind: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the style of the nearest to each user's own of a few items of the kind."""
    tried = style[shelf.of_kinds(kind, _TRIED)]
    nearest = ((tried - own[:, None]) ** 2).sum(axis=2).argmin(axis=1)
    found: np.ndarray = tried[np.arange(len(kind)), nearest]
    return found


class _Log:
    """Draws the interactions: every user has as many as planned, all pairs are distinct."""

    def __init__(
        self,
        spec: AmazonSpec,
        rng: np.random.Generator,
        shelf: _Shelf,
        tastes: _Tastes,
        style: np.ndarray,
        kind: np.ndarray,
    ) -> None:
        self.spec, self.rng, self.shelf, self.tastes = spec, rng, shelf, tastes
        self.style, self.kind = style, kind
        self.user = np.repeat(np.arange(spec.users), _activity(rng, spec))
        self.item = np.zeros(len(self.user), dtype=np.int64)
        self.fits = np.zeros(len(self.user), dtype=bool)

    def written(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return user, item and whether a taste was followed, in the order of items."""
        open_ = np.arange(len(self.user))
        for round_ in range(_ROUNDS):
            for start in range(0, len(open_), _BLOCK):
                self._draw(open_[start : start + _BLOCK], round_)
            open_ = self._repeated()
            if not len(open_):
                break
        self._lift()
        order = np.argsort(self._codes())
        return self.user[order], self.item[order], self.fits[order]

    def _codes(self) -> np.ndarray:
        codes: np.ndarray = self.item * self.spec.users + self.user
        return codes

    def _repeated(self) -> np.ndarray:
        """Return the places of pairs that stand earlier as well."""
        codes = self._codes()
        order = np.argsort(codes, kind="stable")
        same = codes[order][1:] == codes[order][:-1]
        again: np.ndarray = order[1:][same]
        return again

    def _draw(self, at: np.ndarray, round_: int) -> None:
        """Give the interactions at these places an item."""
        users, rng = self.user[at], self.rng
        if round_ >= _UNIFORM_AFTER:
            self.item[at], self.fits[at] = rng.choice(self.shelf.items, len(at)), False
            return
        follows = rng.random(len(at)) < (TASTE if round_ < _AT_RANDOM_AFTER else 0.0)
        item = self.shelf.of_all(len(at))
        item[follows] = self._tasteful(users[follows])
        self.item[at], self.fits[at] = item, follows

    def _tasteful(self, users: np.ndarray) -> np.ndarray:
        """Return what each user takes of what is noticed."""
        which = np.searchsorted(_INTERESTS, self.rng.random(len(users)), "right").clip(max=2)
        noticed = self.shelf.of_kinds(self.tastes.kinds[users, which], _NOTICED)
        away = self.style[noticed] - self.tastes.style[users, which][:, None]
        liking = (away * away).sum(axis=2) / (-2 * _WIDTH**2) + self.rng.gumbel(size=noticed.shape)
        taken: np.ndarray = noticed[np.arange(len(users)), liking.argmax(axis=1)]
        return taken

    def _lift(self) -> None:
        """Hand interactions of popular items to those that lack some, within a kind if possible."""
        least = min(CORE, self.spec.interactions // self.spec.hot_items)
        for round_ in range(_ROUNDS):
            counts = np.bincount(self.item, minlength=self.spec.items)[self.shelf.items]
            lacks = np.repeat(self.shelf.items, np.maximum(least - counts, 0))
            if not len(lacks):
                return
            group = self.kind if round_ < _AT_RANDOM_AFTER else np.zeros_like(self.kind)
            self._hand_over(lacks, self._spare(least), group)

    def _spare(self, least: int) -> np.ndarray:
        """Return the places of interactions that their items can do without, shuffled."""
        shuffled = self.rng.permutation(len(self.item))
        order = shuffled[np.argsort(self.item[shuffled], kind="stable")]
        items = self.item[order]
        first = np.searchsorted(items, items)
        return self.rng.permutation(order[np.arange(len(order)) - first >= least])

    def _hand_over(self, lacks: np.ndarray, spare: np.ndarray, group: np.ndarray) -> None:
        """Give the n-th lacking item of a group the group's n-th spare interaction."""
        lacks, spare = (
            each[np.argsort(group[of], kind="stable")]
            for each, of in ((lacks, lacks), (spare, self.item[spare]))
        )
        wants, has = group[lacks], group[self.item[spare]]
        place = np.arange(len(lacks)) - np.searchsorted(wants, wants)
        begin, end = np.searchsorted(has, wants), np.searchsorted(has, wants, "right")
        found = begin + place < end
        items, at = lacks[found], spare[(begin + place)[found]]
        fresh = items * self.spec.users + self.user[at]
        new = np.zeros(len(fresh), dtype=bool)
        new[np.unique(fresh, return_index=True)[1]] = True
        new &= ~np.isin(fresh, self._codes())
        self.item[at[new]] = items[new]


def _stars(rng: np.random.Generator, fits: np.ndarray) -> np.ndarray:
    chance = rng.random(len(fits))
    delighted, lukewarm = (np.searchsorted(law, chance) for law in (_DELIGHTED, _LUKEWARM))
    return np.where(fits, delighted, lukewarm).clip(max=4) + 1


def _days(
    rng: np.random.Generator, spec: AmazonSpec, user: np.ndarray, item: np.ndarray
) -> np.ndarray:
    """Return when: after the item came out and the user joined, mostly soon; trade grows."""
    released = rng.random(spec.items) ** 0.5
    joined = rng.random(spec.users) ** 0.4
    begin = np.maximum(released[item], joined[user])
    share: np.ndarray = begin + (1 - begin) * rng.beta(1.0, 2.5, len(user)) * (1 - 1e-9)
    return share
