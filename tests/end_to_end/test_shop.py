"""From nothing to recommendations through the real command line, on a small catalogue."""

import json
import socket
import subprocess
import time
import urllib.request

import pyarrow.parquet as pq
import pytest

from tests import browser
from tests.end_to_end.shop import ENVIRONMENT, command, contents, must, plotpointe, write_config


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    config, store = write_config(folder), folder / "artifacts"
    first = plotpointe("run", config, "--store", store)
    assert first.returncode == 0, first.stderr[-3000:]
    return config, store, first


def test_a_run_reports_quality_beside_the_baselines(shop):
    _, _, first = shop
    for name in ("gat", "popularity", "lightgcn", "recall@20", "ndcg@20"):
        assert name in first.stdout
    assert "promoted bundle" in first.stderr


def test_a_second_run_does_nothing_and_says_so(shop):
    config, store, _ = shop
    before = contents(store)
    again = plotpointe("run", config, "--store", store)
    assert again.returncode == 0
    assert "nothing to do: all 8 artifacts are complete" in again.stderr
    assert contents(store) == before


def test_everything_keeps_its_promises(shop):
    _, store, _ = shop
    found = json.loads(must("verify", "--store", store, "--json"))
    assert len(found) == 8
    assert not any(found.values())


def test_a_dry_run_makes_nothing(shop):
    config, store, _ = shop
    plan = json.loads(
        must("run", config, "--store", store, "--set", "seed=5", "--dry-run", "--json")
    )
    states = {step["step"]: step["state"] for step in plan}
    assert states["etl"] == "complete"
    assert states["train"] == "to make"


def test_recommend_and_similar_answer_with_titles_and_reasons(shop):
    _, store, _ = shop
    users = pq.read_table(next(store.glob("tables/*/users.parquet")))["key"].to_pylist()
    answer = json.loads(must("recommend", "--user", users[0], "--store", store, "--json"))
    assert len(answer["items"]) == 10
    assert all(item["reasons"] for item in answer["items"])
    liked = [item["id"] for item in answer["items"][:2]]
    folded = must("recommend", "--history", ",".join(liked), "--store", store, "--json", "-k", 3)
    assert json.loads(folded)["strategy"] == "fold_in"
    near = json.loads(must("similar", "--item", liked[0], "--store", store, "--json"))
    assert liked[0] not in [item["id"] for item in near["items"]]
    assert must("recommend", "--user", "nobody-at-all", "--store", store).count("│") > 10


def test_exported_lists_are_whole(shop, tmp_path):
    config, store, _ = shop
    out = tmp_path / "top.parquet"
    must("export-topk", config, "--store", store, "--k", 20, "--out", out)
    table = pq.read_table(out).to_pandas()
    assert [*table.columns] == ["user_id", "item_id", "rank", "score"]
    assert (table.groupby("user_id")["rank"].max() == 20).all()


def test_one_flipped_byte_is_found(shop, tmp_path):
    _, store, _ = shop
    spoiled = next(store.glob("model/*/item_vectors.npy"))
    whole = spoiled.read_bytes()
    try:
        spoiled.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        found = plotpointe("verify", f"model/{spoiled.parent.name}", "--store", store)
    finally:
        spoiled.write_bytes(whole)
    assert found.returncode == 4
    assert "item_vectors.npy" in found.stdout


def test_rollback_goes_back_and_promote_forward(shop):
    config, store, _ = shop
    first = (store / "bundle" / "CURRENT").read_text()
    must("run", config, "--store", store, "--set", "index.method=hnsw")
    second = (store / "bundle" / "CURRENT").read_text()
    assert second != first
    must("rollback", "--store", store)
    assert (store / "bundle" / "CURRENT").read_text() == first
    must("promote", f"bundle/{second.strip()}", "--store", store)
    must("rollback", "--store", store)


def test_gc_keeps_what_is_used(shop):
    _, store, _ = shop
    would = must("gc", "--store", store, "--keep", 1, "--dry-run", "--json")
    current = (store / "bundle" / "CURRENT").read_text().strip()
    assert current not in would


