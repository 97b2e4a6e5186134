"""How an index is built and searched: the search, the codes it holds, and what ``auto`` means."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.config import IndexConfig

Method = Literal["flat", "ivf", "hnsw"]
Codes = Literal["none", "sq8", "sq4", "pq", "opq", "binary"]

FLAT_LIMIT = 50_000
"""Up to this many items, comparing with every one is fast enough."""


@dataclass(frozen=True)
class Recipe:
    """How an index is built and searched."""

    method: Method = "flat"
    codes: Codes = "none"
    code_bytes: int = 0
    """Of a product quantiser; a divisor of the width."""
    depth: int = 1
    """Candidates per item wanted that are scored afresh by their full vectors."""
    links: int = 32
    """HNSW: links per node."""
    ef_construction: int = 40
    """HNSW: candidates kept while building."""
    ef_search: int = 128
    """HNSW: candidates kept while searching."""
    lists: int = 1
    """IVF: how many lists the items are divided into."""
    probes: int = 32
    """IVF: lists looked at in a search."""

    @classmethod
    def of(cls, config: IndexConfig, shape: tuple[int, int]) -> "Recipe":
        """Return the recipe that a configuration means for (items, width)."""
        items, width = shape
        return cls(
            choose(config.method, items, config.compress),
            config.compress,
            code_bytes(width, config.code_bytes),
            1 if config.compress == "none" else config.rescore,
            config.hnsw_links,
            config.ef_construction,
            config.ef_search,
            lists(items, config.ivf_lists),
            config.ivf_probes,
        )

    def told(self) -> dict[str, Any]:
        """Return what was asked for, as facts."""
        told: dict[str, Any] = {"method": self.method, "compress": self.codes}
        if self.codes in ("pq", "opq"):
            told["code_bytes"] = self.code_bytes
        if self.method == "hnsw":
            told |= {"links": self.links, "ef_construction": self.ef_construction}
            told["ef_search_asked"] = self.ef_search
        if self.method == "ivf":
            told |= {"lists": self.lists, "probes_asked": self.probes}
        return told


def choose(method: str, n_items: int, codes: Codes = "none") -> Method:
    """Return the method that ``auto`` means for so many items, or the one that was asked for.

    On the vectors of a trained catalogue, many short ones beside few long ones, lists probed by
    their longest vector find as much as a small world in a fortieth of the time (docs/log.md).
    """
    if method == "auto":
        return "flat" if n_items <= FLAT_LIMIT or codes == "binary" else "ivf"
    return "hnsw" if method == "hnsw" else "ivf" if method == "ivf" else "flat"


def code_bytes(width: int, asked: int | None) -> int:
    """Return the bytes of a product quantiser's code: those asked for, or half the width.

    It codes equal parts of a vector, so the largest divisor of the width up to that is taken.
    """
    most = min(width, asked or max(1, width // 2))
    return next(parts for parts in range(most, 0, -1) if width % parts == 0)


def lists(n_items: int, asked: int | None) -> int:
    """Return how many lists so many items are divided into: the power of two near 4 sqrt(N)."""
    if asked is None:
        asked = 1 << max(0, round(4 * n_items**0.5) - 1).bit_length()
    return max(1, min(asked, n_items))
