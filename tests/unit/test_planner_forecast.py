"""Forecasts: put right by past runs, added up side by side, refused where they cannot fit."""

import json
from dataclasses import replace

import pytest

from pipeline import flow
from pipeline.artifacts import Store
from pipeline.config import GraphConfig, IndexConfig, TrainConfig
from pipeline.errors import DoesNotFitError
from pipeline.measure import rates
from pipeline.measure.forecast import NextRun, predicted
from pipeline.measure.processor import machine_name
from pipeline.measure.rates import Rates, measured
from pipeline.planner import (
    forecast,
    history,
    oracle,
    probe,
    refuse_what_cannot_fit,
    work,
    work_train,
)
from pipeline.planner.costs import COEFFICIENTS, coefficients, cost_of
from pipeline.planner.forecast import Range, StepForecast
from pipeline.planner.history import History
from pipeline.planner.machine import Machine, this_machine
from pipeline.planner.probe import rates_of
from pipeline.planner.scene import Witness, section_of
from tests import worlds
from tests.planner_worlds import MACHINE, RATES, counts, planned, scene, write_shop


@pytest.fixture(autouse=True)
def no_probe(monkeypatch):
    """Nothing here depends on how fast the tests' machine is."""
    monkeypatch.setattr(oracle, "rates_of", lambda machine, store: RATES)


@pytest.fixture
def shop(tmp_path):
    return planned(write_shop(tmp_path), tmp_path / "store")


def told(shop, machine=MACHINE, **options):
    resolved, place, steps = shop
    return forecast(steps, resolved, place, machine=machine, **options)


def names(found) -> list[str]:
    return [each.step.name for each in found.steps]


def test_every_step_that_is_to_be_made_is_foretold(shop):
    found = told(shop)
    assert names(found) == [step.name for step in shop[2]]
    assert all(each.seconds.value > 0 and each.memory.value > 5e7 for each in found.steps)
    assert all(each.by == "formula" for each in found.steps)
    assert found.fits and not found.complete and found.counts.users == 40
    assert found.seconds.low <= found.seconds.value <= found.seconds.high


def test_a_training_is_foretold_to_its_last_epoch_and_to_the_expected(shop):
    (train,) = [each for each in told(shop).steps if each.step.name == "train"]
    assert train.epochs == round(10 * work_train.EPOCHS_UNKNOWN)
    assert "at most 10 epochs" in train.mode
    (patient,) = [e for e in told(with_(shop, patience=50)).steps if e.step.name == "train"]
    assert patient.epochs == 10
    assert patient.seconds.value <= train.seconds.high < patient.seconds.high * 1.01


def with_(shop, **changes):
    resolved, place, _ = shop
    section = resolved.train.model_copy(update=changes)
    resolved = resolved.model_copy(update={"train": section})
    return resolved, place, flow.plan(resolved, place)


def test_the_json_of_a_forecast_is_json(shop):
    found = json.loads(json.dumps(told(shop).as_json()))
    assert found["fits"] is True and found["complete"] == []
    assert {"seconds", "memory_bytes", "disk_bytes", "mode", "by"} <= {*found["steps"][0]}
    assert found["steps"][0]["memory_bytes"]["low"] < found["steps"][0]["memory_bytes"]["expected"]


def step_forecast(step, seconds: float, memory: float) -> StepForecast:
    ranges = Range.around(seconds, 1.5), Range.around(memory, 1.2)
    return StepForecast(step, *ranges, disk=1.0, mode="", runs=0)


def test_steps_that_run_side_by_side_add_up(shop):
    by_name = {step.name: step for step in shop[2]}
    both = [step_forecast(by_name[n], 10, 1e9) for n in ("train:popularity", "train:ease")]
    alone, shared = (sum(m for m, _ in oracle.schedule(both, width)) for width in (1, 2))
    assert (alone, shared) == (20, 10)
    ((_, together),) = oracle.schedule(both, 2)
    assert len(together) == 2
    chain = [step_forecast(by_name[n], 10, 1e9) for n in ("etl", "embed", "graph")]
    assert [len(running) for _, running in oracle.schedule(chain, 2)] == [1, 1, 1]


