"""The language of filters: clauses of conditions on item columns, close to Qdrant's."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictBool, StrictFloat, StrictInt, Tag, model_validator

from serving.wire import MAX_ANY, MAX_CONDITIONS, MAX_DEPTH, MAX_KEY, Message

Text = Annotated[str, Field(max_length=MAX_KEY)]
Number = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Value = StrictBool | Number | Text
"""What a column may hold."""

Listing = Literal["must", "must_not", "should"]


class Match(Message):
    """Equal to a value, or to any of several; exactly one of the two."""

    value: Value | None = None
    """The column holds this; a list column holds it among others."""
    any: Annotated[list[Value], Field(min_length=1, max_length=MAX_ANY)] | None = None
    """The column holds one of these."""

    @model_validator(mode="after")
    def _one(self) -> "Match":
        if (self.value is None) == (self.any is None):
            raise ValueError("a match has either `value` or `any`")
        return self

    @property
    def values(self) -> list[Value]:
        """Return what may be held."""
        return self.any if self.any is not None else [v for v in (self.value,) if v is not None]


class Range(Message):
    """A number within bounds, at least one of them."""

    gt: Number | None = None
    """Greater than this."""
    gte: Number | None = None
    """At least this."""
    lt: Number | None = None
    """Less than this."""
    lte: Number | None = None
    """At most this."""

    @model_validator(mode="after")
    def _some(self) -> "Range":
        if not self.bounds:
            raise ValueError("a range has at least one of `gt`, `gte`, `lt`, `lte`")
        return self

    @property
    def bounds(self) -> dict[str, int | float]:
        """Return the bounds that are given, by name."""
        return {name: bound for name, bound in self if bound is not None}


class Condition(Message):
    """What one column of an item holds: a match, a range, or nothing at all."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    """The column: ``category`` (at any level), ``brand``, ``price``, ``title``, ``id``, or any
    other column of the catalogue."""
    match: Match | None = None
    """Equal to something."""
    range: Range | None = None
    """Within bounds."""
    is_null: StrictBool | None = None
    """Whether the catalogue knows nothing there."""

    @model_validator(mode="after")
    def _one(self) -> "Condition":
        if sum(part is not None for part in (self.match, self.range, self.is_null)) != 1:
            raise ValueError("a condition has exactly one of `match`, `range`, `is_null`")
        return self

    def words(self) -> str:
        """Return the condition as a few words."""
        if self.match is not None:
            values = [str(value) for value in self.match.values]
            more = f" or {len(values) - 1} others" if len(values) > 1 else ""
            return f"{self.key} {values[0]!r}{more}"
        if self.range is not None:
            signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
            bounds = [f"{signs[name]} {bound}" for name, bound in self.range.bounds.items()]
            return f"{self.key} {' and '.join(bounds)}"
        return f"{self.key} is {'null' if self.is_null else 'not null'}"


def _kind(clause: Any) -> str:  # noqa: ANN401 - whatever was sent
    is_condition = isinstance(clause, Condition) or (isinstance(clause, dict) and "key" in clause)
    return "condition" if is_condition else "filter"


Clause = Annotated[
    Annotated[Condition, Tag("condition")] | Annotated["Filter", Tag("filter")],
    Discriminator(_kind),
]


class Filter(Message):
    """Which items may be shown: all lists that are given hold.

    An item that is null in a column satisfies no match and no range of it.
    """

    must: list[Clause] = Field(default_factory=list, max_length=MAX_CONDITIONS)
    """Every one of these holds."""
    must_not: list[Clause] = Field(default_factory=list, max_length=MAX_CONDITIONS)
    """None of these holds."""
    should: list[Clause] = Field(default_factory=list, max_length=MAX_CONDITIONS)
    """At least one of these holds, also beside ``must``; an empty list asks for nothing."""

    @model_validator(mode="after")
    def _bounded(self) -> "Filter":
        if self.depth() > MAX_DEPTH:
            raise ValueError(f"filters stand in filters at most {MAX_DEPTH} deep")
        if self.conditions() > MAX_CONDITIONS:
            raise ValueError(f"a filter has at most {MAX_CONDITIONS} conditions altogether")
        return self

    def listed(self) -> list[tuple[Listing, int, "Condition | Filter"]]:
        """Return every clause with the list it stands in and its place there."""
        lists: list[tuple[Listing, list[Clause]]] = [
            ("must", self.must),
            ("must_not", self.must_not),
            ("should", self.should),
        ]
        return [(name, at, clause) for name, clauses in lists for at, clause in enumerate(clauses)]

    def depth(self) -> int:
        """Return how deep filters stand in each other; 1 for conditions alone."""
        inner = [clause.depth() for *_, clause in self.listed() if isinstance(clause, Filter)]
        return 1 + max(inner, default=0)

    def conditions(self) -> int:
        """Return how many conditions there are altogether."""
        return sum(
            clause.conditions() if isinstance(clause, Filter) else 1 for *_, clause in self.listed()
        )

    def words(self) -> str:
        """Return the filter as a few words."""
        return f"a filter of {self.conditions()} conditions"
