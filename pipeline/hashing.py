"""Content hashes of files and folders, and fingerprints of what was asked for."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

FINGERPRINT_BYTES = 8
_CHUNK_BYTES = 1 << 20


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(value: Mapping[str, Any]) -> str:
    """Return a short hex digest of ``value`` as canonical JSON: 16 characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).hexdigest()


class ContentHashes:
    """Content hashes of raw files, remembered by path, size and time of change.

    Hashing is what makes a second run notice an edited file; the memory is what makes the
    second run fast when nothing was edited.
    """

    def __init__(self, memory: Path) -> None:
        """Keep the remembered hashes in the JSON file ``memory``."""
        self._memory = memory
        self._known: dict[str, list[Any]] = _read_memory(memory)
        self._changed = False

    def of(self, path: Path) -> str:
        """Return the hash of a file, or of a folder's names and contents.

        Raises:
            FileNotFoundError: there is no such path.
        """
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            value = fingerprint({p.relative_to(path).as_posix(): self._file(p) for p in files})
        else:
            value = self._file(path)
        self.save()
        return value

    def _file(self, path: Path) -> str:
        stat, name = path.stat(), str(path.resolve())
        stamp = [stat.st_size, stat.st_mtime_ns]
        known = self._known.get(name)
        if known is None or known[:2] != stamp:
            known = [*stamp, sha256_file(path)]
            self._known[name] = known
            self._changed = True
        return str(known[2])

    def save(self) -> None:
        """Write the memory if it grew; losing it only costs time."""
        if not self._changed:
            return
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            draft = self._memory.with_suffix(f".{os.getpid()}.draft")
            draft.write_text(json.dumps(self._known))
            draft.replace(self._memory)
        self._changed = False


def _read_memory(path: Path) -> dict[str, list[Any]]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
