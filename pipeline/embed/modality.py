"""A modality to encode: its distinct inputs, how they are batched, and how a batch is encoded."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.embed.batching import Distinct, by_count, by_length
from pipeline.embed.encoders import ImageEncoder, Recipe, TextEncoder
from pipeline.embed.pictures import PictureError, decode
from pipeline.measure import Task

CPU = "cpu"
TOKENS_AT_ONCE, TOKENS_AT_ONCE_ACCELERATED = 2048, 1 << 16
PICTURES_AT_ONCE, PICTURES_AT_ONCE_ACCELERATED = 16, 256
PROBE_INPUTS = 32
_TOKENIZED_AT_ONCE = 2048

E = TypeVar("E")
Failed = dict[int, str]
"""Place in a batch to reason."""
Work = Callable[[Rows], tuple[Floats, Failed]]


@dataclass(frozen=True)
class Plan:
    """Every batch of a modality and what encodes one; any thread may do any batch.

    Shapes:
        work: (B,) positions to (B, D), rows that failed holding zeros.
    """

    batches: list[Rows]
    work: Work
    width: int


@dataclass(frozen=True)
class Scale:
    """What the size of batches depends on."""

    device: str = CPU
    batch_size: int | None = None

    def of(self, cpu: int, accelerated: int, per_input: int = 1) -> int:
        """Return the size to use: the one asked for, or the default of the device."""
        if self.batch_size:
            return self.batch_size * per_input
        return cpu if self.device == CPU else accelerated

    def gate(self) -> AbstractContextManager[Any]:
        """Return what lets one thread at a time use an accelerator, and all use a CPU."""
        return nullcontext() if self.device == CPU else threading.Lock()


@dataclass(frozen=True)
class Modality(Generic[E]):
    """The inputs of one modality, before anything is encoded."""

    name: str
    recipe: Recipe[E]
    inputs: Distinct[str]
    """Texts, or content hashes of pictures."""
    reasons: Mapping[int, str]
    """Item to reason, for items without an input."""

    def content_hash(self, keys: Sequence[str]) -> str:
        """Return a digest of which item has which input, or why it has none."""
        digest = hashlib.sha256()
        for text in self.inputs.inputs:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        digest.update(self.inputs.rows.astype(np.int64).tobytes())
        for item, reason in sorted(self.reasons.items()):
            digest.update(f"{item}\0{reason}\0".encode())
        digest.update("\0".join(keys).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class Encodable(Protocol[E]):
    """What the stage needs of a modality."""

    @property
    def base(self) -> Modality[E]:
        """Return the inputs."""

    @property
    def unit(self) -> str:
        """Return what an input is called in the plural."""

    def plan(self, encoder: E, scale: Scale, task: Task) -> Plan:
        """Return the batches; ``task`` shows how far looking at the inputs is."""

    def probe(self, encoder: E) -> Callable[[], Floats]:
        """Return a function that encodes one typical batch."""


@dataclass(frozen=True)
class Texts:
    """Texts, in batches of like length."""

    base: Modality[TextEncoder]
    max_tokens: int
    unit: str = "texts"

    def plan(self, encoder: TextEncoder, scale: Scale, task: Task) -> Plan:
        """Tokenise every text, then group by number of tokens."""
        tokens: list[Rows] = []
        texts = self.base.inputs.inputs
        with task.progress("text tokenised", total=len(texts), unit=self.unit) as bar:
            for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
                tokens += encoder.tokenize(texts[start : start + _TOKENIZED_AT_ONCE])
                bar.advance(len(tokens) - start)
        lengths = np.array([len(own) for own in tokens], dtype=np.int64)
        budget = scale.of(TOKENS_AT_ONCE, TOKENS_AT_ONCE_ACCELERATED, self.max_tokens)
        gate = scale.gate()

        def work(batch: Rows) -> tuple[Floats, Failed]:
            """Return the vectors of a batch of texts; none can fail."""
            with gate:
                return encoder.encode([tokens[at] for at in batch]), {}

        return Plan(by_length(lengths, budget), work, encoder.width)

    def probe(self, encoder: TextEncoder) -> Callable[[], Floats]:
        """Encode the first texts in one batch."""
        tokens = encoder.tokenize(self.base.inputs.inputs[:PROBE_INPUTS])
        return lambda: encoder.encode(tokens)


@dataclass(frozen=True)
class Pictures:
    """Pictures, in batches of equal count; a worker decodes its own batch."""

    base: Modality[ImageEncoder]
    paths: Mapping[str, Path]
    """A file of each content hash."""
    unit: str = "pictures"

    def plan(self, encoder: ImageEncoder, scale: Scale, task: Task) -> Plan:
        """Group in order of first appearance."""
        hashes, gate = self.base.inputs.inputs, scale.gate()

        def work(batch: Rows) -> tuple[Floats, Failed]:
            """Return the vectors of a batch of pictures, and those that failed."""
            prepared, failed = self._prepared([hashes[at] for at in batch], encoder)
            vectors = np.zeros((len(batch), encoder.width), dtype=np.float32)
            if prepared:
                with gate:
                    vectors[[*prepared]] = encoder.encode([*prepared.values()])
            return vectors, failed

        size = scale.of(PICTURES_AT_ONCE, PICTURES_AT_ONCE_ACCELERATED)
        return Plan(by_count(len(hashes), size), work, encoder.width)

    def probe(self, encoder: ImageEncoder) -> Callable[[], Floats]:
        """Encode the first pictures that decode, in one batch."""
        prepared, _ = self._prepared(self.base.inputs.inputs[:PICTURES_AT_ONCE], encoder)
        if not prepared:
            return lambda: np.ones((1, 1), dtype=np.float32)
        return lambda: encoder.encode([*prepared.values()])

    def _prepared(
        self, hashes: Sequence[str], encoder: ImageEncoder
    ) -> tuple[dict[int, Floats], Failed]:
        prepared: dict[int, Floats] = {}
        failed: Failed = {}
        for place, name in enumerate(hashes):
            try:
                prepared[place] = encoder.prepare(decode(self.paths[name], encoder.side))
            except PictureError as error:
                failed[place] = str(error)
        return prepared, failed
