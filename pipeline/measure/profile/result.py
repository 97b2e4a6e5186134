"""What a profile found, and the folder that it is written to."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.measure.bottleneck import Bottleneck
from pipeline.measure.cost import Cost
from pipeline.measure.profile.ceilings import Ceilings
from pipeline.measure.profile.flame import svg
from pipeline.measure.profile.operators import Row
from pipeline.measure.profile.stacks import NO_STACKS, Sampled
from pipeline.measure.profile.words import stack_sentences

SUMMARY, FLAME, FOLDED, TRACE = "profile.json", "flame.svg", "stacks.txt", "trace.json"
_SMALL_TRACE = 20_000_000
"""Bytes of a trace that is left as it is; a larger one is compressed, which viewers read too."""


@dataclass(frozen=True)
class Rates:
    """What was computed and moved by operators whose work is known, over the whole time."""

    flops: float | None
    bytes: float | None
    flops_per_second: float | None
    bytes_per_second: float | None
    flops_share: float | None
    """Of the ceiling."""
    bytes_share: float | None

    @classmethod
    def of(cls, flops: float | None, moved: float | None, cost: Cost, most: Ceilings) -> "Rates":
        """Return the rates of so much work over the time of a cost."""
        wall = max(cost.wall_seconds, 1e-9)
        by_flops = None if flops is None else flops / wall
        by_bytes = None if moved is None else moved / wall
        return cls(
            flops, moved, by_flops, by_bytes,
            None if by_flops is None else by_flops / most.flops_per_second,
            None if by_bytes is None else by_bytes / most.bytes_per_second,
        )  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """Where the time of a piece of work went."""

    cost: Cost
    operators: Sequence[Row]
    parts: Sequence[Row]
    """Layers and observed functions."""
    outside_seconds: float | None
    """Of the main thread in none of the operators; None where torch was not used."""
    ceilings: Ceilings
    rates: Rates
    bottleneck: Bottleneck
    sentences: Sequence[str]
    trace: bytes | None
    """The Chrome trace, compressed; None where torch was not used."""
    sampled: Sampled = NO_STACKS

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the trace and the stacks as JSON values."""
        return {
            "cost": self.cost.as_dict(),
            "operators": [row.as_dict() for row in self.operators],
            "parts": [row.as_dict() for row in self.parts],
            "outside_seconds": self.outside_seconds,
            "ceilings": asdict(self.ceilings),
            "rates": asdict(self.rates),
            "bottleneck": asdict(self.bottleneck),
            "sentences": [*self.sentences],
            "stack_sentences": stack_sentences(self.sampled),
            "stacks": {
                "samples": self.sampled.samples,
                "native": self.sampled.native,
                "missing": self.sampled.missing,
            },
        }

    def write(self, into: Path, title: str) -> list[Path]:
        """Fill a folder with the summary, the flame graph and the trace, and return the files.

        Files of an earlier profile in the same folder are replaced, or removed where this one has
        none of them.
        """
        into.mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY, FLAME, FOLDED, TRACE, f"{TRACE}.gz"):
            (into / name).unlink(missing_ok=True)
        (into / SUMMARY).write_text(json.dumps({"title": title} | self.as_dict(), indent=1) + "\n")
        written = [into / SUMMARY]
        if self.sampled.missing is None:
            lines = (f"{';'.join(s)} {n}" for s, n in sorted(self.sampled.stacks.items()))
            (into / FOLDED).write_text("\n".join(lines) + "\n")
            (into / FLAME).write_text(svg(self.sampled.stacks, title))
            written += [into / FLAME, into / FOLDED]
        if self.trace is not None:
            written.append(_write_trace(into, self.trace))
        return written


def _write_trace(into: Path, packed: bytes) -> Path:
    """Write the trace, plain where it is small: its last four bytes tell the size."""
    size = int.from_bytes(packed[-4:], "little")
    path = into / (TRACE if size <= _SMALL_TRACE else f"{TRACE}.gz")
    path.write_bytes(gzip.decompress(packed) if size <= _SMALL_TRACE else packed)
    return path