def test_the_run_is_recorded_listed_shown_and_drawn(shop, tmp_path):
    _, store, _ = shop
    found = json.loads(must("runs", "--store", store, "--json"))
    run = found[0]
    assert (run["status"], run["config_name"]) == ("done", "small-shop")
    assert [step["made"] for step in run["steps"].values()] == [True] * 8
    assert {"ndcg@20", "best_validation", "train/loss"} <= {*run["metrics"]}
    whole = json.loads(must("show", "report", "--store", store, "--json"))
    numbers = whole["facts"]["metrics"]["test"]["gat"]
    assert run["metrics"]["ndcg@20"] == numbers["ndcg@20"]
    none = must("runs", "--where", "ndcg@20 > 2", "--store", store, "--json")
    assert json.loads(none) == []
    assert run["run_id"] in must("show", run["run_id"], "--store", store)
    drawn = must("show", run["run_id"], "--plot", "--store", store)
    assert "loss" in drawn and "train:lightgcn" in drawn
    must("show", run["run_id"], "--html", tmp_path / "c.html", "--png", tmp_path / "c.png",
         "--store", store)  # fmt: skip
    assert "<svg" in (tmp_path / "c.html").read_text()
    same = json.loads(
        must("runs", "diff", run["run_id"], run["run_id"], "--store", store, "--json")
    )
    assert same["config"] == same["metrics"] == []


def test_a_difference_is_of_what_both_runs_measured(shop):
    config, store, _ = shop
    must("graph", config, "--store", store, "--force")
    whole, alone = json.loads(must("runs", "--store", store, "--json"))[0], "last"
    told = must("runs", "diff", whole["run_id"], alone, "--store", store)
    assert "graph/wall_seconds" in told and "best_validation" not in told
    assert "metrics are of one of the two runs alone" in told
    named = json.loads(must("runs", "diff", whole["run_id"], alone, "--store", store, "--json"))
    assert "best_validation" in {each["name"] for each in named["metrics"]}


def test_the_history_of_the_shop_can_be_asked_and_made_again(shop):
    _, store, _ = shop
    asked = ("history", "trend", "ndcg@20", "--stage", "evaluate", "--store", store, "--json")
    told = json.loads(must(*asked))
    assert [len(series["runs"]) for series in told] == [1]
    (store / "history").rename(store / "history-before")
    lost = plotpointe("history", "trend", "ndcg@20", "--store", store)
    assert lost.returncode == 4 and "history rebuild" in lost.stderr
    must("history", "rebuild", "--store", store)
    assert json.loads(must(*asked)) == told
    calm = json.loads(must("history", "alarms", "--store", store, "--json"))
    assert calm["alarms"] == []


@pytest.mark.browser
@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.NO_CHROMIUM)
def test_the_page_of_the_run_is_whole_light_and_dark_and_on_a_phone(shop, tmp_path):
    _, store, _ = shop
    run = json.loads(must("runs", "--store", store, "--json"))[0]
    page = tmp_path / "page.html"
    must("report", run["run_id"], "--store", store, "--out", page)
    assert "http://" not in page.read_text().replace("http://127.0.0.1", "")
    with browser.opened(tmp_path / "profile") as window:
        tab, grounds = window.page(), set()
        for width, dark in [(1280, False), (1280, True), (390, False)]:
            tab.look(width, 900, dark=dark)
            tab.open(page.as_uri())
            tab.see("Quality of recommendations")
            assert tab.run("document.documentElement.scrollWidth") <= width
            grounds.add(tab.run("getComputedStyle(document.body).backgroundColor"))
        tab.wait("[...document.images].every((image) => image.complete)")
        assert tab.run("[...document.images].filter((i) => !i.naturalWidth).length") == 0
        assert tab.run("document.images.length") > 20
        assert tab.run("document.querySelectorAll('svg polyline').length") >= 4
        bars = "[...document.querySelectorAll('svg rect')].every((r) => r.getBBox().width > 0)"
        assert tab.run(bars)
        asked = [url for url in tab.requests if not url.startswith(("data:", "file:"))]
        assert (len(grounds), asked, tab.complaints) == (2, [], [])


def test_a_report_has_a_page_without_its_run(shop, tmp_path):
    _, store, _ = shop
    fingerprint = next(store.glob("report/*/manifest.json")).parent.name
    (store / "runs").rename(store / "runs-before")
    try:
        must("report", f"report/{fingerprint}", "--store", store, "--out", tmp_path / "p.html")
    finally:
        (store / "runs-before").rename(store / "runs")
    text = (tmp_path / "p.html").read_text()
    assert fingerprint in text and "User " in text and "loss, by epoch" in text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_service_answers_curl(shop):
    _, store, _ = shop
    port = free_port()
    server = subprocess.Popen(
        command("serve", "--store", store, "--port", port), env=ENVIRONMENT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(f"{address}/health/ready")
        body = b'{"user":"user-0001","k":10}'  # as curl -d sends it: without a JSON content type
        answer = urllib.request.urlopen(f"{address}/v1/recommend", data=body).read()
        assert len(json.loads(answer)["items"]) == 10
        page = urllib.request.urlopen(f"{address}/").read().decode()
        assert "PlotPointe" in page
    finally:
        server.terminate()
        assert server.wait(20) in (0, -15)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} never answered")
