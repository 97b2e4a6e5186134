"""The history: rows of runs, series that compare, changes, alarms, and whom they are told to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline import history, runs
from pipeline.artifacts import Store
from pipeline.errors import ArtifactError
from pipeline.history.alarms import Rule, changes, summary, watch
from pipeline.history.database import ask, metrics
from pipeline.history.rows import rows_of
from pipeline.history.series import Series, worse_of
from pipeline.history.telling import post, textfile, write_textfile
from tests import worlds
from tests.end_to_end.shop import plotpointe
from tests.run_worlds import write_run

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "plotpointe.history.rules.yml"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "s")


def filled(store: Store, count: int = 3) -> list[str]:
    """Write and append runs, each a second slower than the last."""
    ids = [write_run(store, n, seconds=n, quality=n / 100) for n in range(1, count + 1)]
    for run_id in ids:
        history.append(store, run_id)
    return ids


def everything(store: Store) -> list[tuple]:
    return ask(store, "SELECT * FROM facts ORDER BY ALL")


def test_a_run_adds_what_its_own_steps_measured(store):
    run_id = write_run(store, 1, seconds=2.5, quality=0.2)
    found = {(row.step, row.metric): row for row in rows_of(runs.find(store, run_id))}
    row = found["train", "wall_seconds"]
    assert (row.value, row.stage, row.environment_id, row.commit) == (2.5, "train", "e1", "c1")
    assert (row.data, row.config) == ("d1", "c1")
    assert found["train", "best_validation"].value == 0.2
    assert found["train", "loss"].value == pytest.approx(1 / 3)
    assert not any(step == "etl" for step, _ in found)  # made by another run


def test_runs_that_compare_are_one_series_oldest_first(store):
    ids = filled(store)
    (series,) = history.series(store, "wall_seconds")
    assert series.runs == ids
    assert series.values == [1.0, 2.0, 3.0]
    assert series.name == "train/wall_seconds"
    write_run(store, 9, environment={"environment_id": "another machine"})
    history.rebuild(store)
    assert len(history.series(store, "wall_seconds")) == 2
    assert len(history.series(store, "wall_seconds", stage="etl")) == 0
    (late,) = history.series(store, "wall_seconds", since="2026-01-10")
    assert late.environment_id == "another machine"


def test_a_history_made_again_is_the_same(store):
    filled(store)
    before = everything(store)
    for path in (store.root / "history").iterdir():
        path.unlink()
    assert history.rebuild(store) == 3
    assert everything(store) == before
    (store.root / "history" / "gone.parquet").write_bytes(b"no run of ours")
    assert history.rebuild(store) == 3
    assert everything(store) == before


def test_artifacts_that_no_record_tells_of_are_in_a_history_made_again(store):
    world = worlds.planted()
    worlds.tables(store, world)
    model = worlds.publish(
        store, "model", "0ld", lambda into: None, {"best_validation": 0.3}, {"tables": "7ab1e5"}
    )
    assert history.rebuild(store) == 1
    (series,) = history.series(store, "best_validation")
    assert series.environment_id is None
    assert series.values == [0.3]
    assert series.at == [model.manifest["created_at"]]


def test_a_store_without_history_says_how_to_get_one(store):
    with pytest.raises(ArtifactError, match="history rebuild"):
        history.series(store)


def test_a_run_that_is_no_more_stops_nothing(store):
    history.append(store, "no-such-run")
    assert not (store.root / "history").exists()


def test_names_of_metrics(store):
    filled(store, 1)
    assert {"wall_seconds", "best_validation", "loss"} <= {*metrics(store)}


def series_of(values, metric: str = "wall_seconds", step: str = "train") -> Series:
    runs_ = [f"r{at:03d}" for at in range(len(values))]
    return Series("e", "d", "c", "train", step, metric, runs_, runs_, [float(v) for v in values])


def noisy(seed: int, count: int = 25, level: float = 10.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, 0.5, count)


def test_recent_runs_that_are_slower_raise_an_alarm_and_the_same_ones_do_not():
    slower = series_of([*noisy(0), *noisy(1, 5, level=13.0)])
    same = series_of(noisy(2, 30), step="train:other")
    found = watch([same, slower], Rule())
    assert [each.raised for each in found] == [True, False]
    assert found[0].series is slower
    assert found[0].since == "r025"
    told = summary(found, Rule())
    assert told["asked"] == 2
    assert told["false_alarm_rate"] == 0.01
    (alarm,) = told["alarms"]
    assert alarm["step"] == "train" and alarm["relative"] == pytest.approx(0.3, abs=0.05)
    assert json.loads(json.dumps(told)) == told


def test_quality_is_worse_where_it_is_lower():
    lower = series_of([*noisy(0), *noisy(1, 5, level=8.0)], "ndcg@20")
    higher = series_of([*noisy(0), *noisy(1, 5, level=12.0)], "ndcg@20")
    assert [w.raised for w in watch([lower], Rule())] == [True]
    assert [w.raised for w in watch([higher], Rule())] == [False]
    assert [worse_of(m) for m in ("recall@5", "grams_co2e", "loss")] == ["lower", "higher", None]


def test_a_metric_that_has_no_worse_side_is_asked_where_one_is_named():
    grown = series_of([*noisy(0), *noisy(1, 5, level=13.0)], "loss")
    assert watch([grown], Rule()) == []
    assert [w.raised for w in watch([grown], Rule(), worse="higher")] == [True]


def test_one_slow_run_and_a_small_shift_alarm_nobody():
    outlier = series_of([*noisy(0, 29), 60.0])
    small = series_of([*(noisy(0) / 100 + 10), *(noisy(1, 5) / 100 + 10.2)])
    assert not any(w.raised for w in watch([outlier, small], Rule()))


def test_series_too_short_to_tell_are_not_asked():
    assert watch([series_of([1, 2, 3]), series_of(range(5))], Rule()) == []


def test_the_stated_rate_of_false_alarms_holds_over_all_series_together():
    """Thirty askings of four series each, none changed: about one in twenty may alarm at 5 %."""
    rule = Rule(alpha=0.05, least=0.0)
    alarmed = [
        any(
            each.raised
            for each in watch(
                [series_of(noisy(100 * asking + s, 15), step=f"s{s}") for s in range(4)], rule
            )
        )
        for asking in range(30)
    ]
    assert sum(alarmed) <= 5  # binomial(30, .05) is above 5 once in 300 times


def test_a_new_level_is_found_at_its_first_run():
    (found,) = changes(series_of([*noisy(3), *noisy(4, 25, level=14.0)]))
    run, change = found
    assert run == "r025"
    assert change.after > change.before
    assert changes(series_of(noisy(5, 50))) == []


class Stub(BaseHTTPRequestHandler):
    status, bodies = 200, []

    def do_POST(self):
        length = int(self.headers["content-length"])
        self.bodies.append(json.loads(self.rfile.read(length)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    Stub.status, Stub.bodies = 200, []
    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


def test_a_webhook_is_told_the_alarms(webhook):
    found = watch([series_of([*noisy(0), *noisy(1, 5, level=13.0)])], Rule())
    assert post(webhook, summary(found, Rule())) is None
    (body,) = Stub.bodies
    assert body["alarms"][0]["metric"] == "wall_seconds"


@pytest.mark.parametrize("status", [404, 500, 302])
def test_a_webhook_that_refuses_is_said(webhook, status):
    Stub.status = status
    assert str(status) in post(webhook, {"alarms": []})


def test_a_webhook_that_is_not_there_is_said():
    assert "Connect" in post("http://127.0.0.1:9/hook", {})
    assert post("nonsense", {}) is not None


def families(text: str) -> dict:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_the_textfile_is_what_prometheus_reads(tmp_path):
    alarmed = series_of([*noisy(0), *noisy(1, 5, level=13.0)], step='train:a "b"\\')
    found = watch([alarmed, series_of(noisy(2, 30))], Rule())
    write_textfile(tmp_path / "plotpointe.prom", found, 1e9)
    assert [path.name for path in tmp_path.iterdir()] == ["plotpointe.prom"]
    read = families((tmp_path / "plotpointe.prom").read_text())
    raised, calm = read["plotpointe_history_alarm"].samples
    assert (raised.value, calm.value) == (1, 0)
    assert raised.labels["step"] == 'train:a "b"\\'
    assert read["plotpointe_history_series"].samples[0].value == 2
    assert read["plotpointe_history_checked_timestamp_seconds"].samples[0].value == 1e9


def test_alert_rules_name_what_is_written_and_carry_a_cure():
    found = watch([series_of([*noisy(0), *noisy(1, 5, level=13.0)])], Rule())
    written = families(textfile(found, 1e9))
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert any(name in rule["expr"] for name in written), rule["expr"]
        assert rule["annotations"]["cure"]
        assert rule["labels"]["severity"] in ("page", "ticket")
    labels = {*written["plotpointe_history_alarm"].samples[0].labels}
    named = [part.split("}}")[0].strip() for part in RULES.read_text().split("$labels.")[1:]]
    assert {*named} <= labels


def test_the_verb_tells_all_three_and_ends_with_a_code_of_its_own(store, tmp_path, webhook):
    for n in range(1, 21):
        seconds = 10 + (n % 5) / 10 + (5 if n > 15 else 0)
        history.append(store, write_run(store, n, seconds=seconds))
    file = tmp_path / "plotpointe.prom"
    told = ("--webhook", webhook, "--prometheus", file, "--store", store.root, "--json")
    done = plotpointe("history", "alarms", "--metric", "wall_seconds", *told)
    assert done.returncode == 13
    assert "1 of 1 series got worse: train/wall_seconds" in done.stderr
    assert json.loads(done.stdout) == Stub.bodies[0]
    assert Stub.bodies[0]["alarms"][0]["relative"] == pytest.approx(0.5, abs=0.05)
    assert families(file.read_text())["plotpointe_history_alarm"].samples[0].value == 1
    calm = plotpointe("history", "alarms", "--metric", "best_validation", *told[4:])
    assert calm.returncode == 0 and len(Stub.bodies) == 1
