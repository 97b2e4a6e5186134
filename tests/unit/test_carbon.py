"""What a store's runs drew: entries, report, regions, prices, budgets, and the page."""

import csv
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import combinations

import pytest
from typer.testing import CliRunner

from pipeline import files
from pipeline.artifacts import Store
from pipeline.carbon.allowance import Allowance, used_this_month
from pipeline.carbon.ledger import entries_of
from pipeline.carbon.page import page
from pipeline.carbon.plots import scatter
from pipeline.carbon.prices import load_prices
from pipeline.carbon.regions import cheapest, elsewhere
from pipeline.carbon.report import Terms, points_of, report_on
from pipeline.carbon.units import energies, grams_told, kwh_told, money_told, short
from pipeline.cli import app
from pipeline.cli.run import shipped_config
from pipeline.config import BudgetConfig
from pipeline.errors import ArtifactError, BudgetExceededError, ConfigError
from pipeline.measure import Event, Metrics
from pipeline.measure.energy.account import priced
from pipeline.measure.energy.pareto import Point, front
from pipeline.schema import KINDS
from tests import browser as browsers
from tests.energy_worlds import entry

GRID = {"place": "DEU", "grams_per_kwh": 400.0, "source": "a table", "date": "2023"}


def publish(store, kind, fingerprint, joules=3.6e6, facts=None, inputs=None, step=None):
    """Publish an empty artifact with a cost."""
    cost = {
        "wall_seconds": 2.0, "cpu_seconds": 1.0, "energy_joules": joules,
        "grams_co2e": None if joules is None else joules / 9000, "energy_source": "rapl",
    }  # fmt: skip
    with store.draft(kind, fingerprint) as draft:
        (draft / "a.json").write_text("{}")
        return store.publish(
            draft,
            {
                "kind": kind, "kind_version": KINDS[kind].version, "fingerprint": fingerprint,
                "stage": KINDS[kind].made_by, "stage_version": 1, "config": {},
                "inputs": inputs or {}, "facts": facts or {}, "cost": cost, "seed": 0,
                "step": step or KINDS[kind].made_by, "environment": {"grid": GRID},
            },
        )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store, "tables", "7ab1e5")
    publish(store, "model", "ea5e00", joules=1.0e6, step="train:ease")
    publish(store, "model", "6a7000", joules=5.0e6, inputs={"tables": "7ab1e5"})
    publish(store, "ranker", "4a4000", 1.0e6, inputs={"model": "6a7000", "model:ease": "ea5e00"})
    metrics = {name: {"ndcg@20": value} for name, value in
               (("gat", 0.05), ("ease", 0.04), ("gat+rank", 0.06))}  # fmt: skip
    models = {"gat": "6a7000", "ease": "ea5e00", "gat+rank": "4a4000"}
    publish(store, "report", "4e9047", 100.0, {"models": models, "metrics": {"test": metrics}})
    return store


def record(store, run="20261121T120000-abcd", **steps):
    path = store.root / "runs" / run / "run.json"
    path.parent.mkdir(parents=True)
    files.write_json(
        path,
        {"run_id": run, "config_name": "shop", "started_at": "2026-11-20T10:00:00+00:00",
         "ended_at": "2026-11-20T10:05:00+00:00", "steps": steps},
    )  # fmt: skip


def cost(joules=7.2e6, seconds=4.0):
    return {"wall_seconds": seconds, "energy_joules": joules, "grams_co2e": joules / 9000,
            "energy_source": "rapl"}  # fmt: skip


