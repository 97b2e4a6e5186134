"""Python literals by way of JSON: whatever is read so is what ``ast.literal_eval`` reads."""

import ast
import contextlib
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.etl.generate import AmazonSpec, make_amazon
from pipeline.etl.readers import literals, values
from pipeline.etl.readers.literals import NotJSONError
from tests.unit.test_generate import lines_of

texts = st.text(st.characters(), max_size=12) | st.text("'\"\\nxu{}[]:, é\n", max_size=12)
plain = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
nested = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(texts, nested, min_size=1, max_size=5)


def taken(line: bytes):
    """What is read, or None where it is left to the judge."""
    try:
        return literals.loads(line)
    except NotJSONError:
        return None


def judged(line: bytes):
    with contextlib.suppress(ValueError, SyntaxError, TypeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown escapes
        return ast.literal_eval(line.decode())
    return None


@given(records, st.booleans())
@example({"a": "It's", "b": '24" x 10"', "c": "won't fit 7\""}, True)
def test_a_record_written_by_python_is_read_as_it_was(record, escaped):
    line = (ascii if escaped else repr)(record)
    with contextlib.suppress(UnicodeEncodeError):
        found = taken(line.encode())
        assert found in (None, record)
        assert values.parse_object(line.encode()) == record


@given(records, st.integers(0, 60), st.sampled_from(["", "'", '"', "\\", ",", "]", "u", " 'x'"]))
def test_what_breaks_a_line_never_gives_another_value(record, at, put):
    line = repr(record).encode("utf-8", "backslashreplace")
    line = line[:at] + put.encode() + line[at + len(put) :]
    found = taken(line)
    assert found is None or found == judged(line)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"{'a': 'x', 'b': [['y'], 1, 2.5]}", True),
        (b"""{'a': "It's", 'b': '7" wide', 'c': 'both \\' and "'}""", True),
        (b"{'a': 'caf\\xe9 \\u2212 \\\\ \\d'}", True),
        (b"{'a': 'caf\xc3\xa9'}", True),
        (b"{'a': u'x'}", False),
        (b"{'a': 'x' 'y'}", False),
        (b"{'a': ('x',)}", False),
        (b"{'a': None, 'b': True}", False),
        (b"{'a': 'tab\tin it'}", False),
        (b"{'a': 'bad \xff byte'}", False),
        (b"{'a': '\\ud800'}", False),
        (b"{'a': 'cut sh", False),
        (b"{'a': 'cut\\", False),
        (b"{'a': __import__('os')}", False),
    ],
)
def test_which_lines_are_taken_and_which_are_left(line, read):
    found = taken(line)
    assert (found is not None) == read
    if read:
        assert found == judged(line)


def test_what_is_left_is_read_by_the_judge_all_the_same():
    for line in (b"{'a': u'x'}", b"{'a': 'x' 'y'}", b"{'a': ('x',)}", b"{'a': None}"):
        assert values.parse_object(line) == judged(line)


def test_a_generated_file_needs_no_judge(tmp_path):
    paths = make_amazon(tmp_path, AmazonSpec(users=60, items=900, interactions=600))
    lines = lines_of(paths["metadata"])
    assert [taken(line) for line in lines] == [judged(line) for line in lines]
    for oddity in (b'"', b"\\", b"\\x", b"\\'"):
        assert any(oddity in line for line in lines), oddity


def test_a_long_line_that_never_closes_is_given_up_at_once():
    with pytest.raises(NotJSONError):
        literals.loads(b"{'a': \"" + b"'\\\\" * 200_000)
