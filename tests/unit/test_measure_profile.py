"""Profiles: what is known to take the time is what they name, with the work that it did."""

import gzip
import json
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.measure.bottleneck import Bottleneck
from pipeline.measure.cost import Cost
from pipeline.measure.profile import NO_STACKS, Observed, Options, Profile, Recorder, Sampled, Work
from pipeline.measure.profile import result as results
from pipeline.measure.profile.ceilings import Ceilings, measured
from pipeline.measure.profile.observe import FUNCTION, MODULE, Layers, Observer, Tally
from pipeline.measure.profile.operators import (
    OUTSIDE,
    Row,
    bytes_of,
    covered_seconds,
    flops_of,
    operators,
    parts,
)
from pipeline.measure.profile.result import Rates
from pipeline.measure.profile.words import bound, sentences, stack_sentences

MOST = Ceilings(2, 100e9, 20e9, "numpy")


class Busy(torch.nn.Module):
    """Two layers of known work: one multiplies, one adds."""

    def __init__(self):
        super().__init__()
        self.large = torch.nn.Linear(256, 256, bias=False)
        self.small = torch.nn.Linear(256, 8, bias=False)

    def forward(self, x):
        return self.small(self.large(x))


def doubled(x):
    """Stand for a native kernel that torch knows nothing of."""
    return torch.from_numpy(x.detach().numpy() * 2)


@pytest.fixture(scope="module")
def taken():
    """A profile of five turns of a model, with and without gradients."""
    observed = Observed(
        "doubling", f"{__name__}:doubled", lambda args, out: Work(args[0].numel(), 8 * out.numel())
    )
    sys.modules.setdefault(__name__, sys.modules[doubled.__module__])
    model, x = Busy(), torch.rand(128, 256)
    recorder = Recorder(Options(1, [observed]))
    with recorder:
        for _ in range(5):
            model(x).sum().backward()
            globals()["doubled"](x)
    return recorder.profile()


def row(rows, name):
    [found] = [each for each in rows if each.name == name]
    return found


class TestAProfile:
    def test_the_work_of_products_is_theirs(self, taken):
        products = row(taken.operators, "aten::mm")
        forward = 2 * 128 * 256 * (256 + 8)
        backward = forward + 2 * 128 * 256 * 8  # the input of the first layer wants no gradient
        assert products.calls == 5 * 5
        assert products.flops == 5 * (forward + backward)
        assert taken.rates.flops >= products.flops

    def test_layers_are_named_by_their_place(self, taken):
        whole, large = row(taken.parts, "Busy"), row(taken.parts, "Busy.large")
        assert whole.calls == large.calls == 5
        assert large.seconds <= whole.seconds
        assert row(taken.parts, "Busy.small").backward_seconds > 0

    def test_an_observed_function_has_the_work_that_it_was_given(self, taken):
        doubling = row(taken.operators, "doubling")
        assert (doubling.calls, doubling.flops) == (5, 5 * 128 * 256)
        assert doubling.bytes == 5 * 8 * 128 * 256
        assert row(taken.parts, "doubling").calls == 5

    def test_times_add_up_to_no_more_than_the_whole(self, taken):
        inside = sum(each.self_seconds for each in taken.operators)
        with_layers = sum(each.self_seconds for each in taken.parts)
        assert 0 < inside <= with_layers <= taken.cost.wall_seconds * 1.001
        assert taken.outside_seconds == pytest.approx(taken.cost.wall_seconds - inside)

    def test_the_trace_is_that_of_a_browser(self, taken):
        trace = json.loads(gzip.decompress(taken.trace))
        assert any(event.get("name") == MODULE + "Busy.large" for event in trace["traceEvents"])

    def test_nothing_is_left_in_its_place(self, taken):
        assert taken.ceilings.threads == 1
        assert not hasattr(doubled, "__wrapped__")
        assert not torch.nn.modules.module._global_forward_pre_hooks

    def test_it_is_json_and_is_written(self, taken, tmp_path):
        (tmp_path / "flame.svg").write_text("of an earlier profile")
        files = taken.write(tmp_path, "busy")
        assert [path.name for path in files] == ["profile.json", "trace.json"]
        assert {path.name for path in tmp_path.iterdir()} == {"profile.json", "trace.json"}
        told = json.loads((tmp_path / "profile.json").read_text())
        assert told["title"] == "busy"
        assert told["stacks"] == {
            "samples": 0, "native": False, "missing": "no stacks were asked for"
        }  # fmt: skip

    def test_a_large_trace_stays_compressed(self, taken, tmp_path, monkeypatch):
        monkeypatch.setattr(results, "_SMALL_TRACE", 10)
        assert [path.name for path in taken.write(tmp_path, "b")][-1] == "trace.json.gz"
        with gzip.open(tmp_path / "trace.json.gz") as file:
            assert json.load(file)["traceEvents"]


