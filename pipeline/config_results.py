"""Sections of the configuration that follow training: what is measured, and what is served."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.sections import Section


class RerankConfig(Section):
    """A re-ranking of our model's lists, reported beside them with what it costs."""

    mmr_lambda: float | None = Field(None, ge=0, le=1)
    """Maximal marginal relevance: weight of relevance against novelty in the list; null: none."""
    max_per: Mapping[Literal["category", "categories", "brand"], Annotated[int, Field(ge=1)]] = (
        Field(default_factory=dict)
    )
    """Most items of a list with one label; ``category`` is an item's last, the most specific."""
    candidates: int = Field(100, ge=1)
    """Of so many of the best a list is made; never fewer than its length."""

    @model_validator(mode="after")
    def _must_ask_for_something(self) -> "RerankConfig":
        if self.mmr_lambda is None and not self.max_per:
            raise ValueError("give mmr_lambda, max_per or both; without them nothing is re-ranked")
        return self


class EvaluateConfig(Section):
    """Models to a report."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field((5, 10, 20, 50), min_length=1)
    """List lengths."""
    candidates: Literal["all", "train"] = "all"
    """Rank every item, or only items with a training interaction."""
    mask: Literal["train", "train+validation"] = "train+validation"
    """What is left out of the test ranking; MMRec masks train alone."""
    resamples: int = Field(2000, ge=100)
    """Bootstrap resamples for the 95 % intervals."""
    rerank: Mapping[str, RerankConfig] = Field(default_factory=dict)
    """Re-rankings of our model, by name; each stands in the report beside it."""


class IndexConfig(Section):
    """A model to a bundle."""

    method: Literal["auto", "flat", "ivf", "hnsw"] = "auto"
    """``auto`` takes flat up to 50,000 items, ivf above."""
    compress: Literal["none", "sq8", "sq4", "pq", "opq", "binary"] = "none"
    """What the index holds of an item: its vector, a byte or half a byte a dimension, a product
    quantiser's code without or with a rotation learned first, or a bit a dimension (flat alone).
    Candidates are scored afresh by the full vectors, which stay on disk and are mapped."""
    code_bytes: int | None = Field(None, ge=1)
    """Of a pq or opq code; null takes half as many as the vector has dimensions."""
    rescore: int = Field(4, ge=2, le=64)
    """Of codes: candidates scored afresh for each item wanted; doubled until the floor is met."""
    hnsw_links: int = Field(32, ge=4)
    """Links per node."""
    ef_construction: int = Field(40, ge=8)
    """Effort of building."""
    ef_search: int = Field(128, ge=8)
    """Effort of searching."""
    ivf_lists: int | None = Field(None, ge=1)
    """Inverted lists; null takes the power of two near 4 times the root of the items."""
    ivf_probes: int = Field(256, ge=1)
    """Lists looked at in a search; doubled until the floor is met, as ``ef_search`` is."""
    audit_queries: int = Field(1000, ge=1)
    """Users whose exact top-k the index is measured against."""
    audit_k: int = Field(20, ge=1)
    """The k of that measurement."""
    known_lists: int = Field(128, ge=0, le=10_000)
    """Items of each trained user's list that is made beforehand, four bytes each; 0 makes none."""
    recall_floor: float = Field(0.95, ge=0, le=1)
    """The stage fails, and the service is not ready, below this recall."""
    live: bool = True
    """Whether the bundle brings what the service needs to take new items and to search by text or
    picture: the network's kit and the vectors of every modality, as hard links where the store can.
    """

    @model_validator(mode="after")
    def _codes_must_fit(self) -> "IndexConfig":
        codes = {"hnsw": ("none", "sq8", "sq4"), "ivf": ("none", "sq8", "sq4", "pq", "opq")}
        if self.compress not in codes.get(self.method, (self.compress,)):
            found = f"compress {self.compress} does not go with method {self.method}"
            raise ValueError(f"{found}; take one of {codes[self.method]}, or method flat")
        return self
