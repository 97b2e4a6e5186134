"""Strips of item pictures with titles, for notebooks; needs matplotlib (the ``dev`` extra)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from pipeline import places
from pipeline.artifacts import Artifact, Store
from pipeline.errors import MissingExtraError
from pipeline.schema import IMAGE, KEY, TITLE

_COLUMN_INCHES = 1.6
_TITLE_WIDTH = 20


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a bundle's items are, and what the items are called."""

    folder: Path | None
    paths: Sequence[str | None]
    titles: Sequence[str]

    @classmethod
    def of(cls, store: Store, bundle: Artifact) -> "Pictures":
        """Return the pictures of a bundle; there may be none on this machine."""
        table = bundle.table("items.parquet", [KEY, TITLE, IMAGE]).to_pydict()
        titles = [t or k for t, k in zip(table[TITLE], table[KEY], strict=True)]
        return cls(places.images_of(store, bundle), table[IMAGE], titles)

    def file(self, item: int) -> Path | None:
        """Return the picture file of an item row, None where there is none here."""
        name = self.paths[item]
        if self.folder is None or not name:
            return None
        path = self.folder / name
        return path if path.is_file() else None


def strip(pictures: Pictures, items: Sequence[int], heading: str, notes: Sequence[str] = ()) -> Any:  # noqa: ANN401 - a matplotlib figure; matplotlib is optional
    """Return a figure of one row of items: picture, title and, where given, a note below.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingExtraError("galleries need matplotlib: pip install matplotlib") from None
    size = (_COLUMN_INCHES * len(items), 2.6 if notes else 2.2)
    figure, axes = plt.subplots(1, len(items), figsize=size, squeeze=False)
    for at, (item, axis) in enumerate(zip(items, axes[0], strict=True)):
        axis.axis("off")
        path = pictures.file(item)
        if path:
            axis.imshow(plt.imread(path))
        axis.set_title(_folded(pictures.titles[item]), fontsize=7)
        if notes:
            axis.text(0.5, -0.05, _folded(notes[at], 3), transform=axis.transAxes,
                      fontsize=6, ha="center", va="top", color="dimgray")  # fmt: skip
    figure.suptitle(heading, fontsize=9)
    figure.tight_layout()
    return figure


def _folded(text: str, lines: int = 2) -> str:
    return "\n".join(wrap(text, _TITLE_WIDTH, max_lines=lines, placeholder="…"))
