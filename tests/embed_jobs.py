"""Jobs for the embed stage, pictures to embed, and an encoder that counts and can be stopped."""

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline import files, measure, schema
from pipeline.artifacts import Artifact, Store
from pipeline.config import DataConfig, EmbedConfig, RuntimeConfig
from pipeline.embed.encoders import Recipe
from pipeline.embed.encoders.text import TinyText
from pipeline.job import Job
from tests.worlds import publish

TINY = EmbedConfig.model_validate({"text": {"encoder": "tiny"}, "image": {"encoder": "tiny"}})


def item(key: str, title: str | None = None, image: str | None = None) -> dict[str, object]:
    return {"key": key, "title": title, "description": None, "brand": None, "categories": None,
            "price": None, "image": image}  # fmt: skip


def tables(store: Store, rows: list[dict[str, object]]) -> Artifact:
    def write(into: Path) -> None:
        table = pa.Table.from_pylist(rows, schema=schema.ITEMS)
        files.write_table(into / "items.parquet", table)

    return publish(store, "tables", f"7ab1e{len(rows)}", write)


def job(root: Path, rows, config=TINY, *, data=None, fingerprint="e3bed", threads=2, runtime=None):
    """Return a job on the store in ``root``; its ``into`` is empty."""
    store = Store(root)
    into = root / f"into-{fingerprint}-{len(list(root.glob('into-*')))}"
    into.mkdir(parents=True)
    return Job(
        config=config,
        data=DataConfig.model_validate({"format": "table", **(data or {})}),
        inputs={"tables": tables(store, rows)},
        into=into,
        scratch=store.scratch("embed", fingerprint),
        task=measure.Task("embed"),
        threads=threads,
        runtime=runtime or RuntimeConfig(),
    )


def picture(seed: int, size: tuple[int, int] = (60, 90)) -> Image.Image:
    """Return a smooth random picture: a gradient between colours of its own."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, size=(2, 2, 3)).astype(np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)


def picture_files(folder: Path, count: int) -> Path:
    """Fill ``folder`` with pictures named 0.png, 1.png …"""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(number).save(folder / f"{number}.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Stop(Exception):
    """Stands for a kill."""


class Counting(TinyText):
    """A tiny encoder that notes every batch and stops at the one it is told to.

    Its vectors depend on the whole batch, as padding makes a network's depend on it a little.
    """

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__(max_tokens=128)
        self.calls: list[tuple[int, ...]] = []
        self._stop_at, self._lock = stop_at, threading.Lock()

    def encode(self, tokens):
        with self._lock:
            if len(self.calls) == self._stop_at:
                raise Stop
            self.calls.append(tuple(int(t.sum()) for t in tokens))
        return super().encode(tokens) + 1e-3 * max(len(t) for t in tokens)

    def recipe(self, _config) -> Recipe:
        return Recipe("counting", {"encoder": "counting"}, lambda _: self, neural=False)
