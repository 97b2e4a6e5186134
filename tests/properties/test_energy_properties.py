"""The parts of an account are the whole, by any grouping; counters survive any wrapping."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.carbon.report import GROUPINGS
from pipeline.measure.energy.account import (
    Price,
    grouped,
    priced,
    scope_2,
    sharing_the_machine,
    total,
    totals,
)
from pipeline.measure.energy.pareto import Point, front
from pipeline.measure.energy.power import memory_watts
from pipeline.measure.energy.rapl import Counter
from tests.energy_worlds import entry

amounts = st.floats(0, 1e9)
entries = st.lists(
    st.builds(
        lambda name, project, run, after, seconds, joules: entry(
            name, after, seconds, project=project, run=run, joules=joules,
            grams=None if joules is None else joules / 9000,
        ),
        name=st.sampled_from(["etl", "embed", "train", "train:ease", "index"]),
        project=st.sampled_from(["demo", "shop", "-"]),
        run=st.sampled_from(["r1", "r2"]),
        after=st.integers(0, 10_000_000).map(float),
        seconds=st.integers(0, 5000).map(lambda tenths: tenths / 10),
        joules=st.none() | amounts,
    ),
    max_size=25,
)  # fmt: skip


@given(entries, st.sampled_from([*GROUPINGS]))
@settings(max_examples=60, deadline=None)
def test_the_parts_add_up_to_the_whole(listed, by):
    listed = priced(listed, Price("m", 0.5, 0.2), pue=1.3)
    whole, parts = total("all", listed), totals(listed, GROUPINGS[by])
    assert sum(part.entries for part in parts) == whole.entries
    assert sum(part.unmeasured for part in parts) == whole.unmeasured
    for field in ("kwh", "grams", "money", "machine_seconds"):
        together = math.fsum(getattr(part, field) for part in parts)
        assert together == pytest.approx(getattr(whole, field), rel=1e-9, abs=1e-9)
    told = scope_2(listed, pue=1.3)
    assert math.fsum(told["measured_by"].values()) == pytest.approx(whole.kwh, rel=1e-9, abs=1e-12)


@given(entries)
@settings(max_examples=60, deadline=None)
def test_the_machine_is_shared_out_whole(listed):
    """The slow twin: the length of the union of all intervals."""
    shared = sharing_the_machine(listed)
    spans = sorted((e.ended_at - timedelta(seconds=e.wall_seconds), e.ended_at) for e in listed)
    covered, until = timedelta(0), None
    for begins, ends in spans:
        begins = begins if until is None else max(begins, until)
        covered += max(timedelta(0), ends - begins)
        until = ends if until is None else max(until, ends)
    together = math.fsum(each.machine_seconds for each in shared)
    assert together == pytest.approx(covered.total_seconds(), abs=1e-3)
    assert all(-1e-6 <= e.machine_seconds <= e.wall_seconds + 1e-3 for e in shared)


def test_two_side_by_side_have_half_each():
    listed = [entry("etl", 10, 10), entry("train", 15, 10), entry("index", 100, 5)]
    shares = [each.machine_seconds for each in sharing_the_machine(listed)]
    assert shares == pytest.approx([7.5, 7.5, 5.0])


def test_unmeasured_is_not_nothing():
    whole = total("all", [entry(joules=None, grams=None), entry(joules=3.6e6)])
    assert (whole.kwh, whole.unmeasured) == (1.0, 1)


@given(entries)
@settings(max_examples=30, deadline=None)
def test_groups_lose_and_invent_nobody(listed):
    groups = grouped(listed, lambda each: each.stage)
    back = [each for same in groups.values() for each in same]
    assert sorted(map(id, back)) == sorted(map(id, listed))
    assert [*groups] == sorted(groups)


points = st.lists(
    st.builds(Point, name=st.just("m"), joules=st.integers(0, 50).map(float),
              accuracy=st.integers(0, 50).map(float)),
    max_size=20,
)  # fmt: skip


@given(points)
def test_the_front_is_what_no_point_beats(found):
    best = front(found)
    for point in found:
        beaten = any(
            other.joules <= point.joules
            and other.accuracy >= point.accuracy
            and (other.joules, other.accuracy) != (point.joules, point.accuracy)
            for other in found
        )
        same = (point.joules, point.accuracy)
        assert beaten != (same in [(each.joules, each.accuracy) for each in best])


@given(st.lists(st.integers(0, 900), max_size=30), st.integers(0, 999))
def test_a_counter_that_wraps_loses_nothing(tmp_path_factory, steps, began):
    path = tmp_path_factory.mktemp("counter") / "energy_uj"
    counter, now, found = Counter(path, wraps_at=1000e-6, last=began * 1e-6), began, 0.0
    for step in steps:
        now = (now + step) % 1000
        path.write_text(str(now))
        found += counter.joules()
    assert found == pytest.approx(sum(steps) * 1e-6, abs=1e-9)


@given(st.floats(0.1, 8192))
def test_more_memory_never_draws_less(size):
    assert memory_watts(2 * size, arm=False) >= memory_watts(size, arm=False) >= 10


@given(st.floats(0, 1e12), st.floats(1, 3))
def test_money_grows_with_the_work(joules, pue):
    price = Price("m", hourly=1.0, per_kwh=0.2)
    assert price.of(3600, joules, pue) >= price.of(3600, joules) >= price.of(0, joules)
    assert replace(price, per_kwh=0.0).of(1800, joules) == pytest.approx(0.5)
