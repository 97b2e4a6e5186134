"""Runs are recorded as they happen, and found, kept, ordered and told apart afterwards."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline import execute, flow, runs
from pipeline.artifacts import Store
from pipeline.config import Config, DataConfig, RuntimeConfig
from pipeline.errors import ArtifactError, ConfigError, DataError
from pipeline.measure.progress import Event, Metrics, Silent
from pipeline.measure.track import Record
from pipeline.page import charts, html
from pipeline.runs import draw
from pipeline.runs.curves import Curves, curves_of
from pipeline.runs.environment import environment_id, environment_of, git_state
from pipeline.runs.listing import Condition, headline, look
from pipeline.runs.numbers import facts_of, headline_of
from pipeline.runs.recording import opened, traits_of
from pipeline.runs.report import report_page
from pipeline.runs.subject import subject_of
from tests import worlds
from tests.run_worlds import write_run
from tests.unit.test_execute import step

CONFIG = Config(name="shop", data=DataConfig(format="demo"), seed=7)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "s")


def record(store: Store, doors: list[str], config: Config = CONFIG, **options) -> dict:
    """Run steps with a record, here and now; return the record."""
    steps = [step(door, f"train:{at}" if at else "train") for at, door in enumerate(doors)]
    with runs.recorded(config, store) as recording:
        runner = execute.InProcess(recording.listening(Silent()))
        execute.run(steps, config, store, runner, told=recording.told, **options)
    return runs.find(store, recording.run_id)


def test_a_run_leaves_its_configuration_circumstances_costs_and_artifacts(store):
    run = record(store, ["writes"])
    assert run["status"] == "done"
    assert run["config"]["seed"] == 7
    assert run["config_name"] == "shop"
    assert run["environment"]["environment_id"] == environment_of(store.root)["environment_id"]
    assert run["environment"]["memory_bytes"] > 1e8
    made = run["steps"]["train"]
    assert made["made"] and made["kind"] == "model"
    assert made["cost"]["wall_seconds"] > 0
    assert run["artifacts"] == {"train": f"model/{made['fingerprint']}"}
    assert run["metrics"]["train/wall_seconds"] == made["cost"]["wall_seconds"]
    assert run["ended_at"] >= run["started_at"]
    manifest = store.open("model", made["fingerprint"]).manifest
    assert made["ended_at"] == manifest["created_at"]
    assert made["grid"] == manifest["environment"]["grid"]


def test_a_second_run_is_another_record_that_made_nothing(store):
    first, second = record(store, ["writes"]), record(store, ["writes"])
    assert first["run_id"] < second["run_id"]
    assert not second["steps"]["train"]["made"]
    assert "train/wall_seconds" not in second["metrics"]
    assert len(runs.all_runs(store)) == 2
    assert runs.find(store, "last")["run_id"] == second["run_id"]


def test_a_failed_run_says_why(store):
    with pytest.raises(DataError):
        record(store, ["refuses"])
    (run,) = runs.all_runs(store)
    assert run["status"] == "failed"
    assert "give one with items" in run["error"]


def test_numbers_that_stages_log_are_kept_and_bars_are_passed_on(store):
    heard = []

    class Ear:
        def hear(self, event):
            heard.append(event)

    with runs.recorded(CONFIG, store) as recording:
        ear = recording.listening(Ear())
        ear.hear(Event("train: fit", 1, 2, "epochs"))
        ear.hear(Metrics("train", {"loss": 0.5}, 1, at=1e9))
    run = runs.find(store, recording.run_id)
    assert len(heard) == 2
    assert run["metrics"] == {"train/loss": 0.5}
    (line, _) = Record(recording.folder).lines()
    assert (line["time"], line["epoch_or_step"]) == (1e9, 1)


def test_recording_and_trackers_stay_outside_every_fingerprint(store):
    demo = DataConfig(format="demo", demo={"users": 20, "items": 40})
    small = CONFIG.model_copy(update={"data": demo})
    plain = flow.plan(flow.prepare(small, store), store)
    tracked = small.model_copy(update={"runtime": RuntimeConfig(track=("wandb",))})
    told = flow.plan(flow.prepare(tracked, store), store)
    assert [s.fingerprint for s in plain] == [s.fingerprint for s in told]


def test_a_folder_that_cannot_be_written_stops_no_run(store):
    store.root.mkdir()
    (store.root / "runs").write_text("in the way")
    with runs.recorded(CONFIG, store) as recording:
        made = execute.run(
            [step("writes")], CONFIG, store, execute.InProcess(), told=recording.told
        )
    assert made["train"].facts == {"made": True}
    assert any("runs" in said for said in recording.complaints())


def test_a_tracker_that_was_not_told_is_said_with_its_cure(store, monkeypatch):
    monkeypatch.setattr("pipeline.measure.track.session.Posted", _Slow)
    tracked = CONFIG.model_copy(update={"runtime": RuntimeConfig(track=("a.module:Tracker",))})
    with runs.recorded(tracked, store) as recording:
        pass
    (said,) = recording.complaints()
    assert f"plotpointe runs replay {recording.run_id} --to a.module:Tracker" in said


def _Slow(folder, name, settings):
    from pipeline.measure.track import Posted

    return Posted(folder, name, settings, at_the_end=0.0)


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ({"track": ("wanbd",)}, "unknown tracker 'wanbd'.*known"),
        ({"track": ("wandb",), "trackers": {"wandb": {"entty": "x"}}}, "takes no 'entty'"),
        ({"trackers": {"mlflow": {"uri": "x"}}}, "runtime.track does not name.*mlflow"),
    ],
)
def test_a_wrong_tracker_is_refused_before_anything_runs(tmp_path, runtime, words):
    config = CONFIG.model_copy(update={"runtime": RuntimeConfig(**runtime)})
    with pytest.raises(ConfigError, match=words):
        opened(config, tmp_path)


def test_what_was_asked_leaves_out_seed_and_code_and_keeps_settings():
    one, other = step("writes"), step("writes", "train:b")
    assert traits_of(one)["asked"] == traits_of(other)["asked"]  # neither has settings
    above = step("writes", needs={"model": one})
    assert traits_of(above)["asked"] != traits_of(one)["asked"]


def test_git_state_is_of_the_folder(tmp_path):
    assert git_state(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@e"]
    subprocess.run([*git, "init", "-q", "-b", "trunk"], check=True)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    state = git_state(tmp_path)
    assert (state["branch"], state["dirty"], len(state["commit"])) == ("trunk", False, 40)
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path)["dirty"]


def test_an_environment_is_the_machine():
    machine = {"cpu_model": "A", "cores": 2, "memory_bytes": 25_200_000_000}
    assert environment_id(machine) == environment_id({**machine, "memory_bytes": 25_300_000_000})
    assert environment_id(machine) != environment_id({**machine, "cores": 4})


class TestListing:
    @pytest.fixture
    def found(self, store):
        for number, quality in enumerate([0.3, 0.1, 0.2], 1):
            write_run(store, number, seconds=number, quality=quality)
        return runs.all_runs(store)

    def test_oldest_first_and_by_prefix(self, store, found):
        assert [run["config"]["seed"] for run in found] == [1, 2, 3]
        assert runs.find(store, "2026010002")["config"]["seed"] == 2
        with pytest.raises(ArtifactError, match=r"3 runs .* match '2026'"):
            runs.find(store, "2026")
        with pytest.raises(ArtifactError, match="0 runs"):
            runs.find(store, "2027")

    @pytest.mark.parametrize(
        ("text", "seeds"),
        [
            ("metrics.ndcg@20 > 0.15", [1, 3]),
            ("ndcg@20 >= 0.2 and seed != 1", [3]),
            ("config.train.width = 16", [1, 2, 3]),
            ("train.model ~ GA", [1, 2, 3]),
            ("metrics.train/loss < 0.4", [1, 2, 3]),
            ("steps.train.cost.wall_seconds > 1.5", [2, 3]),
            ("nothing.of.this = 1", []),
            ("seed > two", []),
            ("git.dirty = false", [1, 2, 3]),
            ("nothing = null", [1, 2, 3]),
        ],
    )
    def test_conditions(self, found, text, seeds):
        kept = runs.chosen(found, Condition.parse(text))
        assert [run["config"]["seed"] for run in kept] == seeds

    def test_sorting_puts_the_largest_first_and_what_lacks_it_last(self, found):
        found[0]["metrics"].pop("ndcg@20")
        by = runs.chosen(found, [], "metrics.ndcg@20")
        assert [run["config"]["seed"] for run in by] == [3, 2, 1]
        by = runs.chosen(found, [], "-metrics.ndcg@20")
        assert [run["config"]["seed"] for run in by] == [2, 3, 1]

    def test_what_is_no_condition_says_how_one_looks(self):
        with pytest.raises(ConfigError, match=r"must look like 'metrics\.ndcg@20 > 0\.05'"):
            Condition.parse("ndcg")

    def test_what_is_no_record_is_left_out(self, store, found):
        (store.root / "runs" / "strange").mkdir()
        (store.root / "runs" / "strange" / "run.json").write_text("{}")
        assert runs.all_runs(store) == found

    def test_the_headline_is_at_the_usual_length(self, found):
        assert [*headline(found[0])] == ["best_validation", "ndcg@20"]

    def test_a_difference_tells_settings_code_costs_and_metrics(self, found):
        told = runs.diff(found[0], found[1])
        assert [c.name for c in told.config] == ["seed"]
        assert [c.name for c in told.git] == ["commit"]
        assert told.environment == []
        assert {c.name: c.by for c in told.costs}["train/wall_seconds"] == 1.0
        assert "etl/wall_seconds" not in {c.name for c in told.costs}
        assert {c.name for c in told.metrics} >= {"ndcg@20", "best_validation", "train/ndcg@20"}
        same = runs.diff(found[0], found[0])
        assert not (same.config or same.git or same.costs or same.metrics)

    def test_curves_are_by_metric_and_step(self, store, found):
        curves = curves_of(found[0], store)
        assert curves.by_metric["loss"] == {"train": [(1, 1.0), (2, 0.5), (3, 1 / 3)]}


keys = st.text("abc.@/", min_size=1, max_size=4)
values = st.recursive(st.integers(), lambda inner: st.dictionaries(keys, inner, max_size=3))


@given(st.dictionaries(keys, values, max_size=4))
def test_every_part_of_a_run_is_found_by_its_path(tree):
    """A path finds its part, or another part that the same letters name."""
    for path, _ in _paths(tree):
        candidates = [v for p, v in _paths(tree) if p == path]
        assert look(tree, path) in candidates


def _paths(tree, prefix=""):
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def test_a_count_that_is_logged_again_takes_the_place_of_what_came_after():
    curves = Curves()
    for count, value in [(1, 0.1), (2, 0.2), (3, 0.3), (2, 0.25), (3, 0.35)]:
        curves.add("train", count, {"ndcg": value, "loss": None, "epoch": count})
    assert curves.by_metric == {"ndcg": {"train": [(1, 0.1), (2, 0.25), (3, 0.35)]}}
    assert Curves({"loss": {"train": [(1, 1.0)]}}).drawable().by_metric == {}


def test_losses_of_several_models_share_no_axis():
    points = [(1, 1.0), (2, 0.5)]
    both = {"train:mf": points, "train": points}
    drawn = Curves({"loss": both, "ndcg@20": both}).drawable().by_metric
    assert [*drawn] == ["loss of train", "loss of train:mf", "ndcg@20"]
    assert [*drawn["ndcg@20"]] == ["train", "train:mf"]


def test_facts_are_numbers_alone(store):
    facts = {"a": 1, "b": {"c": 0.5, "d": "word", "e": True}, "f": None, "g": [1, 2]}
    facts["best_validation"] = 0.25
    made = worlds.publish(store, "model", "ab", lambda into: _model(into), facts)
    assert facts_of(made) == {"a": 1.0, "b.c": 0.5, "best_validation": 0.25}
    assert headline_of("train", made) == {"best_validation": 0.25}
    assert headline_of("train:lightgcn", made) == {}


def _model(into):
    (into / "curve.jsonl").write_text("")


class TestPages:
    def test_ticks_are_round_and_hold_all_values(self):
        scale = charts.Scale.over([0.013, 0.27], 0, 100)
        assert scale.ticks[0] <= 0.013 and scale.ticks[-1] >= 0.27
        assert scale(scale.ticks[0]) == 0 and scale(scale.ticks[-1]) == 100
        assert [charts.nice(x) for x in (0.03, 0.011, 7, 1)] == [0.05, 0.02, 10, 1]

    def test_longer_bars_are_more(self):
        drawn = charts.bar_chart([charts.Bar("a", 1.0, "1"), charts.Bar("b", 3.0, "3")], "x")
        widths = [float(part.split('"')[0]) for part in drawn.split('width="')[1:]]
        assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)

    def test_one_value_has_a_scale_as_well(self):
        scale = charts.Scale.over([5.0, 5.0], 0, 100)
        assert 0 <= scale(5.0) <= 100

    def test_what_comes_from_data_is_escaped(self):
        bad = "<script>alert(1)</script>"
        shown = charts.line_chart({bad: [(1, 2.0), (2, 3.0)]}, bad, bad)
        shown += charts.interval_chart([charts.Measured(bad, 0.1, 0.0, 0.2)], bad)
        shown += charts.bar_chart([charts.Bar(bad, 1.0, bad)], bad)
        shown += html.table([bad], [[bad]]) + html.tiles([(bad, bad)]) + html.paragraphs([bad])
        shown += html.page(bad, bad, [html.Panel(bad, "")], foot=bad) + html.folded(bad, "")
        assert "<script" not in shown
        assert shown.count("&lt;script") > 12

    def test_halves_stand_together(self):
        body = html.page("t", "l", [html.Panel("a", "", half=True), html.Panel("b", "", half=True),
                                    html.Panel("c", "")])  # fmt: skip
        assert body.count('class="sides"') == 1
        assert body.count("<div") == body.count("</div>")

    def test_the_page_of_a_run_without_report_says_so(self, store):
        write_run(store, 1)
        page = report_page(subject_of(store, "last"), [])
        assert "evaluate was not run" in page
        assert "loss, by epoch" in page
        assert page.count("<section") == page.count("</section>")
        with pytest.raises(ArtifactError):
            subject_of(store, "model/ab12")

    def test_curves_become_a_picture_and_text(self, store, tmp_path):
        curves = curves_of(runs.find(store, write_run(store, 1)), store)
        draw.into_png(curves, tmp_path / "a.png", "a run")
        with Image.open(tmp_path / "a.png") as drawn:
            assert drawn.size[0] > 500
        text = draw.in_terminal(curves, 60)
        assert "loss" in text and "train" in text and "\x1b" not in text
        with pytest.raises(ConfigError, match="no curve"):
            draw.in_terminal(Curves(), 60)
