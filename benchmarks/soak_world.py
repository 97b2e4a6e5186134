"""What a soak asks of, and what every list should be: each bundle asked alone, in process."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak_asking import WITHOUT_OURS, K, Lists
from pipeline.artifacts import Store
from serving.bundle import Bundle
from serving.live.attach import Attaching
from serving.recommender import Recommender
from serving.requests import RecommendRequest


@dataclass(frozen=True)
class World:
    """What is asked of, and what the bundles answer."""

    bundles: list[str]
    users: list[str]
    fed: list[str]
    """Users who give feedback."""
    items: list[str]
    widths: Mapping[str, int]
    lists: Lists

    @classmethod
    def of(cls, store: Path) -> "World":
        """Return the world of a store's bundles.

        Raises:
            SystemExit: there are not two bundles, or their users differ.
        """
        bundles = [Bundle.of(artifact) for artifact in Store(store).all("bundle")]
        if len(bundles) < 2:
            raise SystemExit("the store holds fewer than two bundles")
        first = bundles[0]
        users = [str(key) for key in first.users.keys]
        if any([*map(str, bundle.users.keys)] != users for bundle in bundles):
            raise SystemExit("the bundles are not of the same users")
        random.Random(0).shuffle(users)
        widths = {name: each.width for name, each in Attaching(first).contents.items()}
        least = min(widths, key=lambda name: widths[name])
        items = [str(key) for key in first.catalogue.ids.keys]
        lists = {bundle.fingerprint: _lists(bundle, users) for bundle in bundles}
        names = [bundle.fingerprint for bundle in bundles]
        return cls(names, users, users[: len(users) // 10], items, {least: widths[least]}, lists)


def _lists(bundle: Bundle, users: list[str]) -> dict[str, dict[str, float]]:
    """Return what a bundle alone answers; a filter that leaves every item changes nothing."""
    recommender = Recommender(bundle)

    def best(user: str, **more: object) -> dict[str, float]:
        """Return a user's best items with their scores."""
        asked = {"user": user, "k": K + 5, "explain": False, **more}
        answer = recommender.plain([RecommendRequest.model_validate(asked)])[0]
        return {item["id"]: item["score"] for item in answer["items"]}

    found = {user: best(user) for user in users}
    for user in users[:20]:
        if best(user, filter=WITHOUT_OURS) != found[user]:
            raise SystemExit(f"a filter that leaves everything changes the list of {user}")
    return found
