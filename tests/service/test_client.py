"""The client has a method for every route, speaks the service's messages, and waits when told."""

import inspect
import json
import re
import subprocess
import sys
import typing
from pathlib import Path

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.errors import PlotpointeError
from serving import client_calls
from serving.app import create_app
from serving.client import (
    BusyError,
    Client,
    ClientError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    Retry,
    ServiceError,
)
from serving.messages_feedback import Event
from serving.messages_items import NewItem
from serving.requests import RankRequest, RecommendRequest
from serving.settings import Settings

CALLS = {
    "recommend": {"user": "u", "k": 3},
    "recommend_many": {"requests": [RecommendRequest(user="u")]},
    "recommend_to": {"user": "a/b", "k": 3, "offset": 1, "exclude_seen": False},
    "rank": {"user": "u", "items": ["i"]},
    "similar": {
        "item": "i", "k": 3, "by": "text", "offset": 1, "category": ["a", "b"], "brand": "c",
        "price_min": 1, "price_max": 2,
    },
    "item": {"item": "a/b ?#ü"},
    "items": {"query": "x", "limit": 3, "offset": 1},
    "picture": {"item": "i"},
    "user": {"user": "u", "limit": 3},
    "users": {"query": "x", "limit": 3, "offset": 1},
    "bundle": {},
    "live": {},
    "ready": {},
    "metrics": {},
    "put_item": {"id": "i", "title": "A thing"},
    "upload_item": {"item": NewItem(id="i"), "image": b"picture"},
    "patch_item": {"key": "a/b", "title": None},
    "delete_item": {"key": "a/b"},
    "search": {"text": "a lamp", "k": 3},
    "search_by_picture": {"image": b"picture", "k": 3, "by": "image"},
    "feedback": {"events": [Event(user="u", item="i", type="like")], "idempotency_key": "one"},
    "deployment": {},
    "plan": {"challenger": "b0d1", "weight": 0.5},
    "reload": {},
    "roll_back": {},
    "compare": {"user": "u", "k": 3},
    "slow": {},
}  # fmt: skip
"""Every method with all that it takes."""

AWAITED: set[tuple[str, str]] = set()
"""Routes that are being written: each leaves this list when it is there."""


