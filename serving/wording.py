"""Reasons as sentences: the fields of a ``Reason``."""

from serving.reasons import TOGETHER, Edge
from serving.summaries import Plain

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


def alike(relation: str) -> Plain:
    """Return why an item is like another by a relation."""
    return _reason(relation, _ALIKE.get(relation, f"similar {relation}"))


def popularity(takers: int) -> Plain:
    """Return how many users have an item."""
    people = "1 user has it" if takers == 1 else f"{takers} users have it"
    return {**_reason(POPULAR, f"popular: {people}"), "weight": float(takers)}


def connection(edge: Edge, key: str, title: str | None) -> Plain:
    """Return an edge to an item that the user has as a sentence with its title."""
    phrase = _CONNECTED.get(edge.relation) or f"near by {edge.relation} to"
    return {
        "relation": edge.relation,
        "text": f"{phrase} “{title or key}”",
        "item": key,
        "title": title,
        "weight": edge.weight,
    }


def _reason(relation: str, text: str) -> Plain:
    return {"relation": relation, "text": text, "item": None, "title": None, "weight": None}


TASTE = _reason(MODEL, "similar to your taste (model)")
"""What is said where the model sees more than any single edge."""
