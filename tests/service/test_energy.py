"""The service knows what answering draws, and no request pays for knowing."""

import time

import pytest
from starlette.testclient import TestClient

from pipeline.carbon.served import costs_of, read_metrics
from pipeline.errors import ConfigError
from pipeline.measure.energy.account import Price
from serving import app as application
from serving.app import create_app
from serving.settings import Settings
from serving.telemetry.energy import check_place, metered
from serving.telemetry.metrics import Metrics


def values(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if not sample.labels
    }


def test_it_counts_in_the_background():
    metrics = Metrics()
    metrics.count_known(50)
    with metered(Settings(energy="estimate", place="360"), metrics, every=0.02):
        until = time.monotonic() + 5
        while not values(metrics)["plotpointe_energy_joules_total"] and time.monotonic() < until:
            time.sleep(0.02)
    told = values(metrics)
    joules = told["plotpointe_energy_joules_total"]
    assert joules > 0
    assert told["plotpointe_grams_co2e_total"] == pytest.approx(joules / 1e4)
    assert told["plotpointe_joules_per_1000_recommendations"] == pytest.approx(20 * joules)


def test_off_counts_nothing():
    metrics = Metrics()
    with metered(Settings(energy="off"), metrics, every=0.01):
        time.sleep(0.05)
    assert values(metrics)["plotpointe_metered_seconds_total"] == 0


def test_a_place_nobody_knows_is_refused_at_the_start():
    pytest.importorskip("codecarbon")
    with pytest.raises(ConfigError, match="place: "):
        check_place(Settings(place="atlantis"))
    check_place(Settings(place="atlantis", energy="off"))
    check_place(Settings(place="DEU"))
    check_place(Settings())


def test_the_page_of_metrics_prices_a_million(settings, tmp_path, monkeypatch):
    quick = application.metered

    def often(chosen, metrics):
        return quick(chosen, metrics, every=0.02)

    monkeypatch.setattr(application, "metered", often)
    chosen = settings.model_copy(update={"energy": "estimate", "place": "100"})
    with TestClient(create_app(chosen)) as client:
        for user in ("u0", "u1", "u2"):
            assert client.post("/v1/recommend", json={"user": user, "k": 3}).status_code == 200
        time.sleep(0.3)
        (tmp_path / "metrics").write_text(client.get("/metrics").text)
    found = read_metrics(str(tmp_path / "metrics"))
    told = costs_of(found, Price("m", hourly=1.0), per_second=100.0)
    assert told["lists"] == 3
    assert told["joules_per_1000"] > 0
    assert told["money_per_million"] == pytest.approx(1e6 / 100 / 3600)
