"""Traces down to the search, slow requests, and what the log and the clock may do."""

import json
from io import StringIO

import pytest
from starlette.testclient import TestClient

from pipeline.errors import MissingExtraError
from serving.app import create_app
from serving.telemetry import open_log
from serving.telemetry.tracing import NullTracer, OtelTracer, open_tracer, span

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter():
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    return memory.InMemorySpanExporter()


def traced(settings, exporter, share=1.0):
    fresh = settings.model_copy(update={"cache_entries": 0})
    return TestClient(create_app(fresh, tracer=OtelTracer(exporter, share)))


class TestTraces:
    def test_a_request_is_one_trace_down_to_the_search(self, settings, exporter):
        with traced(settings, exporter) as client:
            client.post("/v1/recommend", json={"user": "u1"}, headers={"traceparent": PARENT})
        spans = {one.name: one for one in exporter.get_finished_spans()}
        assert {"POST /v1/recommend", "recommend", "search"} <= {*spans}
        assert {f"{one.context.trace_id:032x}" for one in spans.values()} == {PARENT[3:35]}
        request = spans["POST /v1/recommend"]
        assert f"{request.parent.span_id:016x}" == PARENT[36:52]
        assert request.attributes["http.response.status_code"] == 200
        assert spans["recommend"].parent.span_id == request.context.span_id
        assert spans["recommend"].attributes["arm"] == "control"
        inner = {one.context.span_id: one for one in spans.values()}
        above = inner[spans["search"].parent.span_id]
        while above.name != "recommend":
            above = inner[above.parent.span_id]

    def test_spans_name_no_user(self, settings, exporter):
        with traced(settings, exporter) as client:
            client.get("/v1/users/user77/recommendations")
            client.get("/v1/users/user77")
        told = "".join(one.to_json() for one in exporter.get_finished_spans())
        assert told and "user77" not in told

    def test_a_share_of_none_traces_only_what_is_sampled_already(self, settings, exporter):
        with traced(settings, exporter, share=0.0) as client:
            client.get("/health/live")
            client.get("/v1/items/i1", headers={"traceparent": PARENT})
            client.get("/v1/items/i1", headers={"traceparent": "nonsense"})
        assert [one.name for one in exporter.get_finished_spans()] == ["GET /v1/items/{key}"]

    def test_the_log_names_the_trace(self, settings, exporter, capfd):
        loud = settings.model_copy(update={"log_level": "info"})
        with TestClient(create_app(loud, tracer=OtelTracer(exporter))) as client:
            client.get("/v1/items/i1", headers={"traceparent": PARENT})
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        (line,) = [line for line in lines if line["event"] == "request"]
        assert line["trace_id"] == PARENT[3:35]

    def test_a_crash_is_an_error_span(self, settings, exporter, monkeypatch):
        def crash(*_):
            raise RuntimeError

        fresh = settings.model_copy(update={"cache_entries": 0})
        app = create_app(fresh, tracer=OtelTracer(exporter))
        with TestClient(app, raise_server_exceptions=False) as client:
            monkeypatch.setattr("serving.recommender.Recommender.plain", crash)
            client.post("/recommend", json={})
        request = next(s for s in exporter.get_finished_spans() if s.name.startswith("POST"))
        assert not request.status.is_ok

    def test_without_an_endpoint_nothing_is_traced(self):
        tracer = open_tracer(None, 1.0)
        assert isinstance(tracer, NullTracer) and tracer.answered("GET", "/", 200) is None
        with tracer.request([]), span("search", k=3):
            pass

    def test_an_endpoint_without_its_packages_names_the_extra(self, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
        monkeypatch.delitem(
            sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", raising=False
        )
        with pytest.raises(MissingExtraError, match=r"pip install 'plotpointe\[tracing\]'"):
            open_tracer("http://localhost:4318/v1/traces", 1.0)

    def test_a_collector_that_is_not_there_hurts_nobody(self, settings):
        pytest.importorskip("opentelemetry.sdk")
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

        class Gone(SpanExporter):
            def export(self, spans):
                return SpanExportResult.FAILURE

        with TestClient(create_app(settings, tracer=OtelTracer(Gone()))) as client:
            assert client.get("/v1/items/i1").status_code == 200


class TestSlowRequests:
    def test_the_latest_are_listed_and_logged(self, settings, capfd):
        eager = settings.model_copy(update={"slow_seconds": 0.0, "log_level": "warning"})
        with TestClient(create_app(eager)) as client:
            for n in range(120):
                client.get("/health/live", headers={"x-request-id": f"r{n}"})
            told = client.get("/v1/admin/slow").json()
        assert told["threshold_seconds"] == 0.0
        assert len(told["requests"]) == 100 and told["requests"][0]["request_id"] == "r119"
        assert told["requests"][0]["route"] == "/health/live"
        logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        assert logged[0]["event"] == "slow request" and logged[0]["request_id"] == "r0"

    def test_a_fast_request_is_none(self, settings):
        patient = settings.model_copy(update={"slow_seconds": 60.0})
        with TestClient(create_app(patient)) as client:
            client.get("/health/live")
            assert client.get("/v1/admin/slow").json()["requests"] == []


class TestLog:
    def test_a_stream_that_fails_is_told_of_and_goes_on(self):
        class Full(StringIO):
            def write(self, text):
                raise OSError(28, "No space left on device")

        lost = []
        log = open_log("info", Full(), lambda: lost.append(1))
        log.info("request")
        log.error("bundle refused")
        assert len(lost) >= 2

    def test_a_traceback_shows_no_values(self):
        lines = StringIO()
        log = open_log("info", lines)

        def inner():
            password = "hunter2"
            raise KeyError(len(password))

        try:
            inner()
        except KeyError:
            log.exception("failed")
        told = json.loads(lines.getvalue())
        assert "inner" in lines.getvalue() and "hunter2" not in lines.getvalue()
        assert told["exception"][0]["exc_type"] == "KeyError"


class TestClock:
    @pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
    def test_a_jump_changes_no_answer(self, settings, monkeypatch, jump):
        import time

        real = time.time
        with TestClient(create_app(settings)) as client:
            before = client.get("/v1/users/u1/recommendations").json()["items"]
            monkeypatch.setattr("time.time", lambda: real() + jump)
            assert client.get("/v1/users/u1/recommendations").json()["items"] == before
            assert client.get("/health/ready").status_code == 200
            lines = client.get("/metrics").text.splitlines()
        stale = next(
            line for line in lines if line.startswith("plotpointe_model_staleness_seconds{")
        )
        assert 0 <= float(stale.split()[-1]) < 86_400 + 3_600