def test_the_peak_is_that_of_the_steps_that_run_at_once(shop):
    resolved, place, steps = shop
    narrow = resolved.runtime.model_copy(update={"side_by_side": 1})
    one_by_one = resolved.model_copy(update={"runtime": narrow}), place, steps
    both, single = told(shop), told(one_by_one)
    assert len(both.together) == 2 and len(single.together) == 1
    assert both.memory.value > single.memory.value
    largest = max(each.memory.value for each in single.steps)
    assert single.memory.value == pytest.approx(largest + oracle.PARENT)


TINY = replace(MACHINE, memory=300 * 10**6)


def test_what_cannot_fit_is_refused_with_what_would_help(shop):
    found = told(shop, TINY)
    assert not found.fits
    with pytest.raises(DoesNotFitError) as refused:
        refuse_what_cannot_fit(found)
    assert refused.value.exit_code == 8
    said = str(refused.value)
    for words in ("of memory", "300 MB are free", "runtime.side_by_side=1", "--no-plan"):
        assert words in said


def test_advice_names_settings_that_the_forecast_says_would_help(monkeypatch, shop):
    huge = counts(100_000, 18_000, 20)
    monkeypatch.setattr(oracle, "counts_of", lambda *_: huge)
    found = told(shop, TINY)
    assert any(cure.startswith("runtime.side_by_side=1") for cure in found.cures)
    assert any("baselines.ease.overrides.solver=local" in c for c in found.cures), found.cures
    assert any(cure.startswith("train.width=32") for cure in found.cures), found.cures


def test_a_full_disk_is_refused(shop):
    full = replace(MACHINE, disk=10)
    with pytest.raises(DoesNotFitError, match="0 MB are free where the store is"):
        refuse_what_cannot_fit(told(shop, full))


def test_only_the_lower_end_decides_so_that_what_may_fit_runs(shop):
    found = told(shop)
    between = replace(MACHINE, memory=round((found.memory.low + found.memory.value) / 2))
    refuse_what_cannot_fit(told(shop, between))


def test_nothing_to_make_needs_nothing(shop):
    resolved, place, _ = shop
    found = forecast([], resolved, place, machine=replace(MACHINE, memory=0, disk=0))
    assert found.steps == [] and found.seconds.value == 0
    refuse_what_cannot_fit(found)


def past_model(store: Store, wall: float, memory: int, *, epochs: int = 10) -> None:
    """Leave a trained model of the planted world with this cost."""
    world = worlds.planted()
    worlds.tables(store, world), worlds.embeddings(store, world), worlds.graphs(store, world)
    config = TrainConfig(epochs=20).model_dump(mode="json")
    fingerprint = f"{round(wall * 1000):x}{memory:x}"
    with store.draft("model", fingerprint) as draft:
        (draft / "curve.jsonl").write_text("")
        manifest = {
            "kind": "model", "kind_version": 1, "fingerprint": fingerprint, "stage": "train",
            "config": config, "inputs": {"tables": "7ab1e5", "graphs": "96a9f5"},
            "facts": {"epochs_run": epochs},
            "cost": {"wall_seconds": wall, "cpu_seconds": wall, "peak_rss_bytes": memory},
            "environment": {"machine": machine_name(), "threads": 1},
        }  # fmt: skip
        store.publish(draft, manifest)


def formula(store: Store):
    past = history.past_of(store.all("model")[0], Witness(store))
    return cost_of(past.section, past.scene, RATES)


