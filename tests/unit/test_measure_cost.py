"""Costs add up, and what is not known stays unknown."""

import json

from pipeline import measure
from pipeline.measure.cost import Cost, Energy, TaskCost, sum_of, throughput, together


class TestASum:
    def test_times_add_and_peaks_do_not(self):
        a = Cost(1.0, 0.5, peak_rss_bytes=10, read_bytes=3, energy_joules=2.0, energy_source="rapl")
        b = Cost(3.0, 2.5, peak_rss_bytes=7, read_bytes=4, energy_joules=1.0, energy_source="rapl")
        both = sum_of([a, b])
        assert (both.wall_seconds, both.cpu_seconds) == (4.0, 3.0)
        assert (both.peak_rss_bytes, both.read_bytes) == (10, 7)
        assert (both.energy_joules, both.energy_source) == (3.0, "rapl")

    def test_one_unknown_part_leaves_the_sum_unknown(self):
        both = sum_of([Cost(1.0, 1.0, read_bytes=3, energy_joules=1.0), Cost(1.0, 1.0)])
        assert both.read_bytes is None
        assert both.energy_joules is None
        assert both.peak_rss_bytes is None

    def test_means_are_weighted_by_time_and_skip_what_no_sample_saw(self):
        costs = [Cost(1.0, 0, mean_rss_bytes=100), Cost(3.0, 0, mean_rss_bytes=200), Cost(9.0, 0)]
        assert sum_of(costs).mean_rss_bytes == 175

    def test_throughputs_of_one_unit_add(self):
        costs = [Cost(s, 0, throughput=throughput(n, "items", s)) for s, n in ((1, 10), (4, 90))]
        assert sum_of(costs).throughput == throughput(100, "items", 5)
        other = Cost(1, 0, throughput=throughput(1, "users", 1))
        assert sum_of([*costs, other]).throughput is None


def test_tasks_of_one_name_stand_together_in_order_of_appearance():
    costs = [TaskCost(n, 1, Cost(1.0, 0.0)) for n in ("b", "a", "b")]
    assert [(c.name, c.times, c.cost.wall_seconds) for c in together(costs)] == [
        ("b", 2, 2.0),
        ("a", 1, 1.0),
    ]


def test_the_tree_is_json():
    with measure.task("outer") as outer:
        for _ in range(3):
            with measure.task("inner"), measure.task("innermost"):
                pass
    told = json.loads(json.dumps(outer.cost.as_dict()))
    assert [(t["name"], t["times"]) for t in told["tasks"]] == [("inner", 3)]
    assert [(t["name"], t["times"]) for t in told["tasks"][0]["tasks"]] == [("innermost", 3)]
    assert told["throughput"] is None


class Gauge:
    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")
        return Energy(5.0, None, "gauge")


def test_a_meter_is_started_and_stopped_once_even_where_the_task_fails():
    gauge = Gauge()
    try:
        with measure.task("fails", meter=gauge) as task, measure.task("inner") as inner:
            raise ValueError
    except ValueError:
        pass
    assert gauge.calls == ["start", "stop"]
    assert (task.cost.energy_joules, task.cost.grams_co2e) == (5.0, None)
    assert task.cost.energy_source == "gauge"
    assert inner.cost.energy_joules is None


def test_logged_numbers_reach_the_listener_with_the_names_around_them():
    heard = []

    class Ear:
        def hear(self, event):
            heard.append(event)

    with measure.task("train", Ear()) as outer, measure.task("fit") as inner:
        inner.log({"loss": 0.5}, step=3)
        outer.log({"done": 1.0})
    assert [(e.task, e.values, e.step) for e in heard] == [
        ("train/fit", {"loss": 0.5}, 3),
        ("train", {"done": 1.0}, None),
    ]
    assert heard[0].at > 1e9
