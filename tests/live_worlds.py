"""A shop whose catalogue is mostly items that nobody has taken: from raw files to a bundle."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline import flow
from pipeline.artifacts import Artifact, Store
from pipeline.config import Config
from pipeline.measure.progress import Silent
from pipeline.orders import Order, carry_out

ACTIVE, REST, USERS = 30, 45, 40
WORDS = ("lamp chair desk rug", "coat boots scarf hat", "drill saw hammer nail")
COLOURS = ((200, 60, 40), (40, 180, 70), (50, 60, 210))


@dataclass(frozen=True)
class Shop:
    """Raw files in a folder, with further items if asked for."""

    folder: Path

    def item(self, number: int) -> dict[str, Any]:
        """Return what the catalogue tells of an item, whether it is in it or not."""
        rng = np.random.default_rng([7, number])
        words = WORDS[number % 3].split()
        return {
            "key": f"i{number:03d}",
            "title": " ".join(rng.choice(words, 3)),
            "description": " ".join(rng.choice([*words, "good", "old", "red"], 6)),
            "brand": f"brand {number % 4}",
            "categories": [f"kind {number % 3}"],
            "price": float(number) + 0.5,
        }

    def picture(self, number: int) -> Path:
        """Return the file of an item's picture."""
        path = self.folder / "pictures" / f"i{number:03d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([8, number])
            noise = rng.integers(-30, 30, size=(6, 6, 3))
            pixels = np.clip(np.array(COLOURS[number % 3]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST).save(path)
        return path

    def write(
        self,
        further: list[dict[str, Any]] | None = None,
        pictured: int = 0,
        share: float | None = None,
    ) -> Config:
        """Write the raw files and return the configuration of a run."""
        count = ACTIVE + REST
        items = [self.item(number) for number in range(count)] + (further or [])
        for number in range(count + pictured):
            self.picture(number)
        pq.write_table(pa.Table.from_pylist(items), self.folder / "items.parquet")
        pq.write_table(self._log(), self.folder / "log.parquet")
        data = {
            "format": "table",
            "interactions": self.folder / "log.parquet",
            "items": self.folder / "items.parquet",
            "images": self.folder / "pictures",
        }
        return Config.model_validate({
            "name": "live", "data": data,
            "etl": {"split": {"rule": "leave-last-out"}},
            "embed": {"text": {"encoder": "tiny"}, "image": {"encoder": "tiny"}},
            "graph": {"neighbors": 5},
            "train": {"width": 8, "layers": 2, "heads": 2, "epochs": 4, "init_std": 0.1,
                      "gate_rate": 1.0, "learning_rate": 0.02, "negatives": 8,
                      "new_item_share": share},
            "runtime": {"threads": 1},
        })  # fmt: skip

    def _log(self) -> pa.Table:
        rng = np.random.default_rng(3)
        rows = []
        for user in range(USERS):
            own = [item for item in range(ACTIVE) if item % 3 == user % 3]
            for place, item in enumerate(rng.choice(own, 8, replace=False).tolist()):
                rows.append({"user": f"u{user}", "item": f"i{item:03d}", "timestamp": 1000 + place})
        # Every active item is taken by someone whose last items are others.
        for item in range(ACTIVE):
            rows.append({"user": f"u{item % USERS}", "item": f"i{item:03d}", "timestamp": 1})
        unique = {(row["user"], row["item"]): row for row in rows}
        return pa.Table.from_pylist(list(unique.values()))


@dataclass(frozen=True)
class Made:
    """A run's store and its bundle, promoted."""

    store: Store
    steps: dict[str, Artifact]

    @cached_property
    def bundle(self) -> Artifact:
        return self.steps["bundle"]


def run(root: Path, config: Config) -> Made:
    """Return what a run to the bundle makes, every stage in this process."""
    store = Store(root)
    made = {}
    for step in flow.plan(config, store):
        if step.kind == "report":
            continue
        order = Order.of(step, config, store, 1)
        made[step.kind] = store.find(step.kind, step.fingerprint) or carry_out(order, Silent())
    store.point("bundle", made["bundle"].fingerprint, "a test")
    return Made(store, made)
