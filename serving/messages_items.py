"""What goes over the wire about items that come, change and go, and about searching by content."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictFloat, StrictInt

from serving.messages import ItemSummary, Recommendation
from serving.wire import MAX_K, Attribute, Key, Message

MAX_TITLE = 2_000
"""Longest title or brand."""
MAX_TEXT = 100_000
"""Longest description."""
MAX_CATEGORIES = 50
"""Most categories of an item."""
MAX_WIDTH = 16_384
"""Widest vector."""
MAX_PICTURE = 20_000_000
"""Longest picture in base64 or at a URL."""

AttachedBy = Literal["network", "neighbours"]


def _not_blank(key: str) -> str:
    if not key.strip() or any(ord(c) < 32 for c in key):
        raise ValueError("a key holds some character that shows, and no control character")
    return key


ItemKey = Annotated[Key, Field(min_length=1), AfterValidator(_not_blank)]
Title = Annotated[str, Field(max_length=MAX_TITLE)]
Price = Annotated[StrictFloat | StrictInt, Field(ge=0, le=1e12, allow_inf_nan=False)]
Vector = Annotated[list[StrictFloat | StrictInt], Field(min_length=1, max_length=MAX_WIDTH)]
Picture = Annotated[str, Field(min_length=1, max_length=MAX_PICTURE)]


Attributes = Annotated[dict[Title, Attribute | None], Field(max_length=100)]


class ItemFields(Message):
    """What is told about an item."""

    title: Title | None = None
    """Null where there is none."""
    description: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    """Null where there is none."""
    brand: Title | None = None
    """Null where there is none."""
    categories: list[Title] = Field(default_factory=list, max_length=MAX_CATEGORIES)
    """Outermost first."""
    price: Price | None = None
    """Null where there is none."""
    attributes: Attributes = Field(default_factory=dict)
    """Those of the bundle's items by name, text, number or truth; null where unknown."""


class NewItem(ItemFields):
    """An item to add, or to take the place of the one with this id."""

    id: ItemKey
    """The catalogue's id."""
    image_url: Annotated[str, Field(max_length=4_000, pattern="^https?://")] | None = None
    """Where the picture is; fetched once, from public addresses alone."""
    image_base64: Picture | None = None
    """The picture itself: JPEG, PNG, WebP, GIF, BMP or TIFF, in base64."""
    vectors: dict[str, Vector] = Field(default_factory=dict, max_length=16)
    """Ready-made vectors by modality, of the width that the bundle's items have; such a modality is
    not encoded here."""


class ItemPatch(Message):
    """What changes about an item; what is left out stays, null takes away.

    The vector stays as well, whatever the new text says: send the item anew for that.
    """

    title: Title | None = None
    """New title."""
    description: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    """New description."""
    brand: Title | None = None
    """New brand."""
    categories: Annotated[list[Title], Field(max_length=MAX_CATEGORIES)] | None = None
    """New categories, outermost first."""
    price: Price | None = None
    """New price."""
    attributes: Attributes = Field(default_factory=dict)
    """New attributes by name; those not named stay, null takes away."""


class LiveItem(ItemSummary):
    """An item as the service holds it after a change."""

    created: bool
    """Whether the id was new."""
    changed: bool
    """Whether anything was changed; sending the same again changes nothing."""
    modalities: list[str]
    """What its vector was made from."""
    attached_by: AttachedBy | None
    """``network``: the trained layers; ``neighbours``: the mean of the most similar trained items,
    for models without a network that takes new items; null where the bundle made the vector."""


class Deleted(Message):
    """An item is not shown any more."""

    id: str
    """The catalogue's id."""
    deleted: Literal[True] = True
    """Always."""


class ContentQuery(Message):
    """Something to search with: exactly one of text, a picture or a vector."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)] | None = None
    """Words to search by."""
    image_base64: Picture | None = None
    """A picture to search by, in base64."""
    image_url: Annotated[str, Field(max_length=4_000, pattern="^https?://")] | None = None
    """Where a picture to search by is."""
    vector: Vector | None = None
    """A ready-made vector of the modality ``by``."""
    by: str | None = None
    """The modality whose vectors are searched; null takes ``text`` for text and ``image`` for a
    picture. Encoders with one space for both, such as CLIP, answer across."""
    k: Annotated[StrictInt, Field(ge=1, le=MAX_K)] = 10
    """How many items to show."""


class FoundItems(Message):
    """Items whose content is most like what was searched with."""

    by: str
    """The modality."""
    items: list[Recommendation]
    """Best first; the score is a cosine. Every item that has the modality is compared."""
    shortfall_reason: str | None
    """Null where k items are shown."""