def test_a_profile_without_torch_knows_what_was_observed():
    code = """
import json, sys, time, types
from pipeline.measure.profile import Observed, Options, Recorder, Work
import numpy as np
toy = types.ModuleType("toy"); sys.modules["toy"] = toy
toy.work = lambda n: time.sleep(n)
recorder = Recorder(Options(1, [Observed("work", "toy:work", lambda a, r: Work(1e9, 2e9))]))
with recorder:
    toy.work(0.1); toy.work(0.1)
found = recorder.profile()
assert "torch" not in sys.modules
print(json.dumps(found.as_dict()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["operators"] == [] and found["outside_seconds"] is None
    [work] = found["parts"]
    assert work["calls"] == 2 and work["flops"] == 2e9 and work["seconds"] >= 0.2
    assert found["ceilings"]["by"] == "numpy"
    assert found["rates"]["bytes"] == 4e9


class TestObserving:
    def test_a_method_is_put_back_even_where_it_fails(self):
        class Thing:
            def act(self, x):
                if x < 0:
                    raise ValueError(x)
                return x

        module = SimpleNamespace(Thing=Thing)
        sys.modules["toy_of_observing"] = module
        observer, original = Observer(), Thing.act
        try:
            with (
                pytest.raises(ValueError),
                observer.watching([Observed("act", "toy_of_observing:Thing.act")]),
            ):
                assert Thing().act(3) == 3
                Thing().act(-1)
        finally:
            del sys.modules["toy_of_observing"]
        assert Thing.act is original
        assert observer.tallies["act"].calls == 1
        assert not observer.tallies["act"].knows_work

    def test_what_is_not_loaded_is_not_observed_and_a_wrong_name_is_a_mistake(self):
        observer = Observer()
        with observer.watching([Observed("x", "surely.not.there:f")]):
            assert observer.tallies == {}
        with pytest.raises(AttributeError, match="names nothing"):
            with observer.watching([Observed("x", "json:no_such_function")]):
                pass

    def test_a_layer_that_fails_leaves_no_block_open(self):
        class Fails(torch.nn.Module):
            def forward(self, x):
                raise KeyError("x")

        layers = Layers()
        model = torch.nn.Sequential(torch.nn.Identity(), Fails())
        with pytest.raises(KeyError), layers.watching():
            model(torch.ones(1))
        assert layers._open == []


def event(name, total=10.0, own=None, parent=None, **more):
    values = {
        "name": name, "thread": 1, "scope": 0, "sequence_nr": -1, "flops": 0, "input_shapes": [],
        "input_dtypes": [], "cpu_parent": parent, "cpu_time_total": total,
        "self_cpu_time_total": total if own is None else own,
    }  # fmt: skip
    return SimpleNamespace(**{**values, **more})


class TestOperators:
    def test_recursion_counts_time_once(self):
        outer = event("f", 100.0, 40.0)
        events = [outer, event("f", 60.0, parent=outer)]
        [found] = operators(events, {})
        assert (found.calls, found.seconds, found.self_seconds) == (2, 1e-4, 1e-4)

    def test_gradients_belong_to_the_layer_that_made_them(self):
        layer = event(MODULE + "Net.a", 50.0, 10.0)
        forward = event("aten::mm", 40.0, parent=layer, sequence_nr=7)
        grown = event("autograd::engine::evaluate_function: MmBackward0", 80.0, sequence_nr=7)
        lost = event("autograd::engine::evaluate_function: Other", 5.0, sequence_nr=99)
        rows = parts([layer, forward, grown, lost])
        assert row(rows, "Net.a").backward_seconds == pytest.approx(80e-6)
        assert row(rows, "Net.a").self_seconds == pytest.approx(50e-6)
        assert row(rows, OUTSIDE).backward_seconds == pytest.approx(5e-6)

    @pytest.mark.parametrize(
        ("name", "shapes", "kinds", "wanted"),
        [
            ("aten::mm", [[2, 3], [3, 5]], ["float", "float"], 4 * (6 + 15 + 10)),
            ("aten::bmm", [[4, 2, 3], [4, 3, 5]], ["float"] * 2, 4 * (24 + 60 + 40)),
            ("aten::add", [[10], [10], []], ["float", "float", "Scalar"], 4 * 30),
            ("aten::mul", [[10], []], ["double", ""], 8 * 20),
            ("aten::copy_", [[10], [10]], ["float", "float"], 80),
            ("aten::sum", [[10]], ["c10::BFloat16"], 20),
            ("aten::add", [[], []], ["float", "Scalar"], 0),
            ("aten::index", [[10]], ["float"], None),
        ],
    )
    def test_bytes_are_those_of_the_operands_once(self, name, shapes, kinds, wanted):
        assert bytes_of(event(name, input_shapes=shapes, input_dtypes=kinds)) == wanted

    def test_products_that_torch_does_not_count_are_counted(self):
        in_place = event("aten::addmm_", input_shapes=[[2, 5], [2, 3], [3, 5], [], []])
        assert flops_of(in_place) == 2 * 2 * 3 * 5
        assert flops_of(event("aten::mm", flops=99)) == 99
        assert flops_of(event("aten::sort")) == 0
        assert flops_of(event("aten::mm")) == 0

    def test_a_tally_without_work_knows_none(self):
        tallies = {"f": Tally(1, 1.0, 5.0, 5.0, knows_work=False)}
        [found] = operators([event(FUNCTION + "f")], tallies)
        assert (found.name, found.flops, found.bytes) == ("f", None, None)
        assert (found.flops_per_second, found.bytes_per_second) == (None, None)

    def test_the_busiest_thread_covers_the_time_but_for_what_layers_have_alone(self):
        layer = event(MODULE + "Net", 9.0, 4.0)
        events = [event("a", 30.0), event("a", 20.0, thread=2), layer]
        events.append(event("c", 5.0, parent=layer))
        assert covered_seconds(events) == pytest.approx(35e-6)
        assert covered_seconds([]) == 0.0


class TestWords:
    @pytest.mark.parametrize(
        ("flops", "moved", "words"),
        [
            (1e9, 19e9, "memory-bound: 19 of 20 GB/s, 1.0 of 100 GFLOP/s"),
            (80e9, 1e9, "compute-bound: 1.0 of 20 GB/s, 80 of 100 GFLOP/s"),
            (1e9, 60e9, "served by caches: 60 of 20 GB/s, 1.0 of 100 GFLOP/s"),
            (1e9, 1e9, "far from both ceilings: 1.0 of 20 GB/s, 1.0 of 100 GFLOP/s"),
            (60e9, None, "compute-bound: 60 of 100 GFLOP/s"),
            (None, None, ""),
        ],
    )
    def test_the_nearer_ceiling_is_named(self, flops, moved, words):
        assert bound(Row("f", 1, 1.0, 1.0, flops, moved), MOST) == words

    def test_many_short_calls_are_told(self):
        assert bound(Row("f", 100_000, 1.0, 1.0), MOST).startswith("100,000 calls of 10 µs")

    def test_the_largest_come_first_and_the_small_are_left_out(self):
        rows = [Row("large", 1, 6.0, 6.0), Row("small", 1, 0.1, 0.1)]
        told = sentences(rows, 10.0, 3.0, MOST)
        assert told[0] == "60 % of the time in large"
        assert told[1].startswith("30 % of the time outside of torch")
        assert len(told) == 2
        assert sentences([], 10.0, 10.0, MOST) == []

    def test_the_top_of_the_stacks_is_told(self):
        seen = Sampled({("a", "b"): 60, ("a", "c"): 39, ("a",): 1})
        assert stack_sentences(seen) == ["60 % of the samples in b", "39 % of the samples in c"]
        assert stack_sentences(NO_STACKS) == []


def test_rates_of_unknown_work_are_unknown():
    found = Rates.of(None, 10e9, Cost(2.0, 2.0), MOST)
    assert (found.flops, found.flops_per_second, found.flops_share) == (None, None, None)
    assert (found.bytes_per_second, found.bytes_share) == (5e9, 0.25)


def test_ceilings_are_those_of_the_machine(monkeypatch):
    from pipeline.measure.profile import ceilings

    monkeypatch.setattr(ceilings, "_SECONDS", 0.05)
    monkeypatch.setattr(ceilings, "_BYTES", 1 << 22)
    found = measured(1, "torch")
    side = 1024
    square = np.ones((side, side), np.float32)
    begun = time.perf_counter()
    square @ square
    once = 2 * side**3 / (time.perf_counter() - begun)
    assert once < 20 * found.flops_per_second
    assert 1e8 < found.bytes_per_second < 1e13
    assert (found.threads, found.by) == (1, "torch")


def test_stacks_are_written_beside(tmp_path):
    profile = Profile(
        cost=Cost(1.0, 1.0), operators=[], parts=[], outside_seconds=None, ceilings=MOST,
        rates=Rates(None, None, None, None, None, None), bottleneck=Bottleneck(None, ""),
        sentences=[], trace=None,
    )  # fmt: skip
    with_stacks = replace(profile, sampled=Sampled({("a (x.py:1)", "b (libc.so.6)"): 3}, True))
    files = with_stacks.write(tmp_path, "t")
    assert [path.name for path in files] == ["profile.json", "flame.svg", "stacks.txt"]
    assert (tmp_path / "stacks.txt").read_text() == "a (x.py:1);b (libc.so.6) 3\n"
    assert "b (libc.so.6)" in (tmp_path / "flame.svg").read_text()
