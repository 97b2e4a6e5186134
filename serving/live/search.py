"""Items by content: every vector of a modality compared, of added items too."""

import numpy as np

from pipeline.allowed import Ranked
from pipeline.arrays import Floats
from serving.live.attach import Attaching
from serving.live.overlay import Overlay


def most_alike(
    attaching: Attaching, overlay: Overlay, modality: str, query: Floats, k: int
) -> Ranked:
    """Return the items whose vectors of a modality are most like one, best first; ties by row.

    Shapes:
        query: (V,), of length 1.
    """
    content = attaching.contents[modality]
    shown = None
    if len(overlay.gone):
        shown = np.setdiff1d(np.flatnonzero(content.present), overlay.gone)
    rows, scores = content.nearest(query[None], shown, k)
    gone = {*overlay.gone.tolist()}
    fresh = [
        (row, float(item.content[modality] @ query))
        for row, item in enumerate(overlay.added, overlay.first)
        if modality in item.content and row not in gone
    ]
    rows = np.concatenate([rows[0], [row for row, _ in fresh]]).astype(np.int64)
    scores = np.concatenate([scores[0], [score for _, score in fresh]]).astype(np.float32)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def modalities_of(attaching: Attaching, overlay: Overlay, row: int) -> list[str]:
    """Return what an item's content is known in."""
    item = overlay.item(row)
    if item is not None:
        return sorted(item.content)
    return sorted(name for name, each in attaching.contents.items() if each.present[row])
