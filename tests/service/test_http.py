"""The whole HTTP stack over a planted bundle."""

import json
import logging

import pytest
from starlette.testclient import TestClient

from pipeline.errors import ArtifactError, ConfigError
from serving.app import create_app
from serving.settings import Settings
from serving.wire import MAX_BATCH

PROBLEM = "application/problem+json"


def refused(answer, status: int) -> dict:
    """Return the problem of an answer, after checking what every problem must have."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


class TestRecommend:
    def test_the_curl_of_the_readme_works(self, client):
        """``curl -d`` labels its body as a form."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = client.post("/v1/recommend", content='{"user":"u1","k":10}', headers=form)
        assert answer.status_code == 200
        assert [item["rank"] for item in answer.json()["items"]] == [*range(1, 11)]

    @pytest.mark.parametrize("label", ["text/plain", "multipart/form-data; boundary=x", ""])
    def test_any_label_will_do(self, client, label):
        headers = {"content-type": label}
        assert client.post("/recommend", content='{"k":1}', headers=headers).status_code == 200

    def test_personal_answers_stay_out_of_caches(self, client):
        for answer in (
            client.post("/v1/recommend", json={"user": "u1"}),
            client.post("/recommend", json={"user": "u1"}),
            client.post("/v1/recommend:batch", json={"requests": [{"user": "u1"}]}),
            client.get("/v1/users/u1/recommendations"),
            client.get("/v1/users/u1"),
        ):
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "private, no-store"

    def test_the_three_doors_agree(self, client):
        posted = client.post("/v1/recommend", json={"user": "u1", "k": 4}).json()
        alias = client.post("/recommend", json={"user": "u1", "k": 4}).json()
        got = client.get("/v1/users/u1/recommendations?k=4").json()
        assert posted["items"] == alias["items"] == got["items"]

    def test_the_query_reaches_the_recommender(self, client):
        url = "/v1/users/u1/recommendations?k=3&offset=2&exclude_seen=false"
        body = {"user": "u1", "k": 3, "offset": 2, "exclude_seen": False}
        assert (
            client.get(url).json()["items"] == client.post("/recommend", json=body).json()["items"]
        )

    def test_an_unknown_user_is_answered(self, client):
        answer = client.get("/v1/users/nobody%2Fhere/recommendations?k=2")
        assert answer.status_code == 200
        assert answer.json()["strategy"] == "popular"

    def test_numbers_are_taken_as_keys(self, client):
        answer = client.post("/v1/recommend", json={"user": 1, "history": [17]})
        assert answer.json()["unknown_items"] == ["17"]

    def test_a_batch_answers_in_order(self, client):
        requests = [{"user": "u1", "k": 2}, {"user": "who", "k": 3}, {"history": ["i1"], "k": 1}]
        answers = client.post("/v1/recommend:batch", json={"requests": requests}).json()["answers"]
        assert [(a["strategy"], len(a["items"])) for a in answers] == [
            ("model", 2),
            ("popular", 3),
            ("fold_in", 1),
        ]

    def test_a_batch_has_limits(self, settings):
        wide = settings.model_copy(update={"max_body_bytes": 1_000_000})
        with TestClient(create_app(wide)) as client:
            many = {"requests": [{}] * (MAX_BATCH + 1)}
            refused(client.post("/v1/recommend:batch", json=many), 422)
            much = {"requests": [{"k": 500}] * 101}
            problem = refused(client.post("/v1/recommend:batch", json=much), 422)
            assert "50,500 items" in problem["detail"]
            refused(client.post("/v1/recommend:batch", json={"requests": []}), 422)


