"""What holds of every forecast: more of anything never costs less, and ranges hold their value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import (
    EmbedConfig,
    EtlConfig,
    EvaluateConfig,
    GraphConfig,
    IndexConfig,
    RankConfig,
    TextConfig,
    TrainConfig,
)
from pipeline.planner.costs import cost_of, work_of
from pipeline.planner.distinct import distinct_in
from pipeline.planner.forecast import Range
from pipeline.planner.history import ratio
from pipeline.planner.probe import Rates
from tests.planner_worlds import RATES, counts, scene

MODELS = ("gat", "gat_plain", "freedom", "vbpr", "lightgcn", "mf", "als", "item_knn",
          "popularity", "content_knn", "content_mean")  # fmt: skip
"""Not ``auto``, nor anything else that takes a cheaper way where there is more to do."""
SECTIONS = [
    EtlConfig(),
    EmbedConfig(text=TextConfig(encoder="minilm"), image=None),
    GraphConfig(search="exact"),
    RankConfig(second=None),
    EvaluateConfig(),
    IndexConfig(method="flat"),
    IndexConfig(method="hnsw"),
    *(TrainConfig(model=model) for model in MODELS),
    *(TrainConfig(model="ease", solver=solver) for solver in ("dense", "local")),
]
BY_BLOCKS = (RankConfig, EvaluateConfig)
"""Look at fewer users at once where there are more items, and then hold less of each: their memory
grows with users alone."""
sizes = st.integers(20, 30_000)
growth = st.floats(1.0, 8.0)


def name(section) -> str:
    chosen = [getattr(section, field, "") for field in ("model", "solver", "method")]
    return "-".join([type(section).__name__, *map(str, filter(None, chosen))])


@pytest.mark.parametrize("section", SECTIONS, ids=name)
@settings(max_examples=25, deadline=None)
@given(users=sizes, items=sizes, more=growth, widths=st.tuples(st.integers(1, 600), growth))
def test_more_data_never_costs_less(section, users, items, more, widths):
    small = counts(users, items)
    large = counts(round(users * more), round(items * more))
    width, wider = widths[0], round(widths[0] * widths[1])
    less, greater = (
        cost_of(section, scene(each, w), RATES) for each, w in ((small, width), (large, wider))
    )
    assert less.seconds <= greater.seconds * (1 + 1e-9)
    if isinstance(section, BY_BLOCKS):
        greater = cost_of(section, scene(counts(round(users * more), items), wider), RATES)
    assert less.memory <= greater.memory * (1 + 1e-9)
    disk = [work_of(section, scene(each, width)).disk for each in (small, large)]
    assert 0 <= disk[0] <= disk[1] * (1 + 1e-9)


@pytest.mark.parametrize("section", SECTIONS, ids=name)
@settings(max_examples=10, deadline=None)
@given(faster=st.floats(1.0, 10.0), threads=st.integers(1, 16))
def test_a_faster_machine_is_never_slower(section, faster, threads):
    quick = Rates(*(faster * rate for rate in vars(RATES).values()))
    here = scene(counts(), threads=threads)
    slow, fast = cost_of(section, here, RATES), cost_of(section, here, quick)
    assert fast.seconds == pytest.approx(slow.seconds / faster)
    assert fast.memory == slow.memory
    assert slow.seconds <= slow.cpu_seconds * (1 + 1e-9)


@given(value=st.floats(0, 1e12), factor=st.floats(1, 10))
def test_a_range_holds_its_value(value, factor):
    found = Range.around(value, factor)
    assert found.low <= found.value <= found.high


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.05, 20)), min_size=1, max_size=9))
def test_calibration_pulls_towards_the_measured_and_never_beyond(runs):
    found = ratio(runs)
    nearest = [value for _, value in sorted(runs)[:5]]
    assert min(1.0, *nearest) * (1 - 1e-9) <= found <= max(1.0, *nearest) * (1 + 1e-9)


@given(st.floats(0.05, 20), st.integers(1, 5))
def test_more_runs_of_like_size_are_trusted_more(value, count):
    few, many = ratio([(0.1, value)] * count), ratio([(0.1, value)] * (count + 1))
    assert abs(many - value) <= abs(few - value) + 1e-9


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(0, 5000))
def test_distinct_keys_lie_between_those_seen_and_all_records(keys, more):
    total = len(keys) + more
    assert len(set(keys)) <= distinct_in(keys, total) <= max(total, len(set(keys)))