class TestLedger:
    def test_every_artifact_with_a_cost_is_an_entry(self, store):
        found = {each.name: each for each in entries_of(store)}
        assert {*found} == {"etl", "train:ease", "train", "rank", "evaluate"}
        assert found["etl"].grams == pytest.approx(400)
        assert found["etl"].factor == (400.0, "a table", "2023")
        assert found["train:ease"].stage == "train"

    def test_a_recorded_step_is_counted_once(self, store):
        step = {"stage": "etl", "kind": "tables", "fingerprint": "7ab1e5", "made": True}
        record(store, etl={**step, "cost": cost(3.6e6, 2.0)})
        found = [each for each in entries_of(store) if each.stage == "etl"]
        assert [(each.project, each.run) for each in found] == [("shop", "20261121T120000-abcd")]
        assert found[0].ended_at.day == datetime.now(UTC).day, "of the artifact itself"

    def test_what_was_removed_or_made_again_stays_counted(self, store):
        gone = {"stage": "train", "kind": "model", "fingerprint": "90ne00", "made": True}
        record(store, train={**gone, "cost": cost()}, etl={**gone, "made": False, "cost": None})
        assert sum(each.joules for each in entries_of(store)) == pytest.approx(
            7.2e6 + 3.6e6 + 1e6 + 5e6 + 1e6 + 100
        )

    def test_a_step_that_was_made_again_keeps_its_own_time_and_place(self, store):
        step = {"stage": "etl", "kind": "tables", "fingerprint": "7ab1e5", "made": True}
        mine = {**GRID, "place": "FRA", "grams_per_kwh": 44.0}
        before = {"cost": cost(), "ended_at": "2026-11-20T10:03:00+00:00", "grid": mine}
        record(store, etl={**step, **before})
        (found,) = (each for each in entries_of(store) if each.run != "-")
        assert (found.ended_at.minute, found.place) == (3, "FRA")
        assert found.factor == (44.0, "a table", "2023")

    def test_a_torn_record_is_passed_over(self, store):
        (store.root / "runs" / "r").mkdir(parents=True)
        (store.root / "runs" / "r" / "run.json").write_text('{"steps": ')
        assert len(entries_of(store)) == 5

    def test_a_step_without_a_time_is_refused(self, store):
        gone = {"kind": "model", "fingerprint": "90ne00", "made": True, "cost": cost()}
        record(store, run="r9", train=gone)
        path = store.root / "runs" / "r9" / "run.json"
        path.write_text(path.read_text().replace("2026-11-20T", "yesterday "))
        with pytest.raises(ArtifactError, match="r9"):
            entries_of(store)

    def test_an_empty_store_has_none(self, tmp_path):
        assert entries_of(Store(tmp_path / "nothing")) == []


class TestReport:
    def test_accuracy_is_beside_all_that_a_model_was_made_from(self, store):
        found = {point.name: point for point in points_of(store, "ndcg@20")}
        assert found["gat"].joules == 5.0e6
        assert found["gat+rank"].joules == 7.0e6, "its own, the network's and the second's"
        assert [point.name for point in front([*found.values()])] == ["ease", "gat", "gat+rank"]

    def test_a_model_nobody_measured_is_left_out(self, store):
        publish(store, "model", "0ff000", joules=None)
        facts = {"models": {"mf": "0ff000", "gone": "ffffff"}}
        facts["metrics"] = {"test": {"mf": {"ndcg@20": 1.0}, "gone": {"ndcg@20": 1.0}}}
        publish(store, "report", "4e9048", 1.0, facts)
        assert {point.name for point in points_of(store, "ndcg@20")} == {"gat", "ease", "gat+rank"}

    def test_scope_2_has_what_a_sustainability_report_asks_for(self):
        listed = priced([entry(), entry("embed", joules=None, grams=None)], price(), pue=1.5)
        told = report_on(listed, [], Terms("own", "USD", 1.5, 10.0)).as_dict()["scope_2"]
        assert told["it_energy_kwh"] == pytest.approx(0.001)
        assert told["facility_energy_kwh"] == pytest.approx(0.0015)
        assert told["location_based_kg_co2e"] == pytest.approx(0.4 * 1.5 / 1000)
        assert told["market_based_kg_co2e"] == pytest.approx(0.0015 * 10 / 1000)
        assert told["location_based_factors"][0] | {"energy_kwh": 0} == {
            "place": "DEU", "grams_per_kwh": 400.0, "source": "a table", "date": "2023",
            "energy_kwh": 0,
        }  # fmt: skip
        assert (told["entries"], told["entries_not_measured"]) == (2, 1)

    def test_without_contracts_the_market_is_not_known(self):
        assert report_on([entry()], [], Terms("own", "USD")).scope_2["market_based_kg_co2e"] is None


def price(machine=None):
    return load_prices(shipped_config("prices.yaml")).of(machine)


class TestPrices:
    def test_an_own_machine_costs_its_electricity(self):
        assert price().of(3600, 3.6e6) == pytest.approx(0.13)

    def test_a_rented_hour_includes_it(self):
        assert price("aws:m5.large").of(3600, 3.6e6) == pytest.approx(0.096)

    def test_an_unknown_machine_is_told_the_closest(self):
        with pytest.raises(ConfigError, match=r"aws:m5\.large"):
            price("aws:m5.larg")

    def test_every_price_says_who_says_so(self):
        table = load_prices(shipped_config("prices.yaml"))
        assert all(each.source and each.date for each in table.machines.values())


