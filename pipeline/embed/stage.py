"""The door of the embed stage: tables and pictures in, one set of unit vectors per modality out."""

from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa

from pipeline.config import EmbedConfig
from pipeline.embed.content import write_modality
from pipeline.embed.download import Downloader
from pipeline.embed.encode import Bench, encode_modality, hand_over
from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS, Recipe, device_of
from pipeline.embed.modality import CPU, Scale
from pipeline.embed.pictures import bombs_are_errors
from pipeline.embed.ready import read_ready
from pipeline.embed.sources import Found, fetch_all, located, pictures, texts, urls_of
from pipeline.embed.workers import Workers, one_torch_thread, side_by_side, workers
from pipeline.errors import DataError
from pipeline.job import Facts, Job
from pipeline.schema import KEY

DOWNLOADS = "downloads"
TEXT, IMAGE = "text", "image"


def run(job: Job[EmbedConfig]) -> Facts:
    """Write every modality of every item, and return by modality what is in the files.

    A modality that no item has leaves only its ``<m>_missing.parquet``.

    Raises:
        DataError: ready-made vectors do not fit the catalogue, or the pictures folder is missing.
        ConfigError: an encoder cannot be loaded.
    """
    items = job.inputs["tables"].table("items.parquet")
    facts = {name: _ready(job, name, path, items) for name, path in job.data.vectors.items()}
    facts |= _encoded(job, items)
    return {"items": items.num_rows, "modalities": dict(sorted(facts.items()))}


def _ready(job: Job[EmbedConfig], name: str, path: Path, items: pa.Table) -> Facts:
    keys = items[KEY].to_pylist()
    ready = read_ready(path, name, keys)
    written = write_modality(job.into, name, ready.content, keys)
    return {"encoder": "given", **asdict(written), "unknown_keys": ready.unknown_keys}


def _encoded(job: Job[EmbedConfig], items: pa.Table) -> dict[str, Facts]:
    """Encode what is configured and not given as vectors, every modality at once."""
    recipes = _recipes(job)
    neural = any(recipe.neural for recipe in recipes.values())
    with ExitStack() as stack:
        stack.enter_context(bombs_are_errors())
        if neural:
            stack.enter_context(one_torch_thread())
        crew = stack.enter_context(workers(job.threads, Event()))
        bench = _bench(job, items, crew, neural=neural)

        def text() -> Path:
            """Return the folder of the finished text vectors."""
            assert job.config.text is not None
            return encode_modality(texts(items, job.config.text, recipes[TEXT]), bench)

        def image() -> Path:
            """Return the folder of the finished image vectors."""
            found = located(items, job.data.images, _fetched(job, items, crew.stop))
            return encode_modality(pictures(found, recipes[IMAGE], crew, job.task), bench)

        ways = {TEXT: text, IMAGE: image}
        folders = side_by_side([ways[name] for name in recipes], crew.stop)
    return {
        name: hand_over(folder, job.into) for name, folder in zip(recipes, folders, strict=True)
    }


def _recipes(job: Job[EmbedConfig]) -> dict[str, Recipe[Any]]:
    """Return the encoders to use; a wrong name fails here, before anything is downloaded."""
    config, given = job.config, job.data.vectors
    recipes: dict[str, Recipe[Any]] = {}
    if config.text and TEXT not in given:
        recipes[TEXT] = TEXT_ENCODERS[config.text.encoder](config.text)
    if config.image and IMAGE not in given:
        folder = job.data.images
        if folder is not None and not folder.is_dir():
            raise DataError(f"data.images: {folder} is not a folder; name the pictures' folder")
        recipes[IMAGE] = IMAGE_ENCODERS[config.image.encoder](config.image)
    return recipes


def _bench(job: Job[EmbedConfig], items: pa.Table, crew: Workers, *, neural: bool) -> Bench:
    return Bench(
        kept=job.scratch.parent,
        keys=items[KEY].to_pylist(),
        workers=crew,
        scale=Scale(device_of(job.runtime.device) if neural else CPU, job.runtime.batch_size),
        task=job.task,
        asked=job.config.precision,
    )


def _fetched(job: Job[EmbedConfig], items: pa.Table, stop: Event) -> dict[str, Found]:
    """Fetch pictures by URL, while the text modality computes."""
    urls, config = urls_of(items), job.config.download
    if not urls:
        return {}
    cache = job.scratch.parent / DOWNLOADS
    downloader = Downloader(cache, config, seed=job.seed, sleep=stop.wait)
    with closing(downloader), workers(config.concurrency, stop) as crew:
        return fetch_all(urls, downloader, crew, job.task)
