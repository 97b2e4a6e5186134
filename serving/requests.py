"""What may be asked: each field explained once."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, StrictBool, StrictInt, field_validator

from serving.grammar import Filter
from serving.wire import (
    MAX_BATCH,
    MAX_CONTEXT,
    MAX_EXAMPLES,
    MAX_EXCLUDED,
    MAX_HISTORY,
    MAX_K,
    MAX_OFFSET,
    MAX_RANKED,
    MAX_WIDTH,
    Key,
    Message,
)

Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Vector = Annotated[list[Finite], Field(min_length=1, max_length=MAX_WIDTH)]
Example = Key | Vector
"""An item's id, or a vector of the bundle's width."""


class MaxPer(Message):
    """How many items with one value of a column a list may hold."""

    field: Annotated[str, Field(min_length=1, max_length=64)]
    """``category`` (an item's last, the most specific), ``brand``, or any column of strings."""
    count: Annotated[StrictInt, Field(ge=1, le=MAX_K)]
    """At most so many; an item that holds nothing there is never refused."""


class Asking(Message):
    """Who asks, and what is known of them."""

    user: Key | None = None
    """The user's id; one that is not known is answered with popular items."""
    history: list[Key] = Field(default_factory=list, max_length=MAX_HISTORY)
    """Ids of items that this user has, beside what the bundle knows."""
    positives: list[Example] = Field(default_factory=list, max_length=MAX_EXAMPLES)
    """Items to go towards, by id or as raw vectors."""
    negatives: list[Example] = Field(default_factory=list, max_length=MAX_EXAMPLES)
    """Items to go away from, by id or as raw vectors."""
    explain: StrictBool | Literal["full"] = True
    """Whether to give reasons; ``full`` adds steps and parts that add up to each score."""
    context: dict[str, Any] | None = None
    """Anything that describes the moment; it comes back with the answer. At most 2 KB of JSON."""

    @field_validator("context")
    @classmethod
    def _small(cls, context: dict[str, Any] | None) -> dict[str, Any] | None:
        if context is not None:
            try:
                size = len(orjson.dumps(context))
            except orjson.JSONEncodeError as error:
                raise ValueError(f"context cannot be told as JSON: {error}") from None
            if size > MAX_CONTEXT:
                raise ValueError(f"context has {size:,} bytes, at most {MAX_CONTEXT:,}")
        return context


class RecommendRequest(Asking):
    """Who asks, what they have, and what may be shown."""

    exclude_ids: list[Key] = Field(default_factory=list, max_length=MAX_EXCLUDED)
    """Ids of items not to show."""
    exclude_seen: StrictBool = True
    """Whether to leave out what the user has, history and examples included."""
    filter: Filter | None = None
    """Which items may be shown."""
    k: Annotated[StrictInt, Field(ge=1, le=MAX_K)] = 10
    """How many items to show."""
    offset: Annotated[StrictInt, Field(ge=0, le=MAX_OFFSET)] = 0
    """How many of the best to skip."""
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 keeps the order of scores; towards 1, items unlike those before them come first."""
    max_per: MaxPer | None = None
    """How many items of one kind may be shown."""


class RankRequest(Asking):
    """A list of items to put in order for somebody."""

    items: list[Key] = Field(min_length=1, max_length=MAX_RANKED)
    """Ids of the items; one that stands twice counts once."""


class BatchRequest(Message):
    """Several requests, answered in order."""

    requests: list[RecommendRequest] = Field(min_length=1, max_length=MAX_BATCH)
    """At most 50,000 items altogether."""