DOCUMENT = create_app(Settings()).openapi()
DOCUMENTED = {(verb, path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}


@pytest.fixture
def real(address):
    with Client(address) as opened:
        yield opened


@pytest.fixture
def waited(monkeypatch):
    pauses = []
    monkeypatch.setattr(client_calls.time, "sleep", pauses.append)
    return pauses


def to(handler, **options):
    return Client("http://service", transport=httpx.MockTransport(handler), **options)


def problem(status, **headers):
    body = {
        "type": "about:blank", "title": "No", "status": status, "detail": "because",
        "instance": "/x", "request_id": "r1", "errors": [],
    }  # fmt: skip
    return httpx.Response(status, json=body, headers=headers)


def sent_by(method):
    """Return the request that a method sends."""
    seen = []

    def hear(request):
        seen.append(request)
        return httpx.Response(418, text="enough")

    with to(hear) as client, pytest.raises(ServiceError):
        getattr(client, method)(**CALLS[method])
    return seen[0]


def operation_of(request):
    """Return the path and the operation of the document that a request is for."""
    raw = request.url.raw_path.decode().split("?")[0]
    for verb, path in sorted(DOCUMENTED | AWAITED):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
        if re.fullmatch(pattern, raw) and request.method.lower() == verb:
            return path, DOCUMENT["paths"].get(path, {}).get(verb)
    return None


def documented(method):
    """Return what a method sends, and the operation of the document."""
    request = sent_by(method)
    _, operation = operation_of(request)
    if operation is None:
        pytest.skip("the route is being written")
    return request, operation


class TestAgainstTheDocument:
    def test_every_public_method_is_looked_at_here(self):
        public = {name for name, _ in inspect.getmembers(Client, inspect.isfunction)}
        assert {name for name in public if name[0] != "_"} - {"close"} == {*CALLS}

    def test_every_route_has_a_method_and_every_method_a_route(self):
        asked = {name: sent_by(name) for name in CALLS}
        found = {name: operation_of(request) for name, request in asked.items()}
        assert [name for name, operation in found.items() if operation is None] == []
        reached = {(asked[name].method.lower(), found[name][0]) for name in CALLS}
        assert reached == DOCUMENTED | AWAITED
        assert not DOCUMENTED & AWAITED

    @pytest.mark.parametrize("method", CALLS)
    def test_a_method_knows_every_parameter_of_its_route_and_no_other(self, method):
        request, operation = documented(method)
        told = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
        assert {*request.url.params} == told
        assert bool(request.content) == ("requestBody" in operation)

    @pytest.mark.parametrize("method", CALLS)
    def test_a_method_returns_what_its_route_answers_with(self, method):
        _, operation = documented(method)
        content = operation["responses"]["200"].get("content", {})
        told = content.get("application/json", {}).get("schema", {}).get("$ref", "").split("/")[-1]
        returns = typing.get_type_hints(getattr(Client, method))["return"]
        if method == "recommend_many":
            assert (told, returns.__args__[0].__name__) == ("BatchAnswer", "Recommendations")
        else:
            assert returns.__name__ == told or (told == "" and returns in (str, bytes))

    def test_a_body_is_what_the_document_wants(self):
        for method, kind in (("recommend", RecommendRequest), ("rank", RankRequest)):
            _, operation = documented(method)
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert schema["$ref"].endswith(f"/{kind.__name__}")


class TestAgainstTheService:
    def test_lists(self, real, recommender):
        request = RecommendRequest(user="u1", k=5, explain="full")
        answer, made = real.recommend(request), recommender.recommend(request)
        bare = {"image": None}
        assert [item.model_copy(update=bare) for item in answer.items] == [
            item.model_copy(update=bare) for item in made.items
        ]
        ids = [item.id for item in answer.items]
        assert [item.id for item in real.recommend_to("u1", 5).items] == ids
        many = real.recommend_many([RecommendRequest(user=user, k=5) for user in ("u2", "u1")])
        assert [item.id for item in many[1].items] == ids
        ranked = real.rank(user="u1", items=["i3", "i1"])
        assert {item.id for item in ranked.items} == {"i1", "i3"}

    def test_looking_around(self, real, bundle):
        assert real.items("kind", limit=3).total > 3
        assert real.item("i1").title == "Thing 1 of kind 1"
        assert real.similar("i1", k=4, brand=["brand 1"]).items
        assert real.users("u1").users[0].id == "u1"
        assert real.user("u1").known and not real.user("nobody/at all").known
        assert real.bundle().fingerprint == bundle.fingerprint
        assert real.live().live and real.ready().recall == 1.0
        assert "plotpointe_http_requests_total" in real.metrics()
        assert real.picture("i1").startswith(b"\xff\xd8")

    def test_refusals_are_typed(self, real):
        with pytest.raises(NotFoundError, match=r"404 Not Found.*no item 'gone'") as gone:
            real.item("gone")
        assert gone.value.problem.request_id and isinstance(gone.value, PlotpointeError)
        with pytest.raises(InvalidError) as invalid:
            real.items(limit=0)
        assert invalid.value.problem.errors[0].where == "query.limit"
        with pytest.raises(InvalidError, match="brand_"):
            real.recommend(user="u1", filter={"must": [{"key": "brand_", "match": {"value": 1}}]})

    def test_what_cannot_be_asked_is_said_before_it_is_sent(self, real):
        with pytest.raises(ClientError, match=r"RecommendRequest: k: .*less than or equal to 500"):
            real.recommend(user="u1", k=501)
        with pytest.raises(ClientError, match="not both"):
            real.recommend(RecommendRequest(user="u1"), k=3)

    @pytest.mark.parametrize("key", [".", ".."])
    def test_a_key_that_a_path_cannot_hold_is_refused(self, key):
        with to(lambda _: problem(404)) as client, pytest.raises(ClientError, match="cannot stand"):
            client.item(key)

    @given(st.text(min_size=1, max_size=40).filter(lambda key: "\0" not in key))
    @example("%2e")
    @example("a/../b")
    def test_any_key_arrives_as_it_is(self, key):
        heard = []

        def hear(request):
            heard.append(httpx.URL(str(request.url)).path)
            return problem(404)

        assume(key not in (".", ".."))
        with to(hear) as client, pytest.raises(NotFoundError):
            client.user(key)
        assert heard == [f"/v1/users/{key}"]


class TestWhatChanges:
    """Against a service that only listens: the routes' own tests are beside them."""

    def test_every_event_gets_an_id_and_one_that_has_one_keeps_it(self):
        events = [
            Event(user="u", item="i", type="like"),
            Event(id="e", user="u", item="i", type="view"),
        ]
        heard = []
        with (
            to(lambda r: (heard.append(r), problem(500))[1]) as client,
            pytest.raises(ServiceError),
        ):
            client.feedback(events, idempotency_key="one")
        sent = json.loads(heard[0].content)["events"]
        assert len(sent[0]["id"]) == 32 and sent[1]["id"] == "e"
        assert heard[0].headers["idempotency-key"] == "one"
        assert [event.id for event in events] == [None, "e"]

    def test_a_patch_sends_null_where_something_is_taken_away_and_nothing_else(self):
        assert json.loads(sent_by("patch_item").content) == {"title": None}

    def test_files_go_as_forms(self):
        request = sent_by("upload_item")
        assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b'{"id":"i"}' in request.content and b"\r\n\r\npicture\r\n" in request.content
        assert b'name="by"\r\n\r\nimage' in sent_by("search_by_picture").content

    def test_json_is_labelled(self):
        assert sent_by("plan").headers["content-type"] == "application/json"


class TestPatience:
    def test_a_busy_service_is_asked_again_when_it_says(self, waited):
        answers = [
            problem(429, **{"retry-after": "7"}),
            problem(503),
            httpx.Response(200, json={"live": True}),
        ]
        with to(lambda _: answers.pop(0)) as client:
            assert client.live().live
        assert waited == [7.0, 1.0]

    def test_patience_ends(self, waited):
        asked = []
        with to(
            lambda request: (asked.append(request), problem(503))[1], retry=Retry(times=2)
        ) as client:
            with pytest.raises(BusyError, match="503 No: because"):
                client.live()
        assert (len(asked), waited) == (3, [0.5, 1.0])

    def test_a_wait_that_is_too_long_is_the_callers(self, waited):
        with to(lambda _: problem(429, **{"retry-after": "31"})) as client:
            with pytest.raises(BusyError) as busy:
                client.live()
        assert (busy.value.retry_after, waited) == (31.0, [])

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500])
    def test_nothing_else_is_repeated(self, waited, status):
        with to(lambda _: problem(status)) as client, pytest.raises(ServiceError) as refused:
            client.recommend(user="u")
        assert (refused.value.status, waited) == (status, [])
        assert isinstance(refused.value, NotAllowedError) == (status in (401, 403))

    @given(st.integers(0, 9), st.floats(0, 100) | st.none())
    def test_no_wait_is_longer_than_allowed(self, attempt, named):
        wait = Retry().wait(attempt, named)
        assert wait is None or (0 <= wait <= 30 and attempt < 3)


