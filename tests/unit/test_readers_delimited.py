"""Rows of delimited text: quotes, lines, widths, encodings."""

import csv
import io

import pytest

from pipeline.errors import DataError
from pipeline.etl.readers import delimited
from pipeline.etl.readers.batches import Tap
from pipeline.etl.readers.delimited import Dialect, read_rows, sniff
from pipeline.etl.readers.values import Rejected
from pipeline.etl.records import Reason
from tests.reading import write


def rows(path, dialect=Dialect(), width=2):  # noqa: B008 - frozen
    found = []
    for line, payload, text in read_rows(path, dialect, Tap(path.name), width, skip=0):
        found.append((line, payload.reason if isinstance(payload, Rejected) else payload, text))
    return found


def test_plain_rows_keep_their_numbers_over_blank_lines(tmp_path):
    path = write(tmp_path / "f", "a,b\n\n  \nc,d\r\n")
    assert rows(path) == [(1, ["a", "b"], b"a,b"), (4, ["c", "d"], b"c,d")]


def test_a_quoted_record_may_span_lines(tmp_path):
    path = write(tmp_path / "f", 'x,"one\n\ntwo ""quoted"", and"\ny,z\n')
    assert rows(path) == [
        (1, ["x", 'one\n\ntwo "quoted", and'], b'x,"one\n\ntwo ""quoted"", and"'),
        (4, ["y", "z"], b"y,z"),
    ]


def test_it_agrees_with_the_standard_reader_on_what_it_writes(tmp_path):
    cells = ["", "a", "a,b", 'say "hi"', "two\nlines", "tab\there", "  spaced ", "ünïcode"]
    written = io.StringIO()
    expected = [[x, y] for x in cells for y in cells if x or y]
    csv.writer(written, lineterminator="\n").writerows(expected)
    path = write(tmp_path / "f", written.getvalue())
    assert [payload for _, payload, _ in rows(path)] == expected


@pytest.mark.parametrize("followers", [1, 150, 600])
def test_a_stray_quote_costs_its_own_line_only(tmp_path, followers):
    good = "".join(f"u{n},i{n}\n" for n in range(followers))
    path = write(tmp_path / "f", 'first,1\nbad,"open\n' + good)
    found = rows(path)
    assert found[1] == (2, Reason.NOT_PARSEABLE, b'bad,"open')
    assert len(found) == followers + 2
    assert [payload for _, payload, _ in found[2:]] == [
        [f"u{n}", f"i{n}"] for n in range(followers)
    ]


def test_text_after_a_closing_quote_is_not_parseable(tmp_path):
    assert rows(write(tmp_path / "f", '"12" monitor,b\nc,d\n')) == [
        (1, Reason.NOT_PARSEABLE, b'"12" monitor,b'),
        (2, ["c", "d"], b"c,d"),
    ]


def test_a_quote_inside_a_field_is_a_character(tmp_path):
    assert rows(write(tmp_path / "f", '12" monitor,b\n'))[0][1] == ['12" monitor', "b"]


def test_wrong_width_and_encoding_are_told_apart(tmp_path):
    path = write(tmp_path / "f", b"a,b,c\na\n\xff,b\nok,ok\n")
    assert [payload for _, payload, _ in rows(path)] == [
        Reason.WRONG_WIDTH, Reason.WRONG_WIDTH, Reason.BAD_ENCODING, ["ok", "ok"],
    ]  # fmt: skip


def test_a_fallback_encoding_reads_what_is_not_utf8(tmp_path):
    path = write(tmp_path / "f", "Amélie,1\n".encode("latin-1") + "Amélie,2\n".encode())
    found = rows(path, Dialect(fallback="latin-1"))
    assert [payload for _, payload, _ in found] == [["Amélie", "1"], ["Amélie", "2"]]


def test_a_bad_line_inside_a_quoted_record_ends_it(tmp_path):
    path = write(tmp_path / "f", b'a,"open\n\xff"\nb,c\n')
    assert [(line, payload) for line, payload, _ in rows(path)] == [
        (1, Reason.NOT_PARSEABLE), (2, Reason.BAD_ENCODING), (3, ["b", "c"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("a,b,c", ","), ("a\tb,x\tc", "\t"), ("a;b;c", ";"), ("a|b|c", "|"), ("1::2::3", "::"),
     ("alone", ",")],
)  # fmt: skip
def test_the_delimiter_is_sniffed(tmp_path, line, delimiter):
    assert sniff(write(tmp_path / "f", f"{line}\n")).delimiter == delimiter


def test_a_file_of_blank_lines_holds_no_text(tmp_path):
    with pytest.raises(DataError, match="no line of text"):
        delimited.first_line(write(tmp_path / "f", "\n \n"))