def test_past_runs_of_this_machine_put_the_formula_right(tmp_path):
    store = Store(tmp_path)
    past_model(store, 1.0, 10**9)
    says = formula(store)
    store = Store(tmp_path / "other")
    for more in (3.0, 3.1, 2.9):
        past_model(store, more * says.seconds, round(2 * says.memory))
    past = history.past_of(store.all("model")[0], Witness(store))
    assert past.section.epochs == 10, "compared with what was run, not with what was allowed"
    found = History(store, MACHINE, RATES).ratios(past.section, past.scene)
    assert found.runs == 3
    assert 2.5 < found.seconds < 3.1 and 1.7 < found.memory < 2.05
    elsewhere = History(store, replace(MACHINE, name="another machine"), RATES)
    assert elsewhere.ratios(past.section, past.scene).runs == 0
    assert History(store, MACHINE, RATES).epochs_share(TrainConfig()) == 0.5


def test_three_runs_speak_alone_and_two_do_not(tmp_path):
    store = Store(tmp_path)
    for n, seconds in enumerate((9.0, 10.0, 11.0)):
        past_model(store, seconds, 10**9 + n)
        past = history.past_of(store.all("model")[0], Witness(store))
        alone = History(store, MACHINE, RATES).alone(past.section, past.scene)
        assert (alone is not None) == (n == 2)
    assert alone.seconds.runs == 3
    assert alone.seconds.expected == pytest.approx(10.0, rel=0.05)
    assert 5 < alone.seconds.low < 9 and 11 < alone.seconds.high < 20
    assert alone.memory_bytes.expected == pytest.approx(1e9, rel=0.01)
    more = past.section.model_copy(update={"epochs": 20_000})
    longer = History(store, MACHINE, RATES).alone(more, past.scene)
    grown = cost_of(more, past.scene, RATES).seconds / formula(store).seconds
    assert longer.seconds.expected / alone.seconds.expected == pytest.approx(grown, rel=0.01)
    assert grown > 2, "the formula says how much more work it is"


def test_what_past_runs_say_alone_is_in_the_json(shop):
    each = told(shop).steps[0]
    assert each.as_json()["past_runs_say"] is None
    interval = predicted([({}, 2.0), ({}, 2.0)], {})
    with_runs = replace(each, past=NextRun(interval, None)).as_json()["past_runs_say"]
    assert with_runs["seconds"]["expected"] == pytest.approx(2.0)
    assert with_runs["memory_bytes"] is None


def test_a_run_that_waited_for_other_work_counts_by_its_processor_time(tmp_path):
    store = Store(tmp_path)
    past_model(store, 5.0, 10**9)
    artifact = store.all("model")[0]
    waited = {**artifact.manifest, "cost": {**artifact.manifest["cost"], "wall_seconds": 50.0}}
    assert history.past_of(replace(artifact, manifest=waited), Witness(store)).seconds == 5.0


def test_past_runs_that_say_nothing_are_left_out(tmp_path):
    store = Store(tmp_path)
    past_model(store, 1.0, 10**9)
    artifact = store.all("model")[0]
    for change in (
        {"cost": {}},
        {"inputs": {"tables": "gone"}},
        {"config": {"model": "gat", "a field of another version": 1}},
    ):
        changed = replace(artifact, manifest={**artifact.manifest, **change})
        assert history.past_of(changed, Witness(store)) is None
    assert isinstance(section_of(artifact), TrainConfig)


def test_without_runs_the_formula_stands_alone():
    assert history.ratio([]) == 1.0
    assert history.ratio([(0.0, 4.0)]) < 4.0
    near, far = history.ratio([(0.1, 4.0)] * 3), history.ratio([(9.0, 4.0)] * 3)
    assert 1.0 < far < near < 4.0


def test_coefficients_are_complete_and_no_cost_is_negative():
    table = json.loads(COEFFICIENTS.read_text())
    stages = {"etl", "embed", "graph", "train", "rank", "evaluate", "index"}
    assert stages <= {*table["stages"]}
    for key in table["stages"]:
        found = coefficients(key)
        assert found.base > 5e7 and found.start > 0
        assert all(v >= 0 for v in (*found.time.values(), *found.memory.values()))
    assert coefficients("train:of a model nobody ran") == coefficients("train")