class TestProblems:
    @pytest.mark.parametrize(
        ("body", "where"),
        [
            ({"k": 0}, "body.k"),
            ({"k": 501}, "body.k"),
            ({"k": "ten"}, "body.k"),
            ({"k": True}, "body.k"),
            ({"offset": -1}, "body.offset"),
            ({"user": ["u1"]}, "body.user"),
            ({"user": "x" * 513}, "body.user"),
            ({"history": "i1"}, "body.history"),
            ({"history": ["i1", None]}, "body.history.1"),
            ({"exclude_seen": "no"}, "body.exclude_seen"),
            ({"usr": "u1"}, "body.usr"),
            ([], "body"),
            ("u1", "body"),
        ],
    )
    def test_a_wrong_field_is_named(self, client, body, where):
        problem = refused(client.post("/v1/recommend", json=body), 422)
        assert any(error["where"].startswith(where) for error in problem["errors"])
        assert where in problem["detail"]

    @pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 9000, b'{"k":1}{'])
    def test_what_is_not_json_is_400(self, client, body):
        refused(client.post("/v1/recommend", content=body), 400)

    def test_a_lone_surrogate_is_refused(self, client):
        refused(client.post("/v1/recommend", content=b'{"history":["\\ud800"]}'), 422)

    def test_no_body_is_422(self, client):
        assert refused(client.post("/v1/recommend"), 422)["errors"][0]["where"] == "body"

    def test_a_large_body_is_413(self, client):
        body = json.dumps({"history": ["x" * 500] * 100})
        assert "20,000 bytes" in refused(client.post("/recommend", content=body), 413)["detail"]

    def test_a_large_body_that_does_not_say_so_is_413(self, client):
        chunks = (b" " * 1000 for _ in range(30))
        refused(client.post("/recommend", content=chunks), 413)

    def test_a_body_in_chunks_is_read_whole(self, client):
        assert client.post("/recommend", content=iter([b'{"k"', b":", b"1}"])).status_code == 200

    def test_an_unknown_item_is_404(self, client):
        for path in ("/v1/items/gone", "/v1/items/gone/similar", "/v1/items/gone/image"):
            assert "'gone'" in refused(client.get(path), 404)["detail"]

    def test_an_unknown_relation_is_422(self, client):
        problem = refused(client.get("/v1/items/i1/similar?by=txt"), 422)
        assert "did you mean 'text'" in problem["detail"]

    def test_an_unknown_path_is_404(self, client):
        assert "/docs" in refused(client.get("/v2/recommend"), 404)["detail"]

    def test_a_wrong_method_is_405(self, client):
        answer = client.delete("/v1/recommend")
        assert refused(answer, 405)["detail"] == "DELETE is not answered here; use POST"
        assert answer.headers["allow"] == "POST"

    def test_a_crash_is_500_without_its_trace(self, settings, monkeypatch, capfd):
        def crash(*_: object):
            raise RuntimeError("secret detail")

        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            monkeypatch.setattr("serving.recommender.Recommender.plain", crash)
            problem = refused(client.post("/recommend", json={}), 500)
        assert "secret" not in json.dumps(problem)
        logged = json.loads(capfd.readouterr().err.splitlines()[0])
        assert logged["request_id"] == problem["request_id"]
        assert "secret detail" in json.dumps(logged)


class TestItems:
    def test_an_item_tells_everything(self, client):
        item = client.get("/v1/items/i1").json()
        assert item["title"] == "Thing 1 of kind 1"
        assert item["description"] == "A thing of kind 1."
        assert item["categories"] == ["kind 1"]
        assert item["image"] == "/v1/items/i1/image"
        assert item["similar_by"] == ["model", "bought_together", "text", "image"]

    def test_an_item_without_anything_is_shown_with_nulls(self, client, parts):
        item = client.get(f"/v1/items/i{parts.world.no_content}").json()
        assert (item["title"], item["description"], item["image"]) == (None, None, None)

    @pytest.mark.parametrize("by", ["model", "bought_together", "text", "image"])
    def test_similar_by_each_relation(self, client, by):
        answer = client.get(f"/v1/items/i1/similar?k=3&by={by}")
        assert len(answer.json()["items"]) == 3
        assert answer.headers["cache-control"] == "public, max-age=60"

    def test_a_search_is_paged_and_most_taken_first(self, client, bundle):
        first = client.get("/v1/items?query=kind 2&limit=3").json()
        second = client.get("/v1/items?query=kind 2&limit=3&offset=3").json()
        both = [int(item["id"][1:]) for item in first["items"] + second["items"]]
        assert first["total"] == 16 and len(set(both)) == 6
        takers = bundle.takers[both].tolist()
        assert takers == sorted(takers, reverse=True)

    def test_users_are_listed_by_prefix(self, client):
        page = client.get("/v1/users?query=u7&limit=2").json()
        assert page["total"] == 11
        assert [user["id"] for user in page["users"]] == ["u7", "u70"]

    def test_a_user_has_a_history(self, client, parts):
        user = client.get("/v1/users/u1?limit=3").json()
        assert (user["known"], user["interactions"], len(user["history"])) == (True, 8, 3)
        stranger = client.get("/v1/users/nobody").json()
        assert (stranger["known"], stranger["history"]) == (False, [])


