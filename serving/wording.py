"""Reasons as sentences."""

from serving.catalogue import Item
from serving.messages import Reason
from serving.reasons import TOGETHER, Edge

MODEL, POPULAR = "model", "popular"

_ALIKE = {
    MODEL: "liked by the same people (model)",
    TOGETHER: "taken by the same people",
    "text": "similar text",
    "image": "similar picture",
}
_CONNECTED = {
    TOGETHER: "often taken together with",
    "text": "reads like",
    "image": "looks like",
}

TASTE = Reason(relation=MODEL, text="similar to your taste (model)")
"""What is said where the model sees more than any single edge."""


def alike(relation: str) -> Reason:
    """Return why an item is like another by a relation."""
    return Reason(relation=relation, text=_ALIKE.get(relation, f"similar {relation}"))


def popularity(takers: int) -> Reason:
    """Return how many users have an item."""
    people = "1 user has it" if takers == 1 else f"{takers} users have it"
    return Reason(relation=POPULAR, text=f"popular: {people}", weight=takers)


def connection(edge: Edge, owned: Item) -> Reason:
    """Return an edge to an item that the user has as a sentence with its title."""
    phrase = _CONNECTED.get(edge.relation, f"near by {edge.relation} to")
    return Reason(
        relation=edge.relation,
        text=f"{phrase} “{owned.name}”",
        item=owned.key,
        title=owned.title,
        weight=edge.weight,
    )
