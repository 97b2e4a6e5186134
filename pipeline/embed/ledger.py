"""Vectors that survive a kill: a pre-sized file, and a journal of the batches that are in it.

A batch counts as done once its journal line is on disk, which happens after its vectors are. A
line carries a checksum of those vectors, so a torn write is noticed and only that batch redone.
"""

import json
import os
import shutil
import threading
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pipeline import files
from pipeline.arrays import Floats, Rows
from pipeline.hashing import fingerprint

PLAN, VECTORS, JOURNAL = "plan.json", "vectors.f32", "journal.jsonl"


class Ledger:
    """The vectors of M inputs, kept batch by batch; safe to use from several threads."""

    def __init__(self, folder: Path, batches: Sequence[Rows], width: int, how: str = "") -> None:
        """Open or begin the ledger in ``folder``.

        A ledger of other batches, another width or another ``how`` (the device, say) is begun
        anew: its vectors could differ in the last bits.
        """
        self._batches = batches
        self._starts = np.concatenate([[0], np.cumsum([len(b) for b in batches])]).astype(int)
        self._width, self._lock = width, threading.Lock()
        self.reasons: dict[int, str] = {}
        """Why an input has no vector, by its position."""
        self.done: set[int] = set()
        """Batches that need no work."""
        _begin(folder, _plan(batches, width, how))
        self._vectors = (folder / VECTORS).open("r+b")
        self._vectors.truncate(self._starts[-1] * width * 4)
        self._replay(folder / JOURNAL)
        self._journal = (folder / JOURNAL).open("ab")

    def __enter__(self) -> "Ledger":
        """Return the open ledger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files; nothing is lost."""
        self._vectors.close()
        self._journal.close()

    def keep(self, batch: int, vectors: Floats, failed: Mapping[int, str]) -> None:
        """Write a batch and then its journal line, each to disk.

        Shapes:
            vectors: (B, D), in the order of the batch. failed: place in the batch to reason.
        """
        raw = np.ascontiguousarray(vectors, dtype=np.float32).tobytes()
        entry = {
            "batch": batch,
            "crc": zlib.crc32(raw),
            "failed": {str(p): failed[p] for p in failed},
        }
        line = json.dumps(entry, sort_keys=True).encode() + b"\n"
        with self._lock:
            self._write(raw, self._offset(batch))
            os.fsync(self._vectors.fileno())
            self._journal.write(line)
            self._journal.flush()
            os.fsync(self._journal.fileno())
            self._note(entry)

    def stored(self) -> tuple[Floats, Rows]:
        """Return the vectors as they lie on disk, and the row of each input among them.

        All batches must be done; the file must outlive the use of the vectors.

        Shapes:
            returns: (M, D) float32, memory-mapped; (M,).
        """
        assert len(self.done) == len(self._batches)
        count = int(self._starts[-1])
        rows = np.empty(count, dtype=np.int64)
        rows[np.concatenate(self._batches)] = np.arange(count)
        shape = count, self._width
        return np.memmap(self._vectors.name, dtype=np.float32, mode="r", shape=shape), rows

    def _write(self, raw: bytes, offset: int) -> None:
        """Write all of ``raw``: a nearly full disk takes a part, and only then refuses."""
        while raw:
            taken = os.pwrite(self._vectors.fileno(), raw, offset)
            raw, offset = raw[taken:], offset + taken

    def _offset(self, batch: int) -> int:
        return int(self._starts[batch]) * self._width * 4

    def _note(self, entry: Mapping[str, Any]) -> None:
        number = int(entry["batch"])
        self.done.add(number)
        for place, reason in entry["failed"].items():
            self.reasons[int(self._batches[number][int(place)])] = reason

    def _replay(self, journal: Path) -> None:
        """Take in every whole line whose vectors are as they were written; cut a torn tail."""
        raw = journal.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            os.truncate(journal, len(whole))
        for line in whole.splitlines():
            entry = _parsed(line)
            if entry and self._intact(entry):
                self._note(entry)

    def _intact(self, entry: Mapping[str, Any]) -> bool:
        number = int(entry["batch"])
        wanted = len(self._batches[number]) * self._width * 4
        raw = os.pread(self._vectors.fileno(), wanted, self._offset(number))
        return zlib.crc32(raw) == int(entry["crc"])


def _plan(batches: Sequence[Rows], width: int, how: str) -> dict[str, Any]:
    checksum = 0
    for batch in batches:
        checksum = zlib.crc32(batch.astype(np.int64).tobytes() + b"|", checksum)
    plan = {"batches": len(batches), "checksum": checksum, "width": width, "how": how}
    return {**plan, "plan": fingerprint(plan)}


def _begin(folder: Path, plan: Mapping[str, Any]) -> None:
    path = folder / PLAN
    if path.exists() and _parsed(path.read_bytes()) == plan:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / VECTORS).touch()
    (folder / JOURNAL).touch()
    draft = folder / f"{PLAN}.draft"
    files.write_json(draft, plan)
    draft.replace(path)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