class TestWhatMayHappen:
    def test_a_key_goes_with_every_request(self):
        heard = []
        answer = httpx.Response(200, json={"live": True})
        with to(
            lambda request: (heard.append(request.headers["authorization"]), answer)[1], key="k"
        ) as client:
            client.live()
        assert heard == ["Bearer k"]

    def test_nobody_there_is_said(self):
        with Client("http://127.0.0.1:9", timeout=1) as client:
            with pytest.raises(ClientError, match=r"127.0.0.1:9.*does not answer"):
                client.live()

    def test_a_proxy_that_answers_in_its_own_words_is_no_crash(self):
        with to(lambda _: httpx.Response(502, html="<h1>Bad Gateway</h1>")) as client:
            with pytest.raises(ServiceError, match="502 Bad Gateway: <h1>"):
                client.live()

    def test_what_is_no_message_is_said(self):
        with to(lambda _: httpx.Response(200, json={"live": "perhaps"})) as client:
            with pytest.raises(ClientError, match=r"no Liveness.*first at live"):
                client.live()

    def test_a_newer_service_may_tell_more(self, client):
        told = client.get("/v1/bundle").json()
        more = {**told, "weather": {"of": "tomorrow"}}
        with to(lambda _: httpx.Response(200, json=more)) as newer:
            assert newer.bundle().model == told["model"]

    def test_only_what_was_given_is_sent(self):
        assert json.loads(sent_by("recommend").content) == {"user": "u", "k": 3}


def test_the_example_of_the_guide_runs_as_it_is(address, capsys):
    guide = Path(__file__).parents[2] / "docs" / "how-to" / "client.md"
    (example,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    ours = {"http://localhost:8000": address, "user-0007": "u7", "item-0003": "i3"}
    for theirs, mine in ours.items():
        assert theirs in example
        example = example.replace(theirs, mine)
    exec(compile(example, str(guide), "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 11 and said[0].startswith("1 ") and "no item 'gone'" in said[-1]


def test_the_guide_names_every_method():
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "client.md").read_text()
    assert [name for name in CALLS if f"`{name}`" not in guide] == []


def test_the_client_loads_nothing_that_answers():
    heavy = ["torch", "faiss", "pandas", "scipy", "numpy", "fastapi", "duckdb", "pyarrow"]
    script = "import sys, serving.client; print(*[n for n in sys.argv[1:] if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script, *heavy],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True,
    )  # fmt: skip
    assert done.stdout.strip() == ""
