"""May these numbers be compared? Their protocol cards beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.compare.sources import Source, numbers_of
from pipeline.errors import ArtifactError

OF_THE_MODEL = frozenset({"model", "fingerprint", "learned_from", "rerank", "k", "interval"})
"""What a card says of the model or the number, not of how it was measured."""
_OF_TIES = "seed"
_OF_DISTANCE, _DISTANCE = "distance", "intra_list_distance"


class ProtocolError(ArtifactError):
    """Numbers of different protocols were to be compared, and it was not forced."""


def check(
    sources: Sequence[Source], split: str, metrics: Sequence[str], *, forced: bool
) -> list[str]:
    """Return what is to be known about the comparison, one line each.

    Raises:
        ProtocolError: the protocol cards differ, or are missing, and it is not forced.
    """
    cards = {source.label: card_of(source, split) for source in sources}
    first, *others = cards.items()
    wrong = [line for other in others for line in _apart(first, other, metrics)]
    wrong += [
        f"{label} has no protocol card for {split}" for label, card in cards.items() if not card
    ]
    if wrong and not forced:
        told = "; ".join(dict.fromkeys(wrong))
        raise ProtocolError(
            f"these numbers were not measured alike: {told}. Evaluate both in the same way, or "
            f"compare them all the same with --force"
        )
    notes = [f"not measured alike: {line}" for line in dict.fromkeys(wrong)]
    return [*notes, *_remarks(cards)]


def card_of(source: Source, split: str) -> Mapping[str, Any]:
    """Return the protocol card of a source's numbers on a split; empty where there is none."""
    whole = [n for n in numbers_of(source) if n["split"] == split and n["slice"] == "all"]
    return whole[0]["card"] if whole else {}


def _apart(
    first: tuple[str, Mapping[str, Any]], other: tuple[str, Mapping[str, Any]],
    metrics: Sequence[str],
) -> Iterator[str]:  # fmt: skip
    (label, ours), (name, theirs) = first, other
    if not ours or not theirs:
        return
    ignored = OF_THE_MODEL | {_OF_TIES}
    if not any(metric.startswith(_DISTANCE) for metric in metrics):
        ignored |= {_OF_DISTANCE}
    for field in sorted(({*ours} | {*theirs}) - ignored):
        if ours.get(field) != theirs.get(field):
            yield (
                f"{field} is {_short(ours.get(field))} for {label} and "
                f"{_short(theirs.get(field))} for {name}"
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _remarks(cards: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what differs and forbids nothing."""
    seeds = {card.get(_OF_TIES) for card in cards.values() if card}
    if len(seeds) > 1:
        yield f"ties are broken by different seeds: {sorted(map(str, seeds))}"
    for label, card in cards.items():
        if card.get("learned_from", "training") != "training":
            yield f"{label} learned from {card['learned_from']}"
