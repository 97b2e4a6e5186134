"""Fingerprints are of what was asked, however it is spelled; content hashes notice every edit."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.hashing import ContentHashes, fingerprint, sha256_file

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=5), child),
    max_leaves=10,
)  # fmt: skip
REQUESTS = st.dictionaries(st.text(max_size=5), JSON, max_size=5)


@given(REQUESTS)
def test_the_order_of_keys_does_not_matter(request):
    def backwards(value):
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed([*value])}
        return [backwards(child) for child in value] if isinstance(value, list) else value

    assert fingerprint(backwards(request)) == fingerprint(request)


@given(REQUESTS)
def test_a_request_read_back_from_its_manifest_has_the_same_fingerprint(request):
    assert fingerprint(json.loads(json.dumps(request, indent=1))) == fingerprint(request)


@given(REQUESTS, REQUESTS)
def test_different_requests_have_different_fingerprints(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) == same


def test_the_spelling_is_fixed_for_good():
    """A change here makes every stored artifact unreachable."""
    assert fingerprint({"stage": "graph", "config": {"neighbors": 10}}) == "89db24ea5a01afe5"
    assert len(fingerprint({})) == 16


def test_what_has_no_canonical_spelling_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint({"rate": float("nan")})


class TestContentHashes:
    @pytest.fixture
    def memory(self, tmp_path):
        return tmp_path / "store" / ".hashes.json"

    def test_a_file_is_hashed_by_content_alone(self, tmp_path, memory):
        for name in "ab":
            (tmp_path / name).write_text("same")
        hashes = ContentHashes(memory)
        assert hashes.of(tmp_path / "a") == hashes.of(tmp_path / "b") == sha256_file(tmp_path / "a")

    def test_an_edit_of_equal_length_is_noticed(self, tmp_path, memory):
        path = tmp_path / "a"
        path.write_text("same")
        before = ContentHashes(memory).of(path)
        path.write_text("sane")
        os.utime(path, ns=(1, 1))
        assert ContentHashes(memory).of(path) != before

    @pytest.mark.parametrize("change", ["add", "drop", "rename", "edit"])
    def test_a_folder_notices_every_change_below_it(self, tmp_path, memory, change):
        folder = tmp_path / "posters" / "deep"
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_text("one")
        before = ContentHashes(memory).of(tmp_path / "posters")
        match change:
            case "add":
                (folder / "2.jpg").write_text("")
            case "drop":
                (folder / "1.jpg").unlink()
            case "rename":
                (folder / "1.jpg").rename(folder / "2.jpg")
            case "edit":
                (folder / "1.jpg").write_text("two!")
        assert ContentHashes(memory).of(tmp_path / "posters") != before

    def test_the_memory_spares_reading_again(self, tmp_path, memory, monkeypatch):
        (tmp_path / "a").write_text("same")
        before = ContentHashes(memory).of(tmp_path / "a")
        monkeypatch.setattr("pipeline.hashing.sha256_file", lambda _: "read again")
        assert ContentHashes(memory).of(tmp_path / "a") == before

    @pytest.mark.parametrize("text", ["", "{", "[]", "null"])
    def test_a_spoiled_memory_only_costs_time(self, tmp_path, memory, text):
        memory.parent.mkdir()
        memory.write_text(text)
        (tmp_path / "a").write_text("same")
        assert ContentHashes(memory).of(tmp_path / "a") == sha256_file(tmp_path / "a")

    def test_a_store_that_cannot_be_written_only_costs_time(self, tmp_path):
        (tmp_path / "a").write_text("same")
        (tmp_path / "store").write_text("a file in the place of the folder")
        hashes = ContentHashes(tmp_path / "store" / ".hashes.json")
        assert hashes.of(tmp_path / "a") == sha256_file(tmp_path / "a")

    def test_a_missing_file_is_no_hash(self, tmp_path, memory):
        with pytest.raises(FileNotFoundError):
            ContentHashes(memory).of(tmp_path / "absent")
