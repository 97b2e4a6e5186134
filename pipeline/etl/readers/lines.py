"""The lines of a raw file, plain or gzip, whatever its size and whatever is wrong with it."""

import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import DataError
from pipeline.etl.readers.batches import LONGEST_REJECT, Reject, Tap
from pipeline.etl.records import Reason

LONGEST_LINE = 1 << 23
"""Bytes; a longer line is rejected, so that memory stays bounded."""

PLAIN_CHUNK = 1 << 18
GZIP_CHUNK = 1 << 16
"""Compressed bytes taken at once; deflate grows by 1,032 at most, so 64 MiB is the worst case."""

GZIP, UTF8_BOM, PARQUET = b"\x1f\x8b", b"\xef\xbb\xbf", b"PAR1"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"BZh": "bzip2; decompress it, or compress it with gzip",
    b"\xfd7zXZ": "xz; decompress it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "zstandard; decompress it, or compress it with gzip",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it to UTF-8",
}


class _BrokenGzipError(Exception):
    """The compressed stream ends early or is damaged."""


def magic(path: Path) -> bytes:
    """Return the first bytes of a raw file, which say what it is whatever its name.

    Raises:
        DataError: there is no such file, it cannot be read, it is empty, or it is in a format
            that must be unpacked first.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise DataError(f"no file at {path}; correct the data section of the config") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if not head:
        raise DataError(f"{path} is empty; was its download or export interrupted?")
    for start, what in _FOREIGN.items():
        if head.startswith(start):
            raise DataError(f"{path} is {what}")
    return head


def read_lines(path: Path, tap: Tap) -> Iterator[tuple[int, bytes]]:
    """Yield (line number from 1, line without its end); ``tap`` follows, and keeps what broke.

    A truncated or damaged gzip gives what can be read and one TRUNCATED fault with the cut line.

    Raises:
        DataError: see ``magic``.
    """
    compressed = magic(path).startswith(GZIP)
    splitter = _Splitter(tap)
    with path.open("rb") as file:
        try:
            for chunk in _inflated(file, tap) if compressed else _plain(file, tap):
                yield from splitter.lines(chunk)
        except _BrokenGzipError:
            splitter.cut()
        else:
            yield from splitter.last()


class _Splitter:
    """Cuts chunks into numbered lines, and lets no line outgrow the memory."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._number = 0
        self._rest = b""
        self._overlong = False

    def lines(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that end in this chunk."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._number += 1
            if self._overlong:
                self._overlong = False
            else:
                yield self._number, self._trimmed(line)
        if self._overlong:
            self._rest = b""
        elif len(self._rest) > LONGEST_LINE:
            self._fault(Reason.NOT_PARSEABLE)
            self._overlong, self._rest = True, b""

    def last(self) -> Iterator[tuple[int, bytes]]:
        """Yield what follows the last line end, if anything."""
        if self._rest:
            self._number += 1
            yield self._number, self._trimmed(self._rest)

    def cut(self) -> None:
        """Record that the source breaks off here."""
        self._fault(Reason.TRUNCATED)

    def _fault(self, reason: str) -> None:
        self._tap.faults.append(Reject(self._number + 1, reason, self._rest[: 4 * LONGEST_REJECT]))

    def _trimmed(self, line: bytes) -> bytes:
        if self._number == 1:
            line = line.removeprefix(UTF8_BOM)
        return line[:-1] if line.endswith(b"\r") else line


def _plain(file: BinaryIO, tap: Tap) -> Iterator[bytes]:
    while data := file.read(PLAIN_CHUNK):
        tap.bytes_read += len(data)
        yield data


def _inflated(file: BinaryIO, tap: Tap) -> Iterator[bytes]:
    """Yield decompressed bytes of every member of a gzip file, up to where it breaks."""
    member = zlib.decompressobj(31)
    while data := file.read(GZIP_CHUNK):
        tap.bytes_read += len(data)
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # tapes and some servers pad with zeros
                if not data:
                    break
                member = zlib.decompressobj(31)
            before = member.copy()
            try:
                yield member.decompress(data)
            except zlib.error:
                yield _up_to_damage(before, data)
                raise _BrokenGzipError from None
            data = member.unused_data
    if not member.eof:
        raise _BrokenGzipError


def _up_to_damage(member: "zlib._Decompress", data: bytes) -> bytes:
    """Return what a damaged piece still gives, byte by byte."""
    parts = []
    for at in range(len(data)):
        try:
            parts.append(member.decompress(data[at : at + 1]))
        except zlib.error:
            break
    return b"".join(parts)


def first_lines(path: Path, count: int) -> list[bytes]:
    """Return the first lines that are not blank, to look at what a file holds.

    Raises:
        DataError: see ``magic``.
    """
    lines = read_lines(path, Tap(path.name))
    return [*islice((line for _, line in lines if line.strip()), count)]