def test_modes_are_those_the_stages_choose():
    assert work.index_method(IndexConfig(), work.FLAT_LIMIT) == "flat"
    assert work.index_method(IndexConfig(), work.FLAT_LIMIT + 1) == "ivf"
    assert work.index_method(IndexConfig(method="flat"), 10**6) == "flat"
    assert work.index_method(IndexConfig(compress="sq8"), 10**6) == "ivf"
    ease = TrainConfig(model="ease")
    assert work_train.solver_of(ease, work_train.DENSE_ITEMS) == "dense"
    assert work_train.solver_of(ease, work_train.DENSE_ITEMS + 1) == "local"
    assert work.search_of(GraphConfig(), 1000) == "exact"


def test_constants_are_those_of_the_stages():
    from pipeline.graph import stage
    from pipeline.index import recipe
    from pipeline.models import ease, fusion
    from pipeline.ranking import evidence
    from pipeline.train import auto

    assert work.FLAT_LIMIT == recipe.FLAT_LIMIT
    assert work.EXACT_LIMIT == stage.EXACT_UP_TO
    assert work_train.DENSE_ITEMS == ease.DENSE_ITEMS
    assert work_train.LARGE == auto.LARGE
    assert work._POOL == evidence.POOL
    assert work_train._INPUT_WIDTHS == fusion.INPUT_WIDTHS


def test_blocks_of_users_are_those_of_scoring():
    import numpy as np

    from pipeline.scoring import blocks

    for users, items in ((10, 5), (3000, 200_000), (500, 9000), (2, 10**8)):
        first = next(blocks(np.arange(users), items))
        assert work.block_users(items, users) == len(first)


def test_a_large_catalogue_of_which_few_items_are_active_costs_what_those_cost():
    few = scene(counts(2000, 30_000, hot=3000))
    active, whole = (
        work_train.work_of_train(TrainConfig(items=items), few) for items in ("auto", "all")
    )
    assert "active items" in active.mode and "active items" not in whole.mode
    assert active.time["fusion"].count < whole.time["fusion"].count / 5
    assert active.memory["nodes"] < whole.memory["nodes"] / 3
    assert active.memory["attached"] > 0 == whole.memory["attached"]


def test_an_approximate_search_does_less_where_it_pays():
    large = scene(counts(1000, 400_000))
    exact, less = (
        work.work_of_graph(Searching(search), large).time[f"{search} products"].count
        for search in ("exact", "approximate")
    )
    assert less < exact / 10


class Searching(GraphConfig):
    """The graph section with its choice of search, wherever that stands."""

    def __init__(self, search: str) -> None:
        super().__init__()
        object.__setattr__(self, "__dict__", {**self.__dict__, "search": search})


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4e9), ("800 MiB", 800 * 2**20), ("1.5TB", 1.5e12), ("much", 0)]
)
def test_sizes_are_read_as_the_database_reads_them(text, size):
    assert oracle.size_of(text) == size


def test_this_machine_is_described(tmp_path):
    found = this_machine(tmp_path / "not" / "there")
    assert isinstance(found, Machine)
    assert found.cores >= 1 and found.memory > 10**7 and found.disk > 0


def test_the_probe_is_made_once_a_day_and_a_machine(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(probe, "measured_alone", lambda: asked.append(1) or RATES)
    assert rates_of(MACHINE, tmp_path) == rates_of(MACHINE, tmp_path) == RATES
    assert len(asked) == 1
    rates_of(replace(MACHINE, processor="another"), tmp_path)
    assert len(asked) == 2
    monkeypatch.setattr(probe, "VALID_SECONDS", -1)
    rates_of(MACHINE, tmp_path)
    assert len(asked) == 3
    (tmp_path / probe.MEMORY).write_text("{}[")
    assert rates_of(MACHINE, tmp_path) == RATES


def test_rates_are_positive(monkeypatch):
    monkeypatch.setattr(rates, "_SECONDS", 0.0)
    found = measured()
    assert isinstance(found, Rates) and min(vars(found).values()) > 0
