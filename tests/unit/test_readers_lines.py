"""Lines of plain and gzip files: numbers, line ends, and everything that breaks."""

import gzip

import pytest

from pipeline.errors import DataError
from pipeline.etl.readers import lines as lines_module
from pipeline.etl.readers.batches import Tap
from pipeline.etl.readers.lines import first_lines, read_lines
from pipeline.etl.records import Reason
from tests.reading import write


def taken(path) -> tuple[list[tuple[int, bytes]], Tap]:
    tap = Tap(path.name)
    return [*read_lines(path, tap)], tap


@pytest.mark.parametrize("name", ["log.txt", "misleading.gz"])
def test_content_decides_about_compression_not_the_name(tmp_path, name):
    plain = write(tmp_path / name, b"one\ntwo\n")
    packed = write(tmp_path / f"packed-{name}", gzip.compress(b"one\ntwo\n"))
    for path in (plain, packed):
        found, tap = taken(path)
        assert found == [(1, b"one"), (2, b"two")]
        assert tap.bytes_read == path.stat().st_size
        assert tap.faults == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfhead\nx", [(1, b"head"), (2, b"x")]),
        (b"a\r\nb\r\n", [(1, b"a"), (2, b"b")]),
        (b"a\n\n\nb", [(1, b"a"), (2, b""), (3, b""), (4, b"b")]),
        (b"no end", [(1, b"no end")]),
    ],
)
def test_line_ends_marks_and_blanks(tmp_path, content, expected):
    assert taken(write(tmp_path / "f", content))[0] == expected


def test_lines_cross_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "PLAIN_CHUNK", 7)
    monkeypatch.setattr(lines_module, "GZIP_CHUNK", 3)
    content = b"".join(b"line %d of many\n" % n for n in range(50))
    expected = [(n + 1, b"line %d of many" % n) for n in range(50)]
    assert taken(write(tmp_path / "plain", content))[0] == expected
    assert taken(write(tmp_path / "packed", gzip.compress(content)))[0] == expected


def test_several_members_and_zero_padding_are_one_file(tmp_path):
    content = gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n") + b"\0" * 100
    found, tap = taken(write(tmp_path / "f", content))
    assert found == [(1, b"a"), (2, b"bc"), (3, b"d")]
    assert tap.faults == []


def numbered(count: int) -> bytes:
    return b"".join(b"%d %d\n" % (n, n * 7919 % 1_000_003) for n in range(1, count + 1))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_gzip_gives_what_it_has_and_one_fault(tmp_path, share):
    content = numbered(20_000)
    packed = gzip.compress(content)
    found, tap = taken(write(tmp_path / "f", packed[: int(len(packed) * share)]))
    whole = content.split(b"\n")
    assert [line for _, line in found] == whole[: len(found)]
    assert len(found) > 20_000 * share * 0.5
    assert [(f.line, f.reason) for f in tap.faults] == [(len(found) + 1, Reason.TRUNCATED)]
    assert whole[len(found)].startswith(tap.faults[0].text)


def test_a_damaged_gzip_gives_what_stands_before_the_damage(tmp_path):
    content = numbered(20_000)
    packed = bytearray(gzip.compress(content))
    middle = len(packed) // 2
    packed[middle : middle + 40] = b"\xff" * 40
    found, tap = taken(write(tmp_path / "f", bytes(packed)))
    right = content.split(b"\n")
    intact = sum(line == right[n - 1] for n, line in found)
    assert intact > 9_000
    assert [f.reason for f in tap.faults] == [Reason.TRUNCATED]


def test_a_wrong_checksum_is_told_though_every_line_was_read(tmp_path):
    packed = bytearray(gzip.compress(b"a\nb\n"))
    packed[-6] ^= 0xFF
    found, tap = taken(write(tmp_path / "f", bytes(packed)))
    assert found == [(1, b"a"), (2, b"b")]
    assert [f.reason for f in tap.faults] == [Reason.TRUNCATED]


def test_a_line_beyond_the_limit_is_one_fault_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "LONGEST_LINE", 100)
    monkeypatch.setattr(lines_module, "PLAIN_CHUNK", 64)
    path = write(tmp_path / "f", b"a\n" + b"x" * 1000 + b"\nb\n")
    found, tap = taken(path)
    assert found == [(1, b"a"), (3, b"b")]
    assert [(f.line, f.reason) for f in tap.faults] == [(2, Reason.NOT_PARSEABLE)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"BZh91AY", "bzip2"),
        (b"\xff\xfea\0b\0", "UTF-16"),
    ],
)
def test_files_that_must_be_prepared_first_say_so(tmp_path, content, says):
    path = write(tmp_path / "f", content)
    with pytest.raises(DataError, match=says) as caught:
        taken(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="no file at"):
        taken(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot read"):
        taken(tmp_path)


def test_first_lines_leaves_blank_ones_out(tmp_path):
    assert first_lines(write(tmp_path / "f", b"\n \na\n\nb\nc"), 2) == [b"a", b"b"]