class TestRegions:
    def test_the_cleanest_comes_first(self):
        pytest.importorskip("codecarbon")
        found = elsewhere(3.6e6, 2.0, load_prices(shipped_config("prices.yaml")))
        grams = [each.grams for each in found]
        assert grams == sorted(grams)
        assert all(":" in each.grid.place for each in found)
        assert cheapest(found).grid.place == "aws:us-east-1"
        assert cheapest(found).money == pytest.approx(2 * 0.0816)

    def test_places_can_be_chosen(self):
        pytest.importorskip("codecarbon")
        prices = load_prices(shipped_config("prices.yaml"))
        assert {e.grid.place for e in elsewhere(1.0, 1.0, prices, only="DEU")} == {"DEU"}
        assert len(elsewhere(1.0, 1.0, prices, only="*")) > 300
        assert cheapest(elsewhere(1.0, 1.0, prices, only="DEU")) is None


class Heard:
    def __init__(self):
        self.events = []

    def hear(self, event):
        self.events.append(event)


def drew(step, joules):
    return Metrics(step, {"energy_joules": joules, "grams_co2e": joules / 9000})


class TestAllowance:
    def watched(self, **limits):
        self.told, self.listener = [], Heard()
        return Allowance(self.listener, BudgetConfig(**limits), self.told.append)

    def test_it_warns_once_then_stops(self):
        allowance = self.watched(run_wh=1.0)
        allowance.hear(drew("train", 1800))
        assert self.told == []
        allowance.hear(drew("train", 3000))
        allowance.hear(drew("train", 3100))
        assert len(self.told) == 1
        with pytest.raises(BudgetExceededError, match=r"runtime\.budget\.run_wh"):
            allowance.hear(drew("train", 3600))

    def test_steps_side_by_side_add_up(self):
        allowance = self.watched(run_wh=1.0, warn_share=1.0)
        allowance.hear(drew("train:ease", 2000))
        with pytest.raises(BudgetExceededError):
            allowance.hear(drew("train:gat", 1700))

    def test_grams_are_limited_too(self):
        allowance = self.watched(run_grams=1.0)
        with pytest.raises(BudgetExceededError, match="CO2e"):
            allowance.hear(drew("train", 9000))

    def test_the_month_counts_what_was_before(self):
        allowance = self.watched(month_wh=10.0)
        allowance.before = {"wh": 9.9}
        with pytest.raises(BudgetExceededError, match="month"):
            allowance.hear(drew("train", 400))

    def test_other_events_pass_and_energy_does_not(self):
        allowance = self.watched(run_wh=1.0)
        event = Event("train: epochs", 1, 2, "epochs")
        allowance.hear(event)
        allowance.hear(drew("train", 1))
        allowance.hear(Metrics("train", {"loss": 1.0}))
        assert self.listener.events[0] is event
        assert len(self.listener.events) == 2

    def test_a_finished_step_counts_what_it_drew_in_the_end(self, store):
        class Step:
            name = "train"

        allowance = self.watched(run_wh=1.0)
        with pytest.raises(BudgetExceededError):
            allowance.made(Step, store.open("model", "6a7000"))

    def test_this_month_is_this_month(self, store):
        assert used_this_month(store)["wh"] == pytest.approx(10.6e6 / 3600, rel=1e-3)
        assert used_this_month(store, datetime(2020, 1, 1, tzinfo=UTC))["wh"] == 0

    def test_without_limits_it_only_listens(self):
        self.watched().hear(drew("train", 1e12))


