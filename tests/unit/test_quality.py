"""The quality tables: what a plan asks for, what is made, and that no number is left out."""

import fcntl
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.quality import referee as outsider
from benchmarks.quality.__main__ import Asked, carry_out, show
from benchmarks.quality.plan import jobs_of, read_plan
from benchmarks.quality.runs import COMPLETE, FAILED, NOT_RUN, Run, by_command, planned, state_of
from benchmarks.quality.tables import OverSeeds
from pipeline import execute, files
from pipeline.artifacts import Store
from pipeline.cli.ask import export_top_k
from pipeline.config import load_config
from pipeline.errors import ConfigError, PlotpointeError
from pipeline.evaluate.names import makers, makers_of
from pipeline.schema import TEST
from tests import worlds

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("PLOTPOINTE_SHARED", ROOT.parent / "shared"))
SCRIPT = SHARED / "tools" / "score_topk.py"
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")

CONFIG = """
data: {format: mmrec, folder: data}
etl: {split: {rule: label}}
embed: {text: null, image: null}
train: {model: gat, heads: 0, width: 8, layers: 1, epochs: 2}
baselines:
  ease: {model: ease}
  popularity: {model: popularity}
rank: {epochs: 1, candidates: 30}
evaluate: {mask: train, resamples: 100, ks: [10, 20]}
"""
PLAN = """
seeds: [0, 1]
groups:
  headline:
    about: Beside the baselines.
    config: shop.yaml
    models: [gat+rank, gat, popularity]
    reference: ours/popularity
    referee: true
    entries:
      ours: {}
  ablation:
    config: shop.yaml
    set: ["baselines={}", rank=null, train.distill=null]
    reference: base/gat
    entries:
      base: {}
      2 layers: {set: [train.layers=2]}
  elsewhere:
    config: absent.yaml
    entries:
      missing: {}
"""


def in_process(run, store, quick, last):
    """Make a run here: what the command does, without its processes."""
    found = planned(run, store)
    execute.run(found.steps, found.config, store, execute.InProcess())


def world_folder(into: Path) -> Path:
    """Write the planted world as an MMRec folder, a configuration on it, one on nothing."""
    world = worlds.planted()
    rows = zip(world.users, world.items, world.split, strict=True)
    lines = [f"{u}\t{i}\t5.0\t{n}\t{s}\n" for n, (u, i, s) in enumerate(rows)]
    (into / "data").mkdir()
    header = "userID\titemID\trating\ttimestamp\tx_label\n"
    (into / "data" / "planted.inter").write_text(header + "".join(lines))
    (into / "shop.yaml").write_text(CONFIG)
    (into / "absent.yaml").write_text(CONFIG.replace("folder: data", "folder: nowhere"))
    (into / "plan.yaml").write_text(PLAN)
    return into


@pytest.fixture
def place(tmp_path):
    return world_folder(tmp_path)


