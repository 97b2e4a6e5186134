"""What every reader promises, whatever its format: each one runs each of these."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers.batches import Format
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, READERS, Reason
from pipeline.schema import REJECTS
from tests.reading import read, write

REVIEW = '{"reviewerID": "A%d", "asin": "B%d", "overall": 4.0, "unixReviewTime": 1404172800}'


@dataclass(frozen=True)
class Case:
    """A format with a small good data set: its log, its other files, how a config names them."""

    format: str
    log: str
    lines: tuple[str, ...]
    others: dict[str, str]
    header: str = ""
    junk: bytes = b"junk"
    by_folder: bool = False
    not_utf8: str = Reason.BAD_ENCODING

    def make(self, folder: Path, lines: list[bytes], pack: Callable[[bytes], bytes] = bytes):
        """Write the data set with these lines in its log; return the sections that name it."""
        content = b"".join(line + b"\n" for line in [*self._head(), *lines])
        write(folder / self.log, pack(content))
        for name, text in self.others.items():
            write(folder / name, text)
        if self.by_folder:
            return {"folder": folder}
        items = next((folder / name for name in self.others), None)
        return {"interactions": folder / self.log, "items": items}

    def _head(self) -> list[bytes]:
        return [self.header.encode()] if self.header else []

    def good(self) -> list[bytes]:
        return [line.encode() for line in self.lines]

    def first_line(self) -> int:
        return 2 if self.header else 1


CASES = [
    Case(
        "amazon-reviews",
        "reviews.json",
        tuple(REVIEW % (n, n % 3) for n in range(9)),
        {"meta.json": "{'asin': 'B0', 'title': 'x'}\n"},
    ),
    Case(
        "amazon-ratings",
        "ratings.csv",
        tuple(f"B00000000{n % 3},A{n}XXXXXXXXXX,4.0,1404172800" for n in range(9)),
        {},
    ),
    Case(
        "movielens",
        "ratings.csv",
        tuple(f"{n},{n % 3},3.5,1404172800" for n in range(9)),
        {"movies.csv": "movieId,title,genres\n0,A,Drama\n"},
        "userId,movieId,rating,timestamp",
        by_folder=True,
        not_utf8=Reason.WRONG_WIDTH,  # it is Latin-1 then, of which every byte is a character
    ),
    Case(
        "recbole",
        "x.inter",
        tuple(f"{n}\t{n % 3}\t3.5" for n in range(9)),
        {"x.item": "item_id:token\ttitle:token_seq\n0\tA\n"},
        "user_id:token\titem_id:token\trating:float",
        by_folder=True,
    ),
    Case(
        "mmrec",
        "x.inter",
        tuple(f"{n}\t{n % 3}\t0" for n in range(9)),
        {"i_id_mapping.csv": "asin\titemID\nB0\t0\nB1\t1\nB2\t2\n"},
        "userID\titemID\tx_label",
        by_folder=True,
    ),
    Case(
        "table",
        "log.csv",
        tuple(f"u{n},i{n % 3}" for n in range(9)),
        {"items.csv": "key,title\ni0,A\n"},
        "user,item",
    ),
]


def test_every_format_has_a_case():
    formats = {name for name in READERS if isinstance(READERS[name], Format)}
    written_by_us = {"demo"}  # registered with the catalogue it reads; tested beside it
    assert {case.format for case in CASES} == formats - written_by_us


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.format)
class TestReader:
    def test_reads_every_line_in_order_with_its_number(self, case, tmp_path):
        found = read(case.format, **case.make(tmp_path, case.good()))
        first = case.first_line()
        assert [row["line"] for row in found.interactions] == [*range(first, first + 9)]
        assert {row["source"] for row in found.interactions} == {case.log}
        assert len({row["user"] for row in found.interactions}) == 9
        assert len({row["item"] for row in found.interactions}) == 3
        assert found.rejects == []

    def test_yields_the_schemas_of_the_contract(self, case, tmp_path):
        for batch in read(case.format, **case.make(tmp_path, case.good())).batches:
            assert batch.interactions.schema.equals(RAW_INTERACTIONS)
            assert batch.items.schema.equals(RAW_ITEMS)
            assert batch.rejects.schema.equals(REJECTS)

    def test_loses_no_record(self, case, tmp_path):
        good = case.good()
        dirty = [good[0], b"", case.junk, good[1], b"\xff\xfe\xfd", b"\0\0", b"  ", *good[2:]]
        found = read(case.format, **case.make(tmp_path, dirty))
        assert len(found.interactions) == 9
        first = case.first_line()
        assert [line for line, _ in found.reasons] == [first + 2, first + 4, first + 5]
        assert found.reasons[1][1] == case.not_utf8
        for batch in found.batches:
            parts = (batch.interactions, batch.items, batch.rejects)
            assert batch.records == sum(map(len, parts))

    def test_tells_the_bytes_it_took(self, case, tmp_path):
        sections = case.make(tmp_path, case.good(), gzip.compress)
        found = read(case.format, **sections)
        assert sum(b.bytes_read for b in found.batches) == sum(
            path.stat().st_size for path in tmp_path.iterdir()
        )

    def test_compression_carriage_returns_and_marks_change_nothing(self, case, tmp_path):
        plain = read(case.format, **case.make(tmp_path / "plain", case.good()))
        packed = read(case.format, **case.make(tmp_path / "packed", case.good(), gzip.compress))
        windows = read(
            case.format,
            **case.make(
                tmp_path / "windows",
                case.good(),
                lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"),
            ),
        )
        assert plain.interactions == packed.interactions == windows.interactions
        assert plain.items == packed.items == windows.items

    def test_keeps_what_a_truncated_file_has(self, case, tmp_path):
        many = case.good() * 2000
        found = read(case.format, **case.make(tmp_path, many, lambda c: gzip.compress(c)[:-200]))
        assert 0 < len(found.interactions) < len(many)
        assert found.reasons[-1][1] == Reason.TRUNCATED
        assert len(found.rejects) == 1

    def test_an_empty_file_is_a_data_error(self, case, tmp_path):
        sections = case.make(tmp_path, case.good())
        write(tmp_path / case.log, b"")
        with pytest.raises(DataError, match="is empty"):
            read(case.format, **sections)

    def test_a_missing_file_is_a_data_error(self, case, tmp_path):
        sections = case.make(tmp_path, case.good())
        (tmp_path / case.log).unlink()
        with pytest.raises(DataError):
            read(case.format, **sections)

    def test_nothing_named_is_a_data_error_that_says_what_to_name(self, case):
        with pytest.raises(DataError, match=r"data\.(interactions|folder)"):
            next(READERS[case.format](DataConfig(format=case.format)))

    def test_the_same_files_give_the_same_batches(self, case, tmp_path):
        sections = case.make(tmp_path, case.good())
        first, second = (read(case.format, **sections).batches for _ in range(2))
        assert first == second
