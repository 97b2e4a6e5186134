"""What goes over the wire about what users did."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StrictFloat, StrictInt

from serving.wire import MAX_KEY, Key, Message

MAX_EVENTS = 1_000
"""Most events in a batch."""
MAX_CONTEXT = 4_000
"""Most bytes of an event's context as JSON."""

NEGATIVE = frozenset({"dislike", "hide", "not_interested"})
"""Types of events that keep an item from its user."""
PASSIVE = frozenset({"impression"})
"""Types of events that are kept and say nothing of taste."""

_LATEST_SECONDS = 253_402_300_799
"""The end of the year 9999."""


def _small(context: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(orjson.dumps(context))
    except TypeError as error:
        raise ValueError(f"a context is JSON: {error}") from error
    if size > MAX_CONTEXT:
        raise ValueError(f"a context has at most {MAX_CONTEXT:,} bytes as JSON, this one {size:,}")
    return context


def _text(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("a time is text with its time zone, or seconds since 1970")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_text)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
Seconds = Annotated[StrictInt | StrictFloat, Field(ge=0, le=_LATEST_SECONDS, allow_inf_nan=False)]


class Event(Message):
    """One thing that a user did with an item."""

    id: Id | None = None
    """Of the event; one that was taken before is not taken again. Null gives it one."""
    user: Annotated[Key, Field(min_length=1)]
    """The user's id; it need not be known."""
    item: Annotated[Key, Field(min_length=1)]
    """The item's id."""
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """``impression`` is kept alone; ``dislike``, ``hide`` and ``not_interested`` keep the item from
    the user; every other, such as ``view``, ``click``, ``like`` or ``purchase``, says that the user
    has it, or with a ``value`` below 0 that it is not wanted. A ``value`` of 0 is kept alone."""
    value: Annotated[StrictFloat | StrictInt, Field(allow_inf_nan=False)] | None = None
    """How much: a rating, a price, seconds."""
    timestamp: Time | Seconds | None = None
    """When: with its time zone, or in seconds since 1970; null is now."""
    recommendation_id: Id | None = None
    """Of the list in which the item was shown."""
    context: Annotated[dict[str, Any], AfterValidator(_small)] = Field(default_factory=dict)
    """Anything else; kept as JSON."""

    @property
    def seconds(self) -> float | None:
        """Return the time in seconds since 1970."""
        if isinstance(self.timestamp, datetime):
            return self.timestamp.astimezone(UTC).timestamp()
        return self.timestamp


class Feedback(Message):
    """What users did, in order."""

    events: list[Event] = Field(min_length=1, max_length=MAX_EVENTS)
    """All of them are taken or none."""


class FeedbackTaken(Message):
    """Events that are on disk now, and count from the next request on."""

    accepted: int
    """Events taken."""
    duplicates: int
    """Events whose id was taken before; they were left aside."""
    unknown_items: list[str]
    """Ids that the catalogue does not hold; their events were taken, and move nobody."""
    repeated: bool
    """Whether the whole batch was taken before, under the same Idempotency-Key."""