def asked(place: Path, **changed) -> Asked:
    return Asked(place / "plan.yaml", place, Store(place / "store"), **changed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole plan carried out, with a referee that repeats what it is told."""
    place = world_folder(tmp_path_factory.mktemp("quality"))
    made: list[str] = []

    def maker(run, store, quick, last):
        made.append(run.name)
        in_process(run, store, quick, last)

    script = place / "referee.py"
    script.write_text("import json\nprint(json.dumps({'recall@20': 2.0, 'problems': []}))\n")
    code = carry_out(asked(place, referee=script), maker)
    results = files.read_json(place / "store" / "quality" / "results.json")
    text = (place / "store" / "quality" / "report.md").read_text()
    return place, made, code, results, text


class TestPlan:
    def test_the_shipped_plan_is_valid_and_asks_for_what_configurations_have(self):
        plan = read_plan(ROOT / "benchmarks" / "quality.yaml")
        for name in plan.groups:
            for job in jobs_of(plan, name, ROOT / "configs"):
                config = load_config(job.config, job.of(3))
                assert config.seed == 3
                if "rank=null" in job.overrides:
                    assert (config.rank, config.train.distill) == (None, None)

    def test_an_entry_says_more_than_its_group_and_a_group_more_than_the_plan(self, place):
        base, deeper = jobs_of(read_plan(place / "plan.yaml"), "ablation", place)
        assert base.seeds == (0, 1)
        assert base.models == ("gat",)
        assert deeper.overrides == (*base.overrides, "train.layers=2")
        assert deeper.of(1)[-1] == "seed=1"
        assert deeper.first(1).seeds == (0,)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("reference: base/gat", "reference: bass/gat", "did you mean 'base/gat'"),
            ("referee: true", "refere: true", "did you mean 'referee'"),
            ("seeds: [0, 1]", "seeds: many", "seeds"),
        ],
    )
    def test_a_wrong_plan_is_explained(self, place, old, new, said):
        (place / "plan.yaml").write_text(PLAN.replace(old, new))
        with pytest.raises(ConfigError, match=said):
            read_plan(place / "plan.yaml")

    def test_an_unknown_group_is_explained(self, place):
        with pytest.raises(ConfigError, match="did you mean 'headline'"):
            carry_out(asked(place, only=["headlin"]), in_process)

    def test_an_entry_without_configuration_is_explained(self, place):
        (place / "plan.yaml").write_text(PLAN.replace("    config: absent.yaml\n", ""))
        with pytest.raises(ConfigError, match="missing names no config"):
            jobs_of(read_plan(place / "plan.yaml"), "elsewhere", place)


class TestWhole:
    def test_every_number_has_its_card_and_is_the_reports(self, whole):
        place, _, _, results, _ = whole
        numbers = results["groups"]["headline"]["numbers"]
        assert len(numbers) == 3 * 2 * 2 * len(METRICS)  # models, seeds, splits
        store = Store(place / "store")
        for number in numbers:
            held = store.open("report", number["report"]).json("metrics.json")
            kept = {k: v for k, v in number.items() if k not in ("group", "entry", "report")}
            seed = kept.pop("seed")
            assert {**kept, "slice": "all"} in held
            assert number["card"]["seed"] == seed
            assert number["card"]["model"] == number["model"]

    def test_a_table_holds_the_mean_over_seeds(self, whole):
        _, _, _, results, text = whole
        numbers = [
            n["value"]
            for n in results["groups"]["headline"]["numbers"]
            if (n["model"], n["split"], n["metric"]) == ("gat", "test", "recall@10")
        ]
        mean = np.mean(numbers)
        row = next(li for li in text.split("### test")[1].splitlines() if li.startswith("| gat |"))
        assert f"| 2 | {mean:.4f} [" in row

    def test_differences_are_paired_by_seed_and_by_user(self, whole):
        _, _, _, results, text = whole
        numbers = results["groups"]["headline"]["numbers"]

        def value(model, seed):
            wanted = {"model": model, "seed": seed, "split": "test", "metric": "ndcg@20"}
            return next(n["value"] for n in numbers if wanted.items() <= n.items())

        found = {
            (d["variant"], d["split"], d["metric"]): d
            for d in results["groups"]["headline"]["differences"]
        }
        ours = found["ours/gat", "test", "ndcg@20"]
        want = np.mean([value("gat", s) - value("popularity", s) for s in (0, 1)])
        assert ours["seeds"]["value"] == pytest.approx(want)
        assert ours["users"]["value"] == pytest.approx(want, abs=1e-6)
        assert ours["users"]["low"] < ours["users"]["value"] < ours["users"]["high"]
        assert ("ours/popularity", "test", "ndcg@20") not in found
        assert "Difference from popularity:" in text

    def test_costs_hold_the_models_that_a_model_needs(self, whole):
        _, _, _, results, _ = whole
        run = results["groups"]["headline"]["runs"][0]
        seconds, costs = run["seconds"], run["costs"]
        both = seconds["train"] + seconds["train:ease"]
        assert costs["gat+rank"]["train_seconds"] == pytest.approx(both)
        assert costs["gat+rank"]["rank_seconds"] == pytest.approx(seconds["rank"])
        assert costs["gat"]["train_seconds"] == pytest.approx(seconds["train"])
        assert costs["gat"]["rank_seconds"] == 0
        assert costs["gat"]["best_epoch"] in (1, 2)

    def test_absent_data_is_said_and_is_no_failure(self, whole):
        _, made, _, results, text = whole
        runs = results["groups"]["elsewhere"]["runs"]
        assert [run["state"] for run in runs] == [NOT_RUN, NOT_RUN]
        assert "nowhere does not exist" in runs[0]["reason"]
        assert "- missing: no seed\n  - seeds [0, 1] not run: raw input" in text
        assert not any(name.startswith("elsewhere") for name in made)

    def test_a_referee_that_disagrees_is_a_failure(self, whole):
        _, _, code, results, text = whole
        verdicts = results["groups"]["headline"]["referee"]["judged"]
        assert {(v["model"], v["seed"]) for v in verdicts} == {
            (m, s) for m in ("gat+rank", "gat") for s in (0, 1)
        }
        assert not any(v["agrees"] for v in verdicts)
        assert "agrees to 1e-6 on 0 of" in text
        assert code == 1

    def test_again_makes_nothing_and_says_the_same(self, whole):
        place, _, _, results, text = whole

        def never(run, *_):
            raise AssertionError(f"{run.name} was complete")

        code = carry_out(asked(place, referee=place / "referee.py"), never)
        assert code == 1
        assert files.read_json(place / "store" / "quality" / "results.json") == results
        assert (place / "store" / "quality" / "report.md").read_text() == text

    def test_protocol_cards_stand_once(self, whole):
        text = whole[4]
        assert text.count('"split": "test"') == 1
        assert "headline (test); ablation (test):" in text
        assert "Protocol: label split of tables" in text

    def test_the_list_says_what_is_complete(self, whole, capsys):
        show(asked(whole[0]))
        said = capsys.readouterr().out
        assert "2 layers: shop.yaml baselines={} rank=null train.distill=null" in said
        assert said.count("(2 complete)") == 3


class TestExport:
    """Lists as files, by the names of the report."""

    def lists(self, place, model):
        out = place / "lists.parquet"
        export_top_k(place / "shop.yaml", out, 20, "test", model, [], str(place / "store"))
        table = files.read_table(out)
        found: dict[str, list[str]] = {}
        for row in table.to_pylist():
            found.setdefault(row["user_id"], []).append(row["item_id"])
        return found

    def recall(self, lists):
        """Return Recall@20 the slow, obvious way: everybody has one test item."""
        world = worlds.planted()
        held = world.split == TEST
        pairs = zip(world.users[held], world.items[held], strict=True)
        return np.mean([str(item) in lists[str(user)] for user, item in pairs])

    @pytest.mark.parametrize("model", ["gat+rank", "gat", "ease", "popularity"])
    def test_the_lists_score_what_the_report_says(self, whole, model):
        place = whole[0]
        run = Run(jobs_of(read_plan(place / "plan.yaml"), "headline", place)[0], 0)
        store = Store(place / "store")
        numbers = planned(run, store).made(store)["evaluate"].json("metrics.json")
        wanted = {"model": model, "split": "test", "slice": "all", "metric": "recall@20"}
        [value] = [n["value"] for n in numbers if wanted.items() <= n.items()]
        assert self.recall(self.lists(place, model)) == pytest.approx(value, abs=1e-6)

    def test_without_a_name_what_is_served_is_exported(self, whole):
        place = whole[0]
        served = self.lists(place, None)
        assert served == self.lists(place, "gat+rank")
        assert served != self.lists(place, "gat")

    def test_an_unknown_name_is_explained(self, whole):
        with pytest.raises(ConfigError, match=r"did you mean 'gat\+rank'"):
            self.lists(whole[0], "gat+rnk")

    def test_a_baseline_called_as_our_model_says_what_it_is(self, place):
        config = load_config(place / "shop.yaml", ["baselines.gat={model: gat}", "rank=null"])
        assert makers(config)["gat"] == ("train",)
        assert makers(config)["gat (baseline)"] == ("train:gat",)
        assert makers_of(None, config) == ("train",)


class TestPartial:
    def test_a_report_says_which_seeds_are_in(self, place):
        assert carry_out(asked(place, only=["ablation"], seeds=1), in_process) == 0
        text = (place / "store" / "quality" / "report.md").read_text()
        assert "- base: seeds [0]\n  - seeds [1] not run: not asked for" in text
        assert "- ours: no seed\n  - seeds [0, 1] not run: not asked for" in text
        assert "Referee: agrees" not in text
        results = files.read_json(place / "store" / "quality" / "results.json")
        [*_, last] = results["groups"]["ablation"]["differences"]
        assert last["seeds"]["seeds"] == 1
        assert last["seeds"]["low"] is None

    def test_one_failing_run_stops_no_other(self, place):
        def breaks(run, store, quick, last):
            if run.seed == 0 and run.job.entry == "base":
                raise PlotpointeError("the disk is full")
            in_process(run, store, quick, last)

        assert carry_out(asked(place, only=["ablation"]), breaks) == 1
        results = files.read_json(place / "store" / "quality" / "results.json")
        states = [
            (r["entry"], r["seed"], r["state"]) for r in results["groups"]["ablation"]["runs"]
        ]
        assert states == [
            ("base", 0, FAILED), ("base", 1, COMPLETE),
            ("2 layers", 0, COMPLETE), ("2 layers", 1, COMPLETE),
        ]  # fmt: skip
        text = (place / "store" / "quality" / "report.md").read_text()
        assert "- seeds [0] failed: the disk is full" in text

    def test_a_model_that_the_report_lacks_is_said(self, place):
        (place / "plan.yaml").write_text(
            PLAN.replace("    reference: base/gat\n", "    models: [gat, gat+rank]\n")
        )
        assert carry_out(asked(place, only=["ablation"], seeds=1), in_process) == 0
        text = (place / "store" / "quality" / "report.md").read_text()
        assert "gat+rank not run: the report has no such model; it has ['gat']" in text

    def test_a_wrong_override_fails_its_entry_alone(self, place):
        (place / "plan.yaml").write_text(PLAN.replace("train.layers=2", "train.layer=2"))
        assert carry_out(asked(place, only=["ablation"], seeds=1), in_process) == 1
        results = files.read_json(place / "store" / "quality" / "results.json")
        wrong = results["groups"]["ablation"]["runs"][2]
        assert wrong["state"] == FAILED
        assert "unknown key 'train.layer'" in wrong["reason"]

    def test_side_by_side_shares_what_comes_before_training(self, place):
        asked_for = []

        def maker(run, store, quick, last):
            asked_for.append((run.seed, tuple(quick), last))

        assert carry_out(asked(place, only=["ablation"], jobs=2), maker) == 1
        text = (place / "store" / "quality" / "report.md").read_text()
        assert "seeds [0, 1] failed: it ended without an error, and without a report" in text
        quick = ("runtime.threads=1", "runtime.side_by_side=1")
        assert asked_for[0] == (0, (), "graph")
        assert sorted(asked_for[1:3]) == [(0, quick, "evaluate"), (1, quick, "evaluate")]


class TestReferee:
    def judge(self, place, script):
        carry_out(asked(place, only=["headline"], seeds=1, referee=script), in_process)
        results = files.read_json(place / "store" / "quality" / "results.json")
        return results["groups"]["headline"]["referee"]

    @pytest.mark.shared_data
    @pytest.mark.skipif(not SCRIPT.exists(), reason="the referee is not beside the project")
    def test_the_shared_referee_agrees(self, place):
        verdicts = self.judge(place, SCRIPT)["judged"]
        assert [v["model"] for v in verdicts] == ["gat+rank", "gat"]
        assert all(v["agrees"] and v["theirs"].keys() == {*METRICS} for v in verdicts)

    def test_without_one_it_is_said(self, place):
        assert "no referee given" in self.judge(place, None)["why_not"]

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            ("raise SystemExit('no such list')", "gave no numbers: no such list"),
            ('print(\'{"problems": ["a rank twice"]}\')', "a rank twice"),
        ],
    )
    def test_what_is_wrong_is_said(self, place, script, said):
        (place / "referee.py").write_text(script + "\n")
        verdicts = self.judge(place, place / "referee.py")["judged"]
        assert all(said in v["problem"] and not v["agrees"] for v in verdicts)

    def test_agreement_is_to_a_millionth(self):
        ours = {"recall@10": 0.5, "recall@20": 0.6}
        close = outsider.Judged("e", "gat", 0, {"recall@10": 0.5 + 9e-7, "recall@20": 0.6}, ours)
        assert close.agrees
        assert not replace(close, theirs={"recall@10": 0.5, "recall@20": 0.6 + 2e-6}).agrees
        assert not replace(close, theirs={}).agrees
        assert not replace(close, problem="an item twice").agrees


class TestOverSeeds:
    @pytest.mark.parametrize("values", [[0.1, 0.2], [0.1, 0.15, 0.11, 0.3, 0.2]])
    def test_is_scipys_t_interval(self, values):
        found = OverSeeds.of(values)
        error = stats.sem(values)
        want = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
        assert (found.low, found.high) == pytest.approx(want)

    def test_one_seed_has_no_interval(self):
        assert OverSeeds.of([0.25]).text() == "0.2500"

    def test_equal_seeds_are_a_point(self):
        assert OverSeeds.of([0.25] * 3).text("+") == "+0.2500 [+0.2500, +0.2500]"


class TestCommand:
    def test_a_failure_says_its_last_words(self, place):
        (place / "data" / "planted.inter").write_text("userID\titemID\tx_label\nu\ti\t9\n")
        run = Run(jobs_of(read_plan(place / "plan.yaml"), "headline", place)[0], 0)
        store = Store(place / "store")
        with pytest.raises(PlotpointeError, match="exit code") as failed:
            by_command(run, store, (), "etl")
        log = place / "store" / "quality" / "logs" / "headline-ours-seed-0.log"
        assert log.read_text().splitlines()[-1].strip() in str(failed.value)
        assert state_of(run, store).state == "to make"

    def test_a_run_gets_as_far_as_asked(self, place):
        run = Run(jobs_of(read_plan(place / "plan.yaml"), "headline", place)[0], 0)
        store = Store(place / "store")
        by_command(run, store, ("runtime.threads=1",), "etl")
        assert [*planned(run, store).made(store)] == ["etl"]

    def test_a_command_that_outlived_its_caller_is_waited_for(self, place):
        run = Run(jobs_of(read_plan(place / "plan.yaml"), "headline", place)[0], 0)
        store = Store(place / "store")
        log = place / "store" / "quality" / "logs" / "headline-ours-seed-0.log"
        log.parent.mkdir(parents=True)
        holds = "import sys; print('held', flush=True); sys.stdin.read()"
        with log.open("a") as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            orphan = subprocess.Popen(
                [sys.executable, "-c", holds],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[out.fileno()],
            )  # fmt: skip
        assert orphan.stdout and orphan.stdin
        orphan.stdout.readline()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(by_command, run, store, (), "etl")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            assert log.read_text() == ""
            orphan.communicate()
            waiting.result()
        assert [*planned(run, store).made(store)] == ["etl"]

    def test_a_users_mistake_is_one_line(self, place):
        command = [sys.executable, "-m", "benchmarks.quality", "--plan", str(place / "none.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("error: no configuration at")
        assert json.dumps(done.stdout) == '""'
