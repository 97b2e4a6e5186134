"""What goes over the wire: requests, answers and problems, each field explained once.

The recommender speaks in these too, so the command line prints what the service answers.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt

MAX_K = 500
"""Longest list."""
MAX_OFFSET = 10_000
"""Furthest page."""
MAX_HISTORY = 1_000
"""Most items in a history."""
MAX_EXCLUDED = 10_000
"""Most excluded ids."""
MAX_BATCH = 1_000
"""Most requests in a batch."""
MAX_BATCH_ITEMS = 50_000
"""Most items asked for by a batch altogether."""
MAX_KEY = 512
"""Longest key."""


def _digits(value: object) -> object:
    return str(value) if type(value) is int else value


_Text = Annotated[str, Field(max_length=MAX_KEY)]
Key = Annotated[_Text, BeforeValidator(_digits, json_schema_input_type=_Text | int)]
"""An id of the catalogue; a JSON number is taken as its digits."""

Tier = Literal["hot", "warm", "cold"]
Strategy = Literal["model", "model+fold_in", "fold_in", "popular"]


class Message(BaseModel):
    """A part of a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RecommendRequest(Message):
    """Who asks, what they have, and what may be shown."""

    user: Key | None = None
    """The user's id; one that is not known is answered with popular items."""
    history: list[Key] = Field(default_factory=list, max_length=MAX_HISTORY)
    """Ids of items that this user has, beside what the bundle knows."""
    exclude_ids: list[Key] = Field(default_factory=list, max_length=MAX_EXCLUDED)
    """Ids of items not to show."""
    exclude_seen: StrictBool = True
    """Whether to leave out what the user has, history included."""
    k: Annotated[StrictInt, Field(ge=1, le=MAX_K)] = 10
    """How many items to show."""
    offset: Annotated[StrictInt, Field(ge=0, le=MAX_OFFSET)] = 0
    """How many of the best to skip."""
    explain: StrictBool = True
    """Whether to give reasons."""


class BatchRequest(Message):
    """Several requests, answered in order."""

    requests: list[RecommendRequest] = Field(min_length=1, max_length=MAX_BATCH)
    """At most 50,000 items altogether."""


class BundleName(Message):
    """Which bundle answered."""

    fingerprint: str
    """Of the bundle."""
    model: str
    """Fingerprint of the model in it."""


class Reason(Message):
    """Why an item is shown."""

    relation: str
    """``bought_together``, a modality such as ``text`` or ``image``, ``model`` or ``popular``."""
    text: str
    """The reason as a sentence."""
    item: str | None = None
    """Id of the item the user has, where the reason is one."""
    title: str | None = None
    """Its title."""
    weight: float | None = None
    """Strength within the relation: of the edge, or the number of users for ``popular``."""


class ItemSummary(Message):
    """An item as a list shows it."""

    id: str
    """The catalogue's id."""
    title: str | None
    """Null where the catalogue has none."""
    image: str | None
    """Where the picture is, null where there is none."""
    price: float | None
    """Null where the catalogue has none."""
    tier: Tier
    """``hot``: trained with interactions; ``warm``: content only; ``cold``: neither."""


class Recommendation(ItemSummary):
    """A recommended or similar item."""

    rank: int
    """1 is best; counts skipped items."""
    score: float
    """Inner product of the model, number of users for ``popular``, edge weight for ``similar``."""
    reasons: list[Reason]
    """Strongest first within the relation; what people did before what things look like."""


class Recommendations(Message):
    """A ranked list for one request."""

    recommendation_id: str
    """Ties what was shown to what happens next."""
    bundle: BundleName
    """Which bundle answered."""
    user_tier: Tier
    """``hot``: trained; ``warm``: known by a history alone; ``cold``: nothing is known."""
    strategy: Strategy
    """``popular`` is the fallback for users of whom nothing is known."""
    items: list[Recommendation]
    """Exactly k, or ``shortfall_reason`` says why not."""
    shortfall_reason: str | None
    """Null where k items are shown."""
    unknown_items: list[str]
    """Ids of the request that the catalogue does not hold; they were left aside."""


class BatchAnswer(Message):
    """Answers in the order of the requests."""

    answers: list[Recommendations]
    """Each as if it was asked alone."""


class SimilarItems(Message):
    """Items like one item."""

    item: ItemSummary
    """The one."""
    by: str
    """``model``, a modality, or ``bought_together``."""
    items: list[Recommendation]
    """At most k; graphs keep a fixed number of neighbours."""
    shortfall_reason: str | None
    """Null where k items are shown."""


class ItemDetails(ItemSummary):
    """Everything known about an item."""

    description: str | None
    """Null where the catalogue has none."""
    brand: str | None
    """Null where the catalogue has none."""
    categories: list[str]
    """Outermost first."""
    users: int
    """How many users have it."""
    similar_by: list[str]
    """What ``similar`` can go by."""


class ItemPage(Message):
    """Items of a listing or search, most taken first."""

    total: int
    """How many there are on all pages."""
    items: list[ItemSummary]
    """This page."""


class UserSummary(Message):
    """A user as a list shows it."""

    id: str
    """The user's id."""
    interactions: int
    """How many items the user has."""


class UserPage(Message):
    """Users of a listing or search."""

    total: int
    """How many there are on all pages."""
    users: list[UserSummary]
    """This page."""


class UserDetails(Message):
    """What is known of a user."""

    id: str
    """The user's id."""
    known: bool
    """Whether the bundle knows the user."""
    interactions: int
    """How many items the user has."""
    history: list[ItemSummary]
    """Some of them."""


class BundleDetails(BundleName):
    """What the service serves."""

    created_at: str
    """When the bundle was made."""
    users: int
    """Users."""
    items: int
    """Items of the catalogue."""
    hot_items: int
    """Items trained with interactions."""
    interactions: int
    """User-item pairs that count as seen."""
    width: int
    """Of the vectors."""
    relations: list[str]
    """What ``similar`` can go by."""
    audit: dict[str, object]
    """How the index compares with exact search."""
    facts: dict[str, object]
    """What the index stage measured."""


class Liveness(Message):
    """The process answers."""

    live: Literal[True] = True
    """Always."""


class Readiness(Message):
    """The bundle answers as it did when it was audited."""

    ready: Literal[True] = True
    """Otherwise the answer is a 503 problem."""
    bundle: BundleName
    """Which bundle."""
    canaries: int
    """Users whose exact lists were asked for."""
    recall: float
    """Share of those lists that the index found."""
    floor: float
    """Least share that counts as ready."""


class Fault(Message):
    """One thing wrong with a request."""

    where: str
    """Dotted place, such as ``body.k``."""
    what: str
    """What is wrong there."""


class Problem(BaseModel):
    """An error, as RFC 9457 defines it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str = "about:blank"
    """Kind of problem."""
    title: str
    """Short name of the status."""
    status: int
    """HTTP status."""
    detail: str
    """What went wrong, and what to do."""
    instance: str
    """Path of the request."""
    request_id: str
    """Names this request in the service's log."""
    errors: list[Fault] = Field(default_factory=list)
    """Each fault of the request, where there are several."""
