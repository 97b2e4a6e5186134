"""The door of the embed stage: tables and pictures in, one set of unit vectors per modality out."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.config import EmbedConfig
from pipeline.embed.content import write_modality
from pipeline.embed.download import Downloader
from pipeline.embed.encode import Bench, encode_modality, hand_over
from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS, ImageEncoder, Recipe, device_of
from pipeline.embed.modality import CPU, Pictures, Scale
from pipeline.embed.pictures import bombs_are_errors
from pipeline.embed.ready import read_ready
from pipeline.embed.sources import Pool, fetch_all, located, pictures, texts, urls_of
from pipeline.embed.workers import one_torch_thread, workers
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
        crew = stack.enter_context(_crew(job))
        bench = _bench(job, items, crew, neural=neural)

        def text() -> Path:
            assert job.config.text is not None
            return encode_modality(texts(items, job.config.text, recipes[TEXT]), bench)

        def image() -> Path:
            return encode_modality(_pictures(job, items, crew, recipes[IMAGE]), bench)

        ways = {TEXT: text, IMAGE: image}
        folders = _side_by_side([ways[name] for name in recipes], crew)
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


@dataclass(frozen=True)
class Crew:
    """The two pools of a run: one computes, one waits for other machines."""

    compute: ThreadPoolExecutor
    fetch: ThreadPoolExecutor

    def dismiss(self) -> None:
        """Drop everything not yet begun."""
        for pool in (self.compute, self.fetch):
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _crew(job: Job[EmbedConfig]) -> Iterator[Crew]:
    with workers(job.threads) as compute, workers(job.config.download.concurrency) as fetch:
        yield Crew(compute, fetch)


def _bench(job: Job[EmbedConfig], items: pa.Table, crew: Crew, *, neural: bool) -> Bench:
    return Bench(
        kept=job.scratch.parent,
        keys=items[KEY].to_pylist(),
        pool=crew.compute,
        threads=job.threads,
        scale=Scale(device_of(job.runtime.device) if neural else CPU, job.runtime.batch_size),
        task=job.task,
        asked=job.config.precision,
    )


def _pictures(
    job: Job[EmbedConfig], items: pa.Table, crew: Crew, recipe: Recipe[ImageEncoder]
) -> Pictures:
    download = job.config.download
    fetching = Pool(crew.fetch, download.concurrency, job.task)
    with closing(Downloader(job.scratch.parent / DOWNLOADS, download, seed=job.seed)) as downloader:
        fetched = fetch_all(urls_of(items), downloader, fetching)
    found = located(items, job.data.images, fetched)
    return pictures(found, recipe, Pool(crew.compute, job.threads, job.task))


def _side_by_side(ways: list[Callable[[], Path]], crew: Crew) -> list[Path]:
    """Return what each gives; all run at once and give their batches to the same workers in turn.

    The first failure ends the others.
    """
    with workers(max(1, len(ways))) as drivers:
        begun: list[Future[Path]] = [drivers.submit(way) for way in ways]
        try:
            ended, _ = wait(begun, return_when=FIRST_EXCEPTION)
            for future in sorted(ended, key=begun.index):
                future.result()
            return [future.result() for future in begun]
        except BaseException:
            crew.dismiss()
            raise
