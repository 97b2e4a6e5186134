"""An append-only log of records that several processes write and read; what is answered is kept.

A folder of numbered files; only the last is written to. A record is one line, its checksum before
it: ``1c291ca3 {"key":...}``. A record is on disk before ``append`` returns. Whoever writes or reads
beyond what it has read holds the folder's lock, so nobody sees a record that may still be taken
back. A line that a crash cut short, with nothing whole behind it, is dropped by the next writer.
"""

import errno
import fcntl
import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from pipeline.errors import DataError, PlotpointeError

_SUFFIX, _LOCK = ".log", "lock"
_FIRST = 1
_CHECKSUM = 8
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Record = Mapping[str, Any]


class StorageError(PlotpointeError):
    """A record could not be written; nothing of it was kept."""

    def __init__(self, folder: Path, error: OSError) -> None:
        """Say what failed; ``full`` tells whether space is what lacks."""
        self.full = error.errno in _FULL
        cure = "free some space there" if self.full else "see to the disk there"
        super().__init__(
            f"the record could not be written to {folder} ({error.strerror}); nothing was changed. "
            f"Send it again, {cure}"
        )


class DamagedError(DataError):
    """A line of a journal is damaged, and whole ones follow it."""


class Position(NamedTuple):
    """How far a journal was read: a file, and the bytes of it."""

    number: int = _FIRST
    offset: int = 0


@dataclass
class Journal:
    """The journal of a folder; threads may share it."""

    folder: Path

    def __post_init__(self) -> None:
        """Make nothing until something is written."""
        self._turn = threading.Lock()
        self._sound = Position()

    def path(self, number: int) -> Path:
        """Return the file of a number."""
        return Path(self._path(number))

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number:08d}{_SUFFIX}"

    def numbers(self) -> list[int]:
        """Return the numbers of the files there are, rising."""
        found = sorted(int(path.stem) for path in self.folder.glob(f"*{_SUFFIX}"))
        return found or [_FIRST]

    def append(self, record: Record, at: Position | None = None) -> Position | None:
        """Write one record to disk, or nothing; return the position behind it.

        Where ``at`` is given and something stands behind it already, nothing is written and None
        returned: whoever read up to there decides anew, knowing the rest.

        Raises:
            StorageError: the disk is full or failed.
            DamagedError: a line before the end is damaged.
        """
        line = line_of(record)
        try:
            with self._locked(fcntl.LOCK_EX):
                number = self.numbers()[-1]
                with self._open(number) as handle:
                    end = self._sound_end(number, handle)
                    if at is not None and at != Position(number, end):
                        return None
                    _write(handle, line, end)
                self._sound = Position(number, end + len(line))
                return self._sound
        except OSError as error:
            raise StorageError(self.folder, error) from error

    def read(self, since: Position) -> tuple[list[Record], Position]:
        """Return the records behind a position, and the position behind them.

        Raises:
            DamagedError: a line before the end is damaged.
        """
        if not self.has_more(since):
            return [], since
        records: list[Record] = []
        torn = False
        with self._locked(fcntl.LOCK_SH):
            for number in (n for n in self.numbers() if n >= since.number):
                start = since.offset if number == since.number else 0
                data = self._bytes(number, start)
                found, end = records_of(data, self.path(number), start)
                records += found
                torn = end != start + len(data)
                since = Position(number, end)
        if torn:
            self._repair()
        return records, since

    def has_more(self, since: Position) -> bool:
        """Return whether there may be anything behind a position: two looks at the folder."""
        try:
            if os.stat(self._path(since.number)).st_size != since.offset:
                return True
        except FileNotFoundError:
            # Not ``folder / _LOCK``, which costs more than the look: every request comes by.
            if not os.path.exists(f"{self.folder}/{_LOCK}"):
                return False
            return since.number < self.numbers()[-1] or since.offset > 0
        return os.path.exists(self._path(since.number + 1))

    def seal(self) -> int | None:
        """Let the next record begin a new file; return the number of the one that is closed.

        None where nothing was written to the last.
        """
        try:
            with self._locked(fcntl.LOCK_EX):
                number = self.numbers()[-1]
                if not self.path(number).exists():
                    return None
                with self._open(number) as handle:
                    if not self._sound_end(number, handle):
                        return None
                self.path(number + 1).touch()
                _flush(self.folder)
                return number
        except OSError as error:
            raise StorageError(self.folder, error) from error

    def size(self) -> int:
        """Return the bytes of the file that is written to."""
        path = self.path(self.numbers()[-1])
        return path.stat().st_size if path.exists() else 0

    def _repair(self) -> None:
        """Drop what a crash left behind the last whole record, so that nobody reads it again."""
        with suppress(OSError), self._locked(fcntl.LOCK_EX):
            number = self.numbers()[-1]
            with self._open(number) as handle:
                self._sound_end(number, handle)

    def _bytes(self, number: int, start: int) -> bytes:
        path = self.path(number)
        if not path.exists():
            return b""
        with path.open("rb") as file:
            file.seek(start)
            return file.read()

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with self._turn:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / _LOCK).open("ab") as lock:
                fcntl.flock(lock, how)
                yield

    @contextmanager
    def _open(self, number: int) -> Iterator[int]:
        fresh = not self.path(number).exists()
        handle = os.open(self.path(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fresh:
                _flush(self.folder)
            yield handle
        finally:
            os.close(handle)

    def _sound_end(self, number: int, handle: int) -> int:
        """Return where the next record goes, after dropping what a crash left half written."""
        start = self._sound.offset if self._sound.number == number else 0
        _, end = records_of(self._bytes(number, start), self.path(number), start)
        if end != os.fstat(handle).st_size:
            os.ftruncate(handle, end)
        return end


def line_of(record: Record) -> bytes:
    """Return a record as a line."""
    body = orjson.dumps(record)
    return b"%08x %b\n" % (crc32(body), body)


def records_of(data: bytes, path: Path, start: int = 0) -> tuple[list[Record], int]:
    """Return the records of whole lines, and where the last of them ends.

    ``data`` begins at byte ``start`` of the file.

    Raises:
        DamagedError: a line is damaged and whole ones follow it, so that no crash can have cut it.
    """
    records: list[Record] = []
    end, damaged = start, None
    at = start
    for line in io.BytesIO(data):
        record = _record(line)
        at += len(line)
        if record is None:
            damaged = damaged or at - len(line)
        elif damaged is not None:
            raise DamagedError(
                f"{path} is damaged at byte {damaged}, with whole records behind it. Put the file "
                f"back from a copy, or cut it there to lose what follows"
            )
        else:
            records.append(record)
            end = at
    return records, end


def _record(line: bytes) -> Record | None:
    if not line.endswith(b"\n") or line[_CHECKSUM : _CHECKSUM + 1] != b" ":
        return None
    body = line[_CHECKSUM + 1 : -1]
    if line[:_CHECKSUM] != b"%08x" % crc32(body):
        return None
    record: Record = orjson.loads(body)
    return record


def _write(handle: int, line: bytes, end: int) -> None:
    """Write a line at ``end`` and flush it; what was written of it is taken back on failure."""
    try:
        os.lseek(handle, end, os.SEEK_SET)
        left = memoryview(line)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, end)
        raise


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
