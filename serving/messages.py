"""What goes over the wire: requests, answers and problems, each field explained once.

The recommender speaks in these too, so the command line prints what the service answers.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.requests import RecommendRequest as RecommendRequest
from serving.wire import Attribute
from serving.wire import Message as Message

Tier = Literal["hot", "warm", "cold"]
Strategy = Literal["model", "model+fold_in", "fold_in", "popular"]


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
    attention: float | None = None
    """With ``explain: full``: what a layer of the trained network multiplies by what travels over
    the edge from ``item``: its normalised weight, the learned share of the relation and the gate.
    Null or left out where the network was not trained with the edge."""
    gate: float | None = None
    """What attention makes of the edge, between 0 and 2; 1 leaves its weight as it is."""


class Part(Message):
    """What one thing adds to an item's score."""

    source: Literal["item", "negative", "vector", "taste", "feature", "base", "popularity"]
    """``item``: one the user has or goes towards; ``negative``: one to go away from; ``vector``: a
    raw one; ``taste``: what training learned of the user beyond the items; ``feature``: of the
    second stage, by integrated gradients; ``base``: its score of an average candidate."""
    relation: str
    """The edge that connects the items, the feature, or ``model``."""
    value: float
    """What it adds."""
    item: str | None = None
    """Id of the item it comes from."""
    title: str | None = None
    """Its title."""


class Share(Message):
    """How much of what speaks for an item comes over one relation."""

    relation: str
    """``bought_together``, a modality, ``model`` for what no edge carries, or a feature."""
    share: float
    """Between 0 and 1; the shares of an item add up to 1 where anything speaks for it."""


class ModalityShare(Message):
    """How much of an item's content is one modality's."""

    modality: str
    """Such as ``text`` or ``image``."""
    share: float
    """Between 0 and 1, by the gates of the fusion."""


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
    parts: list[Part] = Field(default_factory=list)
    """With ``explain: full``: what adds up to the score."""
    shares: list[Share] = Field(default_factory=list)
    """With ``explain: full``: which relations speak for it."""
    content: list[ModalityShare] = Field(default_factory=list)
    """With ``explain: full``: how much of what enters the network each modality brings. Empty where
    the item shows nothing, came after training, or its fusion mixes the modalities."""


class Steps(Message):
    """How a list came about: how many items each step left."""

    items: int
    """Of the catalogue."""
    allowed: int
    """Left by the filter."""
    excluded: int
    """Of those, left out by id or because the user has them."""
    retrieved: int
    """Found by their vectors, or popular."""
    ranked: int
    """Put in order by the second stage; 0 without one."""
    diversified: int
    """Left by ``diversity`` and ``max_per`` of those in order, up to the page's end."""
    shown: int
    """On this page."""


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
    context: dict[str, Any] | None = None
    """As it was given."""
    steps: Steps | None = None
    """With ``explain: full``."""


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
    attributes: dict[str, Attribute | None]
    """What the catalogue tells of items beyond that (``data.attributes``), null where unknown."""
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
