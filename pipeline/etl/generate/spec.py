"""What raw files to make: the edition whose shape they have, and how much of everything."""

from dataclasses import dataclass

from pipeline.errors import ConfigError

EDITIONS = (2014, 2018, 2023)
"""Of the Amazon reviews."""

HOT_SHARE = 63_001 / 498_196
"""Of the catalogue that anybody reviewed, in Electronics of 2014."""

_REFERENCE = {"users": 192_403, "items": 498_196, "interactions": 1_689_188}


@dataclass(frozen=True)
class AmazonSpec:
    """The size and the flaws of generated files; the same specification gives the same bytes."""

    edition: int = 2014
    """2014, 2018 or 2023."""
    users: int = 2_000
    """Distinct reviewers."""
    items: int = 5_000
    """Distinct items with metadata; ``HOT_SHARE`` of them have reviews."""
    interactions: int = 18_000
    """Distinct pairs of user and item: good lines of the file of reviews."""
    seed: int = 0
    """Of everything random."""
    bad_share: float = 0.0
    """Bad lines, as a share of the good ones, added to every file."""
    truncated: bool = False
    """Whether the file of reviews breaks off, as an interrupted download does."""

    def __post_init__(self) -> None:
        """Refuse what cannot be made.

        Raises:
            ConfigError: an unknown edition, or more pairs than there are.
        """
        if self.edition not in EDITIONS:
            raise ConfigError(f"there is no edition {self.edition}; known: {[*EDITIONS]}")
        if min(self.users, self.items) < 20 or not 0 <= self.bad_share <= 1:
            raise ConfigError(f"at least 20 users and items, and a share from 0 to 1: {self}")
        if not self.users <= self.interactions <= self.users * self.hot_items // 2:
            raise ConfigError(
                f"{self.interactions} interactions do not suit {self.users} users and "
                f"{self.hot_items} reviewed items: at least one a user, at most half of all pairs"
            )

    @classmethod
    def scaled(cls, edition: int, scale: float, seed: int = 0) -> "AmazonSpec":
        """Return the specification of ``scale`` times Electronics of 2014; 1.0 is the reference.

        Interactions shrink with the scale, users and items a little less, so that small files keep
        something to learn from.
        """
        if not 0 < scale <= 100:
            raise ConfigError(f"scale must be above 0 and at most 100 (got {scale})")
        interactions = max(2_000, round(_REFERENCE["interactions"] * scale))
        return cls(
            edition=edition,
            users=max(200, round(_REFERENCE["users"] * scale)),
            items=max(800, round(_REFERENCE["items"] * scale)),
            interactions=interactions,
            seed=seed,
        )

    @property
    def hot_items(self) -> int:
        """Return how many items have reviews."""
        return max(20, round(self.items * HOT_SHARE))
