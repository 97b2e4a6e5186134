"""From what was sent to content: the one place where texts and pictures become vectors."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.arrays import Floats
from pipeline.schema import BRAND, CATEGORIES, DESCRIPTION, IMAGE, PRICE, TITLE
from serving.live import uploads
from serving.live.attach import ContentError
from serving.live.encoders import IMAGE as PICTURES
from serving.live.encoders import TEXT as TEXTS
from serving.live.encoders import Encoders, NoEncoderError
from serving.live.records import digest_of
from serving.live.state import Live, Put
from serving.messages_items import ContentQuery, NewItem

FETCH_SECONDS = 10.0
FETCH_BYTES = 10_000_000

_FIELDS = (TITLE, DESCRIPTION, BRAND, CATEGORIES, PRICE)


@dataclass(frozen=True)
class Door:
    """Takes items and queries with content; threads may share it."""

    live: Live
    encoders: Encoders
    state: Path

    def put(self, item: NewItem, upload: bytes | None = None) -> Put:
        """Add an item, or put it in the place of the one with its key.

        Raises:
            ContentError: something that was sent cannot be used.
            NoEncoderError: it cannot be encoded here, and no vector came with it.
            StorageError: it cannot be written; nothing was changed.
        """
        self.live.attaching.must_attach()
        sent = item.model_dump(mode="json")
        digest = digest_of({**sent, "upload": hashlib.sha256(upload or b"").hexdigest()})
        if self.live.holds(item.id, digest):
            return Put(created=False, changed=False)
        fields: dict[str, Any] = {name: sent[name] for name in _FIELDS}
        content = {
            name: self.live.attaching.content_of(name, vector)
            for name, vector in item.vectors.items()
        }
        content |= self._text(fields, content)
        picture = self._picture_of(item, content, upload)
        if picture is not None:
            content |= self._picture(picture, content)
        shown = None if picture is None else uploads.kept(picture, self.state)
        fields[IMAGE] = item.image_url or shown
        fields |= self.live.attributes(item.attributes)
        return self.live.put(item.id, fields, content, digest)

    def query(self, query: ContentQuery, upload: bytes | None = None) -> tuple[str, Floats]:
        """Return the modality that is searched, and the vector that it is searched with.

        Raises:
            ContentError: not exactly one thing was sent, or it cannot be used.
            NoEncoderError: it cannot be encoded here.
        """
        sent = [query.text, query.image_base64, query.image_url, query.vector, upload]
        if sum(each is not None for each in sent) != 1:
            raise ContentError("send exactly one of text, image_base64, image_url and vector")
        place = self.live.attaching.content_of
        if query.vector is not None:
            if query.by is None:
                raise ContentError("a vector wants by, the modality that it is of")
            return query.by, place(query.by, query.vector)
        if query.text is not None:
            vector = self.encoders.words(query.text, TEXTS)
            return query.by or TEXTS, place(query.by or TEXTS, vector)
        picture = self._bytes(query.image_url, query.image_base64, upload)
        assert picture is not None
        vector = self.encoders.picture(picture, PICTURES)
        return query.by or PICTURES, place(query.by or PICTURES, vector)

    def _text(self, fields: Mapping[str, Any], content: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the text's vector, where it has one, can be made and did not come ready-made."""
        if TEXTS in content or TEXTS not in self.live.attaching.contents:
            return {}
        if content and not self.encoders.can(TEXTS):
            return {}
        if not any(fields.values()):
            return {}
        vector = self.encoders.text(fields)
        return {} if vector is None else self._encoded(TEXTS, vector)

    def _picture_of(
        self, item: NewItem, content: Mapping[str, Floats], upload: bytes | None
    ) -> bytes | None:
        """Return the picture's bytes; None without one, or for a URL that nothing is done with."""
        given = [item.image_url, item.image_base64, upload]
        if sum(each is not None for each in given) > 1:
            raise ContentError("send one picture: image_url, image_base64 or a file")
        if item.image_url is not None and self._needless(content):
            return None
        return self._bytes(item.image_url, item.image_base64, upload)

    def _needless(self, content: Mapping[str, Floats]) -> bool:
        """Return whether a picture would not be encoded."""
        if PICTURES in content or PICTURES not in self.live.attaching.contents:
            return True
        return bool(content) and not self.encoders.can(PICTURES)

    def _picture(self, data: bytes, content: Mapping[str, Floats]) -> dict[str, Floats]:
        if self._needless(content):
            return {}
        return self._encoded(PICTURES, self.encoders.picture(data))

    def _encoded(self, modality: str, vector: Floats) -> dict[str, Floats]:
        """Return what an encoder made, nothing where that is zero: so does the batch pipeline."""
        if not vector.any():
            return {}
        return {modality: self.live.attaching.content_of(modality, vector)}

    def _bytes(self, url: str | None, base64: str | None, upload: bytes | None) -> bytes | None:
        if url is not None:
            return uploads.checked(self.encoders.fetch(url, FETCH_BYTES, FETCH_SECONDS))
        data = upload if base64 is None else uploads.decoded(base64)
        return None if data is None else uploads.checked(data)


__all__ = ["ContentError", "Door", "NoEncoderError"]
