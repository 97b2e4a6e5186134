"""From the items table to modalities: each item's text, and its picture found or fetched."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.config import TextConfig
from pipeline.embed.batching import distinct
from pipeline.embed.download import Downloader, is_url
from pipeline.embed.encoders import ImageEncoder, Recipe, TextEncoder
from pipeline.embed.modality import Modality, Pictures, Texts
from pipeline.embed.pictures import PictureError, PictureFolder, digest
from pipeline.embed.text import texts_of
from pipeline.embed.workers import Workers
from pipeline.measure import Task
from pipeline.schema import IMAGE, KEY

NO_TEXT, NO_IMAGE, NO_FOLDER = "no_text", "no_image", "no_folder"
_HASHED_AT_ONCE = 32

Found = Path | str
"""A picture's file, or the reason there is none."""


def texts(items: pa.Table, config: TextConfig, recipe: Recipe[TextEncoder]) -> Texts:
    """Return the text modality of the items."""
    inputs = distinct([text or None for text in texts_of(items, config.fields)])
    lacking = {item: NO_TEXT for item, row in enumerate(inputs.rows.tolist()) if row < 0}
    return Texts(Modality("text", recipe, inputs, lacking), config.max_tokens)


def pictures(
    found: Sequence[Found], recipe: Recipe[ImageEncoder], crew: Workers, task: Task
) -> Pictures:
    """Return the image modality of the items, pictures told apart by content."""
    hashed = _hashes([place for place in found if isinstance(place, Path)], crew, task)
    hashes, reasons = [], {}
    for item, place in enumerate(found):
        outcome = hashed[place] if isinstance(place, Path) else PictureError(place)
        if isinstance(outcome, PictureError):
            reasons[item] = str(outcome)
        hashes.append(None if isinstance(outcome, PictureError) else outcome)
    paths: dict[str, Path] = {}
    for place, name in zip(found, hashes, strict=True):
        if name is not None and isinstance(place, Path):
            paths.setdefault(name, place)
    return Pictures(Modality("image", recipe, distinct(hashes), reasons), paths)


def _hashes(paths: Sequence[Path], crew: Workers, task: Task) -> dict[Path, str | PictureError]:
    unique = sorted(set(paths))
    blocks = [unique[at : at + _HASHED_AT_ONCE] for at in range(0, len(unique), _HASHED_AT_ONCE)]
    hashed: dict[Path, str | PictureError] = {}
    with task.progress("pictures read", total=len(unique), unit="pictures") as bar:
        for block, digests in crew.each(_digests, blocks):
            hashed.update(zip(block, digests, strict=True))
            bar.advance(len(block))
    return hashed


def _digests(block: Sequence[Path]) -> list[str | PictureError]:
    return [_outcome(path) for path in block]


def _outcome(path: Path) -> str | PictureError:
    try:
        return digest(path)
    except PictureError as error:
        return error


def located(items: pa.Table, folder: Path | None, fetched: Mapping[str, Found]) -> list[Found]:
    """Return each item's picture file, or the reason it has none, in order of row.

    ``fetched`` holds the outcome of every URL.
    """
    index = PictureFolder(folder) if folder else None
    named = zip(items[IMAGE].to_pylist(), items[KEY].to_pylist(), strict=True)
    return [_located(image, key, index, fetched) for image, key in named]


def _located(
    image: str | None, key: str, index: PictureFolder | None, fetched: Mapping[str, Found]
) -> Found:
    if image is not None and image in fetched:
        return fetched[image]
    if index is None:
        return NO_FOLDER if image else NO_IMAGE
    try:
        return index.find(image, key)
    except PictureError as error:
        return str(error)


def urls_of(items: pa.Table) -> list[str]:
    """Return the distinct picture URLs of the items, sorted."""
    return sorted({image for image in items[IMAGE].to_pylist() if image and is_url(image)})


def fetch_all(
    urls: Sequence[str], downloader: Downloader, crew: Workers, task: Task
) -> dict[str, Found]:
    """Return the file of each URL, or the reason there is none."""
    outcomes: dict[str, Found] = {}

    def fetch(url: str) -> Found:
        """Return the picture's bytes, or why there are none."""
        try:
            return downloader.fetch(url)
        except PictureError as error:
            return str(error)

    with task.progress("pictures fetched", total=len(urls), unit="pictures") as bar:
        for url, outcome in crew.each(fetch, urls):
            outcomes[url] = outcome
            bar.advance()
    return outcomes