class Looked(HTMLParser):
    """Every tag closed in order, and every address that a page would ask for."""

    def __init__(self):
        super().__init__()
        self.open, self.asked, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.asked += [v for n, v in attrs if n in ("src", "href") and not v.startswith("data:")]
        if tag not in ("meta", "link", "rect", "circle", "line", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


class TestPage:
    def test_it_is_whole_and_asks_for_nothing(self):
        points = [Point("a<b>&", 10.0, 0.1), Point("c", 1000.0, 0.2)]
        listed = priced([entry("<script>"), entry("embed")], price())
        looked = Looked()
        looked.feed(page(report_on(listed, points, Terms("own", "USD"))))
        assert looked.open == []
        assert looked.asked == []
        assert "<script>" in "".join(looked.text), "shown, not run"

    def test_it_draws_without_points_and_without_energy(self):
        looked = Looked()
        listed = priced([entry(joules=None, grams=None)], price())
        looked.feed(page(report_on(listed, [], Terms("own", "USD"))))
        assert looked.open == []

    def test_names_of_points_side_by_side_do_not_cover_each_other(self):
        points = [Point(f"model {n}", 100.0 + n, 0.1) for n in range(8)]
        drawn = scatter("x", [*points, Point("far", 1e5, 0.3)], points[:1], "ndcg@20")
        name = r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" class="ink"'
        named = re.findall(name, drawn)
        assert 3 <= len(named) < 9, "those without room are told by their dot's title"
        spans = [(float(x) - 110 * (side == "end"), float(y)) for x, y, side in named]
        for (a, y), (b, z) in combinations(spans, 2):
            assert abs(a - b) >= 110 or abs(y - z) >= 12

    def test_one_point_can_be_drawn(self):
        only = [Point("a", 1.0, 0.0)]
        assert "nan" not in scatter("x", only, only, "ndcg@20")

    @pytest.mark.browser
    @pytest.mark.skipif(browsers.CHROMIUM is None, reason=browsers.NO_CHROMIUM)
    def test_a_browser_shows_it_without_a_complaint(self, store, tmp_path):
        path = tmp_path / "carbon.html"
        assert ask("report", store, "--html", path).exit_code == 0
        with browsers.opened(tmp_path / "profile") as browser:
            tab = browser.page()
            tab.look(390, 800, dark=True)
            tab.open(path.as_uri())
            tab.see("Scope 2")
            assert tab.run("document.querySelectorAll('svg circle').length") == 3
            assert tab.run("document.documentElement.scrollWidth") <= 390
            assert tab.requests == [path.as_uri()]
            assert tab.complaints == []


def ask(verb, store, *more):
    words = ["carbon", verb, "--store", store.root, *more]
    return CliRunner().invoke(app, [str(word) for word in words])


class TestVerbs:
    @pytest.mark.parametrize("by", ["project", "stage", "step", "run", "month"])
    def test_the_report_adds_up(self, store, by):
        told = json.loads(ask("report", store, "--json").stdout)
        whole = told["total"]["kwh"]
        assert sum(part["kwh"] for part in told["by"][by]) == pytest.approx(whole)
        printed = ask("report", store, "--by", by)
        assert printed.exit_code == 0
        assert "total" in printed.stdout and "not known" in printed.stdout

    def test_the_csv_holds_every_step(self, store, tmp_path):
        assert ask("report", store, "--csv", tmp_path / "c.csv").exit_code == 0
        with (tmp_path / "c.csv").open(newline="") as file:
            rows = [*csv.DictReader(file)]
        assert sum(float(row["energy_joules"]) for row in rows) == pytest.approx(10.6e6 + 100)
        assert {row["factor_date"] for row in rows} == {"2023"}

    def test_days_choose(self, store):
        assert ask("report", store, "--since", "2020-01-01").exit_code == 0
        assert "holds no step" in str(ask("report", store, "--until", "2020-01-01").exception)
        assert "no day" in str(ask("report", store, "--until", "soon").exception)

    def test_regions_of_a_run(self, store):
        pytest.importorskip("codecarbon")
        told = json.loads(ask("regions", store, "--json", "aws").stdout)
        assert told["joules"] == pytest.approx(10.6e6 + 100)
        assert told["places"][0]["source"]
        assert "cleanest: " in ask("regions", store, "--top", "3").stdout
        assert "no place begins" in str(ask("regions", store, "atlantis").exception)
        assert "'r7'" in str(ask("regions", store, "--run", "r7").exception)

    def test_what_a_service_costs(self, tmp_path):
        text = (
            "# HELP x\nplotpointe_energy_joules_total 3600.0\nplotpointe_grams_co2e_total 0.4\n"
            "plotpointe_metered_seconds_total 360.0\n"
            'plotpointe_recommendations_total{strategy="model",user_tier="hot"} 9000.0\n'
            'plotpointe_recommendations_total{strategy="popular",user_tier="cold"} 1000.0\n'
        )
        (tmp_path / "metrics").write_text(text)
        words = ["carbon", "served", str(tmp_path / "metrics"), "--machine", "aws:m5.large"]
        told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
        assert told["joules_per_1000"] == pytest.approx(360)
        assert told["grams_co2e_per_1000"] == pytest.approx(0.04)
        assert told["money_per_million"] == pytest.approx(0.096 * 0.1 / 10_000 * 1e6)
        full = json.loads(
            CliRunner().invoke(app, [*words, "--json", "--per-second", "1000"]).stdout
        )
        assert full["money_per_million"] == pytest.approx(0.096 / 3600 / 1000 * 1e6)


def test_units_are_of_the_largest():
    assert energies([0.0005, 0.002]) == ("Wh", ["0.5", "2"])
    assert (kwh_told(1234.5), grams_told(0.0), money_told(0.0, "USD")) == (
        "1.234 MWh", "0 mg", "0.000000 USD",
    )  # fmt: skip
    assert [short(value) for value in (0, 12345, 1.23456)] == ["0", "12,345", "1.235"]
