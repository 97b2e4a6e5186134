"""Who answers: the bundles of a moment, and which of them a request meets."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

from serving.bundle import Bundle, SelfCheck
from serving.live.door import Door
from serving.live.state import Live
from serving.messages_operations import Role
from serving.pictures import Pictures
from serving.recommender import Recommender
from serving.requests import RecommendRequest

CONTROL: Final = "control"
CHALLENGER: Final = "challenger"
SHADOW: Final = "shadow"


@dataclass(frozen=True, eq=False)
class Arm:
    """One opened bundle in a role, and all that answers from it."""

    role: Role
    live: Live
    door: Door
    pictures: Pictures
    check: SelfCheck

    @property
    def recommender(self) -> Recommender:
        """Return what answers, knowing everything that was written until now."""
        return self.live.recommender

    @property
    def bundle(self) -> Bundle:
        """Return the bundle, without what is laid over it."""
        return self.live.bundle

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the bundle."""
        return self.bundle.fingerprint

    @property
    def stamp(self) -> Hashable:
        """Return what changes whenever an answer may: the bundle, and what is laid over it."""
        return self.fingerprint, self.live.stamp

    def checked(self) -> "Arm":
        """Return the arm with its index asked for the canaries' lists again."""
        return replace(self, check=self.bundle.self_check())

    def as_role(self, role: Role) -> "Arm":
        """Return the same bundle in another role."""
        return replace(self, role=role)


@dataclass(frozen=True)
class Lineup:
    """The arms of a moment; a request holds on to one lineup from its beginning to its end."""

    control: Arm
    challenger: Arm | None = None
    weight: float = 0.0
    """Share of users who meet the challenger."""
    shadow: Arm | None = None
    shadow_share: float = 0.0
    """Share of requests that are asked of the shadow too."""

    @property
    def arms(self) -> list[Arm]:
        """Return every arm there is."""
        return [arm for arm in (self.control, self.challenger, self.shadow) if arm]

    def arm_of(self, request: RecommendRequest) -> Arm:
        """Return who answers a request: the same arm for the same user, on every worker."""
        challenger = self.challenger
        if challenger is None:
            return self.control
        met = position(challenger.fingerprint, asker_of(request)) < self.weight
        return challenger if met else self.control


def asker_of(request: RecommendRequest) -> str:
    """Return what stands for the one who asks: the user, how the history began, or the request."""
    if request.user is not None:
        return f"user {request.user}"
    if request.history:
        return f"item {request.history[0]}"
    return f"request {request.model_dump_json()}"


def position(salt: str, key: str) -> float:
    """Return where in [0, 1) a key stands; another salt shuffles all keys anew."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64
