"""What the lists of known users promise: items that the users do not have, best first."""

from collections.abc import Iterator

import numpy as np

from pipeline.artifacts import Artifact
from pipeline.ids import UNKNOWN
from pipeline.interactions import columns_of
from pipeline.promises.check import Check, blocks, equal

KNOWN = "known.npy"

_SLACK = 1e-5
"""Relative difference between machines in a score."""


def checks(artifact: Artifact) -> Iterator[Check]:
    """Yield the checks of a bundle's lists of known users; of the canaries' each item is scored."""
    listed = artifact.array(KNOWN)
    users, items = artifact.array("user_vectors.npy"), artifact.array("item_vectors.npy")
    yield equal(KNOWN, "is int32", listed.dtype, np.dtype(np.int32))
    yield equal(KNOWN, "has a list for each user", len(listed), len(users))
    low = min((int(block.min()) for block in blocks(listed) if block.size), default=0)
    high = max((int(block.max()) for block in blocks(listed) if block.size), default=0)
    inside = low >= UNKNOWN and high < len(items)
    yield Check(KNOWN, "names items", inside, f"rows {low} to {high}", f"below {len(items)}")
    if inside and len(listed) == len(users):
        yield from _of_canaries(artifact, listed)


def _of_canaries(artifact: Artifact, listed: np.ndarray) -> Iterator[Check]:
    seen = artifact.matrix("seen.npz", mapped=True)
    users, items = artifact.array("user_vectors.npy"), artifact.array("item_vectors.npy")
    canaries = artifact.array("canary_users.npy", mapped=False)
    owned = falling = 0
    for user in canaries[canaries < len(listed)].tolist():
        rows = listed[user][listed[user] != UNKNOWN]
        owned += int(np.isin(rows, columns_of(seen, user)).sum())
        scores = np.asarray(items[rows], dtype=np.float32) @ np.asarray(users[user], np.float32)
        near = _SLACK * np.maximum(1.0, abs(scores[:-1]))
        falling += int((np.diff(scores) > near).sum())
    yield equal(KNOWN, "leaves out what a user has", owned, 0)
    yield equal(KNOWN, "names the best first", falling, 0)
