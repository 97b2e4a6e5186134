"""Whatever a file holds, every record of it is an interaction, an item or a reject."""

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.etl.readers.batches import Tap
from pipeline.etl.readers.delimited import Dialect, read_rows
from pipeline.etl.readers.lines import read_lines
from pipeline.etl.readers.values import Rejected, categories, price, text
from tests.reading import read, write

GOOD_REVIEW = b'{"reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1404172800}'
GOOD_ITEM = b"{'asin': 'B1', 'title': 'x'}"

cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(
    cells,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
fields = st.sampled_from(
    ["reviewerID", "user_id", "asin", "parent_asin", "overall", "rating", "unixReviewTime",
     "timestamp", "reviewTime", "title", "description", "price", "images", "categories", "details",
     "category", "main_cat", "brand", "store", "imageURL", "features"]
)  # fmt: skip
objects = st.dictionaries(fields, json_values, max_size=8)
fuzzed = st.one_of(
    st.binary(max_size=60),
    objects.map(lambda o: orjson.dumps(o, option=orjson.OPT_PASSTHROUGH_DATACLASS, default=str)
                if not _big(o) else repr(o).encode("utf-8", "replace")),
    objects.map(lambda o: repr(o).encode("utf-8", "backslashreplace")),
    st.integers(0, len(GOOD_REVIEW)).map(lambda n: GOOD_REVIEW[:n]),
    st.just(GOOD_REVIEW),
)  # fmt: skip


def _big(value) -> bool:
    """Whether orjson refuses it: integers beyond 64 bits, lone surrogates."""
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def one_line(line: bytes) -> bytes:
    return line.replace(b"\n", b" ").replace(b"\r", b" ")


@settings(max_examples=150, deadline=None)
@given(st.lists(fuzzed, max_size=12), st.booleans())
def test_no_line_of_amazon_files_is_lost(lines, packed):
    lines = [one_line(line) for line in lines]
    with TemporaryDirectory() as folder:
        pack = gzip.compress if packed else bytes
        log = write(Path(folder) / "log", pack(b"\n".join([GOOD_REVIEW, *lines])))
        found = read("amazon-reviews", interactions=log)
        assert found.records == 1 + sum(bool(line.strip()) for line in lines)
        assert found.records == len(found.interactions) + len(found.rejects)


@settings(max_examples=150, deadline=None)
@given(st.lists(fuzzed.filter(lambda x: b"reviewerID" not in x and b"user_id" not in x)))
def test_no_line_of_metadata_is_lost(lines):
    """Without the fields of reviews, for which the whole file would be refused."""
    lines = [one_line(line) for line in lines]
    with TemporaryDirectory() as folder:
        log = write(Path(folder) / "log", GOOD_REVIEW)
        meta = write(Path(folder) / "meta", b"\n".join([GOOD_ITEM, *lines]))
        found = read("amazon-reviews", interactions=log, items=meta)
        assert found.records == 2 + sum(bool(line.strip()) for line in lines)
        assert found.records == 1 + len(found.items) + len(found.rejects)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text('ab",\t ', max_size=8), max_size=12), st.sampled_from([",", "\t"]))
def test_no_line_of_a_table_is_lost_whatever_its_quotes(lines, delimiter):
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "f", "\n".join(["first", *lines]) + "\n")
        records = [*read_rows(path, Dialect(delimiter), Tap("f"), width=2, skip=0)]
        raw = [text for record in records for text in record.text.split(b"\n")]
        kept = [line for line in ["first", *lines] if line.strip()]
        assert [r.decode() for r in raw if r.strip()] == kept
        for record in records:
            assert isinstance(record.payload, Rejected) or len(record.payload) == 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=20).map(one_line), min_size=1, max_size=30), st.data())
def test_any_cut_of_a_gzip_gives_a_prefix_of_its_lines(lines, data):
    content = b"\n".join(lines) + b"\n"
    packed = gzip.compress(content)
    cut = data.draw(st.integers(1, len(packed)))
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "f", b"\x1f\x8b"[:cut] + packed[2:cut])
        tap = Tap("f")
        found = [line for _, line in read_lines(path, tap)]
        if cut < 2:
            return  # not recognisable as gzip
        assert found == [line.removeprefix(b"\xef\xbb\xbf") if n == 0 else line
                         for n, line in enumerate(lines[: len(found)])]  # fmt: skip
        assert len(tap.faults) == (cut < len(packed))
        assert tap.bytes_read == cut


@given(json_values)
def test_no_value_breaks_what_describes_an_item(value):
    found = text(value)
    assert found is None or (found == " ".join(found.split()) and found.encode())
    assert price(value) is None or 0 <= price(value) < 1e9
    named = categories(value)
    assert named is None or (named and len(set(named)) == len(named))


@given(st.text())
def test_plain_text_stays_plain(raw):
    once = text(raw)
    if once is not None and "&" not in once and "<" not in once:
        assert text(once) == once
