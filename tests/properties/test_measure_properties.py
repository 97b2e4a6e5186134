"""Whatever is nested how, the parts never exceed the whole, and nothing is lost on the way."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import measure
from pipeline.measure.cost import Cost, TaskCost, sum_of, throughput, together

trees = st.recursive(
    st.just([]),
    lambda inside: st.lists(st.tuples(st.sampled_from("abc"), inside), max_size=4),
    max_leaves=12,
)
known = st.none() | st.integers(0, 2**40)
costs = st.builds(
    Cost,
    wall_seconds=st.floats(0, 1e6),
    cpu_seconds=st.floats(0, 1e6),
    peak_rss_bytes=known,
    energy_joules=st.none() | st.floats(0, 1e9),
    mean_rss_bytes=known,
    read_bytes=known,
    written_bytes=known,
    gpu_peak_bytes=known,
    gpu_utilisation_share=st.none() | st.floats(0, 1),
    throughput=st.none()
    | st.builds(throughput, st.integers(0, 10**9), st.sampled_from("xy"), st.floats(1e-6, 1e6)),
)


def walk(tree):
    for name, inside in tree:
        with measure.task(name) as task:
            task.did(1, "tasks")
            walk(inside)


def size(tree):
    return sum(1 + size(inside) for _, inside in tree)


def count(cost):
    return sum(each.times + count(each.cost) for each in cost.tasks)


def check(cost):
    """The parts of a cost that was measured, against the whole; recursively."""
    for name in ("wall_seconds", "cpu_seconds", "read_bytes", "written_bytes"):
        whole = getattr(cost, name)
        parts = [getattr(each.cost, name) for each in cost.tasks]
        if whole is not None:
            assert sum(parts) <= whole + 1e-9
        else:
            assert parts.count(None) == len(parts)
    peaks = [each.cost.peak_rss_bytes for each in cost.tasks]
    assert all(peak <= cost.peak_rss_bytes for peak in peaks if peak is not None)
    assert len({each.name for each in cost.tasks}) == len(cost.tasks)
    for each in cost.tasks:
        assert each.cost.throughput.count == each.times
        check(each.cost)


@given(tree=trees, folded_at=st.sampled_from([1, 2, 256]))
@settings(max_examples=60)
def test_children_never_exceed_their_parent_and_each_is_counted_once(tree, folded_at):
    module = sys.modules["pipeline.measure.task"]
    before, module._FOLDED_AT = module._FOLDED_AT, folded_at
    try:
        with measure.task("root") as root:
            walk(tree)
    finally:
        module._FOLDED_AT = before
    assert count(root.cost) == size(tree)
    assert [each.name for each in root.cost.tasks] == [*dict.fromkeys(name for name, _ in tree)]
    check(root.cost)


@given(st.lists(costs, min_size=1, max_size=6))
def test_a_sum_knows_what_all_know_and_stays_between_its_parts(parts):
    whole = sum_of(parts)
    for name in ("read_bytes", "written_bytes", "energy_joules"):
        values = [getattr(part, name) for part in parts]
        assert (getattr(whole, name) is None) == (None in values)
    for name in ("mean_rss_bytes", "gpu_utilisation_share"):
        values = [v for part in parts if (v := getattr(part, name)) is not None]
        if values:
            assert min(values) - 0.51 <= getattr(whole, name) <= max(values) + 0.51
        else:
            assert getattr(whole, name) is None
    peaks = [part.peak_rss_bytes for part in parts if part.peak_rss_bytes is not None]
    assert whole.peak_rss_bytes == max(peaks, default=None)


@given(st.lists(st.builds(TaskCost, st.sampled_from("abc"), st.integers(1, 9), costs), max_size=9))
def test_joining_twice_joins_no_further(found):
    once = together(found)
    assert together(once) == once
    assert sum(each.times for each in once) == sum(each.times for each in found)
    assert [each.name for each in once] == [*dict.fromkeys(each.name for each in found)]
