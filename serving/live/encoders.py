"""The bundle's own encoders, on first need: the one module of the service that imports a stage.

A new item must be turned into the same vectors as those that the network was trained with, so by
the same code, weights and precision; the bundle tells which. What this machine has is compared with
that before anything is encoded (docs/decisions/0014).
"""

import io
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.arrays import Floats
from pipeline.config import DownloadConfig, ImageConfig, TextConfig
from pipeline.errors import DataError, PlotpointeError
from pipeline.newcomers import Content

if TYPE_CHECKING:
    from pipeline.embed.encoders import Recipe

TEXT, IMAGE = "text", "image"


Calls = Callable[[Callable[[], Any]], Any]
"""Carries out some work, or refuses to."""


def direct(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work returns
    """Return what ``work`` returns."""
    return work()


class NoEncoderError(DataError):
    """Nothing here turns that into the bundle's vectors: 409."""


class UnusablePictureError(DataError):
    """The picture cannot be fetched or decoded: 422."""


@dataclass
class Encoders:
    """Turns texts and pictures into the vectors of one bundle; threads may share it."""

    contents: Mapping[str, Content]
    on: bool = True
    breaker: Calls = direct
    """What encoding goes through, so that a broken encoder is not asked again and again."""
    allow_private: bool = False
    """Whether pictures are fetched from addresses of private networks; for tests."""
    _loaded: dict[str, Any] = field(default_factory=dict, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def text(self, fields: Mapping[str, Any], modality: str = TEXT) -> Floats | None:
        """Return the vector of an item's fields, None where they say nothing.

        Raises:
            NoEncoderError: there is no such encoder here.
        """
        from pipeline.embed.text import compose_text

        config = self._config(modality)
        text = compose_text(fields, TextConfig.model_validate(config).fields)
        return self.words(text, modality) if text else None

    def words(self, text: str, modality: str = TEXT) -> Floats:
        """Return the vector of a text.

        Raises:
            NoEncoderError: there is no such encoder here.
        """
        encoder = self._encoder(modality, TEXT)
        found: Floats = self.breaker(lambda: encoder.encode(encoder.tokenize([text])))[0]
        return found

    def picture(self, data: bytes, modality: str = IMAGE) -> Floats:
        """Return the vector of a picture.

        Raises:
            NoEncoderError: there is no such encoder here.
            UnusablePictureError: the bytes are no picture that can be decoded.
        """
        from pipeline.embed.pictures import PictureError, decode

        encoder = self._encoder(modality, IMAGE)
        try:
            prepared = encoder.prepare(decode(io.BytesIO(data), encoder.side))
        except PictureError as error:
            raise UnusablePictureError(f"the picture cannot be used: {error}") from error
        found: Floats = self.breaker(lambda: encoder.encode([prepared]))[0]
        return found

    def fetch(self, url: str, max_bytes: int, seconds: float) -> bytes:
        """Return what a URL holds, from public addresses alone, within a size and a time.

        Raises:
            NoEncoderError: encoders are switched off, and so is fetching for them.
            UnusablePictureError: it cannot be had, or it is no picture.
        """
        from pipeline.embed.download import Downloader
        from pipeline.embed.pictures import PictureError

        self._must_be_on()
        config = DownloadConfig(
            concurrency=1, timeout_seconds=seconds, attempts=1, max_bytes=max_bytes,
            allow_private=self.allow_private,
        )  # fmt: skip
        with TemporaryDirectory() as folder, closing(Downloader(Path(folder), config)) as loader:
            try:
                return loader.fetch(url).read_bytes()
            except PictureError as error:
                raise UnusablePictureError(f"the picture cannot be fetched: {error}") from error

    def can(self, modality: str) -> bool:
        """Return whether a modality can be encoded here, without loading anything."""
        known = self.contents.get(modality)
        return self.on and known is not None and known.config is not None

    def _must_be_on(self) -> None:
        if not self.on:
            raise NoEncoderError(
                "encoders are switched off here, so texts and pictures cannot be turned into "
                "vectors; send ready-made ones, or start the service with encoders: on"
            )

    def _config(self, modality: str) -> Mapping[str, Any]:
        self._must_be_on()
        known = self.contents.get(modality)
        if known is None:
            raise NoEncoderError(
                f"the bundle has no modality {modality!r}; it has {sorted(self.contents)}"
            )
        if known.config is None:
            raise NoEncoderError(
                f"the bundle's {modality} vectors were given ready-made, so no encoder is known "
                f"for them; send vectors of {known.width} numbers"
            )
        return known.config

    def _encoder(self, modality: str, kind: str) -> Any:  # noqa: ANN401 - of either protocol
        config = self._config(modality)
        with self._turn:
            if modality not in self._loaded:
                self._loaded[modality] = self._load(self.contents[modality], config, kind)
            return self._loaded[modality]

    def _load(self, content: Content, config: Mapping[str, Any], kind: str) -> Any:  # noqa: ANN401
        from pipeline.embed.encoders import Placement

        try:
            recipe = _recipe(config, kind)
            _must_be_the_same(content, recipe.identity)
            precision = content.encoder.get("precision", {}).get("precision", "float32")
            return recipe.load(Placement("cpu", precision))
        except NoEncoderError:
            raise
        except (PlotpointeError, ImportError, OSError) as error:
            raise NoEncoderError(
                f"the encoder of {content.name} cannot be loaded: {error}"
            ) from error


def _recipe(config: Mapping[str, Any], kind: str) -> "Recipe[Any]":
    from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS

    if kind == TEXT:
        text = TextConfig.model_validate(config)
        return TEXT_ENCODERS[text.encoder](text)
    image = ImageConfig.model_validate(config)
    return IMAGE_ENCODERS[image.encoder](image)


def _must_be_the_same(content: Content, identity: Mapping[str, Any]) -> None:
    """Refuse an encoder whose weights or settings are not those that made the bundle's vectors."""
    ours = orjson.loads(orjson.dumps(dict(identity)))
    other = {name: value for name, value in ours.items() if content.encoder.get(name) != value}
    if other:
        theirs = {name: content.encoder.get(name) for name in other}
        raise NoEncoderError(
            f"the encoder of {content.name} here has {other}; the bundle's vectors were made with "
            f"{theirs}. Install that one, or send vectors"
        )
