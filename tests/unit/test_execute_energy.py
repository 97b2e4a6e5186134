"""Steps are metered, options of metering change no result, and a budget ends a run cleanly."""

import time

import pytest
import yaml

from pipeline import execute, flow, measure
from pipeline.artifacts import Store
from pipeline.carbon.allowance import Allowance
from pipeline.carbon.ledger import entries_of
from pipeline.cli.run import make
from pipeline.config import BudgetConfig, Config, DataConfig, RuntimeConfig, load_config
from pipeline.errors import BudgetExceededError, ConfigError
from pipeline.measure import Energy
from pipeline.train.costs import Laps
from tests.unit.test_execute import CONFIG, leftovers, step

SMALL = {"users": 20, "items": 40}


def config(**runtime) -> Config:
    return CONFIG.model_copy(update={"runtime": RuntimeConfig(**runtime)})


class TestSteps:
    def test_a_manifest_says_what_was_drawn_and_where(self, tmp_path):
        store = Store(tmp_path)
        chosen = config(energy="estimate", place=360.0)
        made = execute.run([step("tells_its_energy")], chosen, store, execute.InProcess())["train"]
        cost = made.manifest["cost"]
        assert cost["grams_co2e"] == pytest.approx(cost["energy_joules"] / 1e4)
        assert cost["energy_source"].startswith("estimate: ")
        assert made.manifest["environment"]["grid"]["grams_per_kwh"] == 360
        first, last = made.facts["joules"]
        assert 0 <= first < last <= cost["energy_joules"]
        assert [each.joules for each in entries_of(store)] == [cost["energy_joules"]]

    def test_off_leaves_it_unknown(self, tmp_path):
        chosen = config(energy="off")
        made = execute.run([step("writes")], chosen, Store(tmp_path / "s"), execute.InProcess())
        manifest = made["train"].manifest
        assert manifest["cost"]["energy_joules"] is None
        assert manifest["environment"]["grid"] is None

    def test_a_place_nobody_knows_is_said_before_anything_runs(self, tmp_path):
        pytest.importorskip("codecarbon")
        with pytest.raises(ConfigError, match=r"runtime: .*'DEU'"):
            execute.run([step("writes")], config(place="DEX"), Store(tmp_path), execute.InProcess())

    def test_no_option_of_energy_changes_a_fingerprint(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump({"data": {"format": "demo", "demo": SMALL}}))
        store = Store(tmp_path / "s")
        plans = []
        for chosen in ([], ["runtime.energy=off", "runtime.place=DEU", "runtime.budget.run_wh=1"]):
            plan = flow.plan(flow.prepare(load_config(path, chosen), store), store)
            plans.append([each.fingerprint for each in plan])
        assert plans[0] == plans[1]


class TestBudget:
    def test_a_run_over_its_budget_is_ended_and_leaves_no_half_artifact(self, tmp_path):
        store = Store(tmp_path / "s")
        chosen = config(energy="estimate", processor_watts=1000.0, budget=BudgetConfig(run_wh=0.05))
        said: list[str] = []
        watched = Allowance(measure.Silent(), chosen.runtime.budget, said.append)
        began = time.monotonic()
        with pytest.raises(BudgetExceededError, match="run_wh"):
            execute.run([step("works_on")], chosen, store, execute.Processes(watched))
        assert time.monotonic() - began < 50, "ended, not waited for"
        assert store.all("model") == []
        assert leftovers(store) == []
        assert BudgetExceededError.exit_code not in (0, 1)

    def test_what_fits_is_made(self, tmp_path):
        store = Store(tmp_path / "s")
        chosen = config(energy="estimate", budget=BudgetConfig(run_wh=1000.0))
        assert "train" in make([step("writes")], chosen, store)

    def test_a_meter_that_tells_at_its_end_keeps_no_budget(self, tmp_path):
        for how in ("off", "codecarbon"):
            chosen = config(energy=how, budget=BudgetConfig(run_wh=1.0))
            with pytest.raises(ConfigError, match=r"runtime\.energy"):
                make([step("writes")], chosen, Store(tmp_path))

    def test_a_finished_step_may_end_the_run(self, tmp_path):
        chosen = config(energy="estimate", budget=BudgetConfig(run_wh=1e-9))
        store = Store(tmp_path / "s")
        with pytest.raises(BudgetExceededError):
            make([step("writes")], chosen, store)

    def test_the_default_limits_nothing(self):
        assert Config(name="x", data=DataConfig(format="demo")).runtime.budget.limits() == {}


class TestLaps:
    def test_each_epoch_gets_what_it_drew(self):
        drawn = iter([10.0, 15.0, 17.0])
        laps = Laps(lambda: Energy(next(drawn), None, "rapl"))
        curve: list[dict] = [{"epoch": 1}]
        laps.note(curve)
        curve.append({"epoch": 2})
        laps.note(curve)
        assert [entry["joules"] for entry in curve] == [5.0, 2.0]

    def test_a_resumed_run_keeps_what_was_noted(self):
        drawn = iter([0.0, 1.0, 4.0])
        laps = Laps(lambda: Energy(next(drawn), None, "rapl"))
        curve: list[dict] = [{"epoch": 1, "joules": 9.0}]
        laps.note(curve)
        curve.append({"epoch": 2})
        laps.note(curve)
        assert [entry["joules"] for entry in curve] == [9.0, 3.0]

    def test_what_nobody_measures_is_not_noted(self):
        laps = Laps(lambda: Energy(None, None, "none"))
        curve: list[dict] = [{"epoch": 1}]
        laps.note(curve)
        assert curve == [{"epoch": 1}]
