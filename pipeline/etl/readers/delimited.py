"""Rows of delimited text with their line numbers; a record may span lines where it is quoted.

A stray quote costs its own line only: when a quoted field does not close within
``LONGEST_RECORD`` lines, or the file ends inside it, its first line is rejected and reading goes on
with the line after it.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.etl.readers.batches import Record, Tap
from pipeline.etl.readers.lines import first_lines, read_lines
from pipeline.etl.readers.values import Rejected
from pipeline.etl.records import Reason

LONGEST_RECORD = 200
"""Lines that one quoted record may span."""

_OPEN_QUOTE = "unexpected end of data"
_DELIMITERS = ("\t", ",", ";", "|", "::")


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written."""

    delimiter: str = ","
    quoted: bool = True
    """Whether double quotes protect delimiters and line ends."""
    fallback: str | None = None
    """Encoding of lines that are not UTF-8; without one they are rejected as BAD_ENCODING."""


def sniff(path: Path) -> Dialect:
    """Return the dialect whose delimiter stands most often in the first line.

    Tabs come with quoting too: a field is only taken for quoted when it begins with a quote.

    Raises:
        DataError: no such file, or it is empty.
    """
    line = first_line(path)
    counts = {d: line.count(d) for d in _DELIMITERS}
    best = max(counts, key=lambda d: counts[d]) if any(counts.values()) else ","
    return Dialect(best, quoted=best != "::")


def first_line(path: Path) -> str:
    """Return the first line that is not blank.

    Raises:
        DataError: no such file, or nothing in it.
    """
    lines = first_lines(path, 1)
    if not lines:
        raise DataError(f"{path} holds no line of text; is it the right file?")
    return lines[0].decode("utf-8", "replace")


def header(path: Path, dialect: Dialect) -> list[str]:
    """Return the fields of the first line that is not blank, without outer white space."""
    try:
        return [name.strip() for name in split_line(first_line(path), dialect)]
    except csv.Error as error:
        raise DataError(f"the header of {path} is not readable: {error}") from None


def split_line(line: str, dialect: Dialect) -> list[str]:
    """Return the fields of a whole record.

    Raises:
        csv.Error: a quote is open at the end, or something follows a closing quote.
    """
    if not dialect.quoted or '"' not in line:
        return line.split(dialect.delimiter)
    parsed = csv.reader([line], delimiter=dialect.delimiter, strict=True)
    return next(parsed)


def read_rows(path: Path, dialect: Dialect, tap: Tap, width: int, skip: int) -> Iterator[Record]:
    """Yield records; those that are not readable or not ``width`` fields wide as ``Rejected``.

    Args:
        path: The file.
        dialect: How it is written.
        tap: Follows the reading.
        width: Fields of a record.
        skip: Records to leave out at the beginning: 1 where there is a header.
    """
    for record in _Records(path, dialect, tap):
        if skip:
            skip -= 1
        elif isinstance(record.payload, list) and len(record.payload) != width:
            yield record._replace(payload=Rejected(Reason.WRONG_WIDTH))
        else:
            yield record


class _Records:
    """Joins lines to records, and takes lines back when a quote turns out not to close."""

    def __init__(self, path: Path, dialect: Dialect, tap: Tap) -> None:
        self._fresh = read_lines(path, tap)
        self._returned: deque[tuple[int, bytes]] = deque()
        self._dialect = dialect

    def __iter__(self) -> Iterator[Record]:
        while (taken := self._next()) is not None:
            number, line = taken
            if line and not line.isspace():
                yield self._record(number, line)

    def _next(self) -> tuple[int, bytes] | None:
        return self._returned.popleft() if self._returned else next(self._fresh, None)

    def _record(self, number: int, line: bytes) -> Record:
        text = self._decoded(line)
        if text is None:
            return _refused(number, Reason.BAD_ENCODING, line)
        try:
            return Record(number, split_line(text, self._dialect), line)
        except csv.Error as error:
            if _OPEN_QUOTE not in str(error):
                return _refused(number, Reason.NOT_PARSEABLE, line)
        return self._joined(number, line, text)

    def _joined(self, number: int, first: bytes, text: str) -> Record:
        """Return the record that begins in ``first`` and ends some lines later."""
        followers: list[tuple[int, bytes]] = []
        while len(followers) < LONGEST_RECORD and (taken := self._next()) is not None:
            followers.append(taken)
            more = self._decoded(taken[1])
            if more is None:
                break
            text += "\n" + more
            if '"' not in more:
                continue
            try:
                fields = split_line(text, self._dialect)
            except csv.Error as error:
                if _OPEN_QUOTE in str(error):
                    continue
                break
            return Record(number, fields, b"\n".join([first, *(line for _, line in followers)]))
        self._returned.extendleft(reversed(followers))
        return _refused(number, Reason.NOT_PARSEABLE, first)

    def _decoded(self, line: bytes) -> str | None:
        try:
            return line.decode()
        except UnicodeDecodeError:
            return line.decode(self._dialect.fallback) if self._dialect.fallback else None


def _refused(number: int, reason: str, line: bytes) -> Record:
    return Record(number, Rejected(reason), line)