class TestOperations:
    def test_live_and_ready(self, client):
        assert client.get("/health/live").json() == {"live": True}
        ready = client.get("/health/ready").json()
        assert ready["ready"] and ready["recall"] >= ready["floor"]

    def test_a_bundle_below_its_floor_is_not_ready_but_lives(self, settings, bundle):
        import dataclasses

        raised = dataclasses.replace(bundle, audit={**bundle.audit, "recall_floor": 1.1})
        with TestClient(create_app(settings, lambda _: raised)) as client:
            assert "floor is 1.100" in refused(client.get("/health/ready"), 503)["detail"]
            assert client.get("/health/live").status_code == 200

    def test_the_bundle_is_described(self, client, parts):
        told = client.get("/v1/bundle").json()
        assert (told["fingerprint"], told["model"]) == ("b0d1e5", "30de1")
        assert (told["users"], told["items"]) == (80, 64)
        assert told["interactions"] == parts.seen.nnz
        assert told["audit"]["method"] == "flat"

    def test_metrics_count_by_template(self, settings):
        with TestClient(create_app(settings)) as client:
            client.get("/v1/items/i1")
            client.get("/v1/items/gone")
            client.get("/nowhere")
            client.request("BREW", "/v1/items/i1")
            client.post("/recommend", json={"user": "u1", "k": 100})
            text = client.get("/metrics").text
        for line in (
            'plotpointe_http_requests_total{method="GET",route="/v1/items/{key}",status="200"} 1.0',
            'plotpointe_http_requests_total{method="GET",route="/v1/items/{key}",status="404"} 1.0',
            'plotpointe_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
            'plotpointe_recommendations_total{strategy="model",user_tier="hot"} 1.0',
            "plotpointe_shortfalls_total 1.0",
            'plotpointe_bundle_info{fingerprint="b0d1e5",model="30de1"} 1.0',
            'plotpointe_index_recall{arm="control"} 1.0',
        ):
            assert line in text.splitlines()
        assert 'method="OTHER"' in text and "BREW" not in text

    def test_a_request_keeps_the_name_it_came_with(self, client):
        given = client.get("/health/live", headers={"x-request-id": "abc-1"})
        assert given.headers["x-request-id"] == "abc-1"
        strange = client.get("/health/live", headers={"x-request-id": "a b<script>"})
        assert len(strange.headers["x-request-id"]) == 32

    def test_every_answer_carries_the_security_headers(self, client):
        for path in ("/", "/docs", "/v1/items/i1", "/v1/items/gone", "/nowhere", "/metrics"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "default-src 'none'" in headers["content-security-policy"]

    def test_log_lines_are_json_and_name_no_user(self, settings, capfd):
        loud = settings.model_copy(update={"log_level": "info"})
        with TestClient(create_app(loud)) as client:
            client.get("/v1/users/u77/recommendations")
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        assert [line["event"] for line in lines] == ["serving", "request"]
        assert lines[1]["route"] == "/v1/users/{key}/recommendations"
        assert "u77" not in json.dumps(lines)

    def test_two_applications_do_not_collide(self, settings):
        with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as other:
            one.get("/v1/items/i1")
            assert "/v1/items/{key}" not in other.get("/metrics").text

    def test_nothing_is_left_in_the_root_logger(self, client):
        client.get("/health/live")
        assert not any(h.__class__.__module__.startswith("serving") for h in logging.root.handlers)


class TestSettingsOfTheApplication:
    def test_browsing_can_be_switched_off(self, settings):
        quiet = settings.model_copy(update={"browse": False})
        with TestClient(create_app(quiet)) as client:
            for path in ("/", "/v1/users", "/v1/users/u1"):
                refused(client.get(path), 404)
            assert client.get("/v1/users/u1/recommendations").status_code == 200
            assert client.get("/docs").status_code == 200

    def test_without_a_bundle_nothing_starts(self, tmp_path):
        app = create_app(Settings(store=tmp_path, log_level="error"))
        with pytest.raises(ArtifactError, match="no bundle is promoted"), TestClient(app):
            pass

    def test_a_missing_images_folder_is_an_error(self, settings, tmp_path):
        lost = settings.model_copy(update={"images": tmp_path / "gone"})
        with pytest.raises(ConfigError, match="does not exist"), TestClient(create_app(lost)):
            pass
