"""Cleaning agrees with a slow twin on anything, and no record is ever lost."""

import hashlib
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.etl_worlds import LOG, SHOP, Raw, reading, run

RATINGS = st.none() | st.sampled_from([1.0, 2.5, 4.0, 5.0])
LINES = st.lists(
    st.tuples(
        st.sampled_from("abcde"), st.sampled_from("uvwxyz"), RATINGS, st.none() | st.integers(0, 9),
        st.integers(0, 2),
    ),
    max_size=60,
)  # fmt: skip
ITEMS = st.lists(st.tuples(st.sampled_from("uvwxyz日"), st.none() | st.text(max_size=5)))
BAD = st.lists(
    st.tuples(
        st.sampled_from([LOG, SHOP]), st.integers(1, 99), st.sampled_from(["bad_value", "x"]),
        st.text(max_size=9),
    ),
    max_size=5,
)  # fmt: skip


def twin(lines, min_rating, user_core, item_core):
    """Return the kept (user, item) to line number, the slow and obvious way."""
    latest = {}
    for number, (user, item, _, time, _) in enumerate(lines):
        age = (time is not None, time or 0, number)
        latest[user, item] = max(latest.get((user, item), age), age)
    kept = {pair: age[2] for pair, age in latest.items()}
    rating = {pair: lines[number][2] for pair, number in kept.items()}
    kept = {p: n for p, n in kept.items() if rating[p] is None or rating[p] >= min_rating}
    while True:
        users, items = Counter(u for u, _ in kept), Counter(i for _, i in kept)
        core = {
            pair: n
            for pair, n in kept.items()
            if users[pair[0]] >= user_core and items[pair[1]] >= item_core
        }
        if len(core) == len(kept):
            return core
        kept = core


SOLID = [(user, item, 5.0, 3, n % 3) for n, user in enumerate("pqr") for item in "123"]
"""Survives every threshold and core below, so that every split has interactions."""


@settings(max_examples=30, deadline=None)
@given(LINES, ITEMS, BAD, st.sampled_from([0, 3]), st.integers(1, 3), st.integers(1, 3))
def test_cleaning_agrees_with_its_twin(lines, items, bad, min_rating, user_core, item_core):
    lines = [*lines, *SOLID]
    kept = twin(lines, min_rating, user_core, item_core)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        with reading(patch, Raw(lines, items, bad)):
            result = run(
                Path(folder), min_rating=min_rating, user_core=user_core, item_core=item_core,
                max_reject_share=1, split={"rule": "label"},
            )  # fmt: skip
        found = {row[:2]: row[2:] for row in result.interactions()}
        assert found.keys() == kept.keys()
        for pair, number in kept.items():
            _, _, rating, time, label = lines[number]
            weight = 1.0 if rating is None else rating
            assert found[pair] == (weight, time or 0, label)
        _nothing_is_lost(result, lines, items, bad)
        _rows_are_dense(result)


def _nothing_is_lost(result, lines, items, bad):
    """In = kept + rejected, by record: each line number of a source is kept or rejected, once."""
    rejects = result.rejects()
    logged = [r[1] for r in rejects if r[0] == LOG and r not in bad]
    assert len(logged) == len(set(logged))
    assert len(result.interactions()) + len(logged) == len(lines)
    with_metadata = len({key for key, _ in items})
    assert len(result.interactions()) + with_metadata + len(rejects) == (
        len(lines) + len(items) + len(bad)
    )
    assert not Counter(bad) - Counter(rejects)
    records = result.report["records"]
    assert records["read"] == records["kept"] + records["rejected"]
    assert records["rejected"] == len(rejects)


def _rows_are_dense(result):
    rows = result.rows("interactions")
    assert {row["user"] for row in rows} == set(range(len(result.keys("users"))))
    assert {row["item"] for row in rows} <= set(range(len(result.keys("items"))))
    assert len(set(result.keys("items"))) == len(result.keys("items"))


@settings(max_examples=10, deadline=None)
@given(LINES, ITEMS, BAD, st.integers(1, 9))
def test_bytes_depend_neither_on_threads_nor_on_batches(lines, items, bad, per_batch):
    lines = [*lines, *SOLID]
    hashes = []
    for threads, size in ((1, 7), (3, per_batch)):
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            with reading(patch, Raw(lines, items, bad, per_batch=size)):
                result = run(
                    Path(folder), threads=threads, max_reject_share=1, split={"rule": "label"}
                )
            names = sorted(result.into.iterdir())
            hashes.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in names})
    assert hashes[0] == hashes[1]
