"""Lists made beforehand: what they answer is, byte for byte, what a search would have answered."""

import json
from dataclasses import fields, replace

import numpy as np
import orjson
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline import files, promises
from pipeline.artifacts import Store
from pipeline.errors import ArtifactError
from pipeline.index.audit import Search
from pipeline.index.known import known_lists
from pipeline.ranking import SecondStage
from serving.app import create_app
from serving.asker import look_up_many
from serving.bundle import Bundle
from serving.known import listed
from serving.messages import Recommendations
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from serving.settings import Settings
from tests import worlds, worlds_bundle

LENGTH = 30


def lists_of(parts, count: int = LENGTH) -> np.ndarray:
    search = Search(parts.build_index(), parts.item_vectors)
    return known_lists(search, parts.user_vectors, parts.seen, count)


def publish(root: Store, parts, listed: np.ndarray) -> None:
    def write(into):
        worlds_bundle.write(parts, into)
        files.write_array(into / "known.npy", listed)

    inputs = {"tables": "7ab1e5", "graphs": "96a9f5", "model": "30de1"}
    worlds.publish(root, "bundle", worlds_bundle.FINGERPRINT, write, inputs=inputs)
    root.point("bundle", worlds_bundle.FINGERPRINT, "a test")


@pytest.fixture(scope="module")
def store(tmp_path_factory, parts):
    root = Store(tmp_path_factory.mktemp("store"))
    publish(root, parts, lists_of(parts))
    return root


@pytest.fixture(scope="module")
def bundle(store):
    return Bundle.open(store)


@pytest.fixture(scope="module")
def quick(bundle):
    return Recommender(bundle, new_id=lambda: "one")


@pytest.fixture(scope="module")
def slow(bundle):
    """The same bundle without the lists."""
    return Recommender(replace(bundle, known=None), new_id=lambda: "one")


class NoSearch:
    """A retriever that must not be asked."""

    def top(self, wants):
        assert not wants, "a search was made"
        return []


def without_search(recommender: Recommender) -> Recommender:
    bare = replace(recommender)
    object.__setattr__(bare, "_retriever", NoSearch())
    return bare


users = st.integers(0, 70).map(lambda u: f"u{u}")
plain = st.builds(
    RecommendRequest,
    user=users,
    k=st.integers(1, 20),
    offset=st.integers(0, 25),
    explain=st.booleans(),
)


@given(asked=st.lists(plain, min_size=1, max_size=8))
@chosen(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_at_hand_is_what_a_search_answers(quick, slow, asked):
    expected = slow.plain(asked)
    ready = quick.at_hand(asked)
    for request, answer, body in zip(asked, expected, ready, strict=True):
        if body is None:
            reaches = request.offset + request.k <= LENGTH
            assert not reaches or answer["strategy"] == "popular" or answer["shortfall_reason"]
            continue
        assert body == orjson.dumps(answer)
        whole = Recommendations.model_validate_json(body)
        assert whole == Recommendations.model_validate(answer)


@given(
    asked=plain,
    excluded=st.lists(st.integers(0, 59).map(lambda i: f"i{i}"), max_size=6),
    more=st.sampled_from([{}, {"explain": "full"}, {"diversity": 0.4}, {"exclude_seen": False}]),
)
@chosen(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_other_requests_are_answered_as_without_lists(quick, slow, asked, excluded, more):
    request = asked.model_copy(update={"exclude_ids": excluded, **more})
    assert quick.plain([request]) == slow.plain([request])


def test_a_known_user_needs_no_search(quick, parts):
    bare = without_search(quick)
    request = RecommendRequest(user="u3", k=10, exclude_ids=["i1", "i2"])
    assert len(bare.plain([request])[0]["items"]) == 10
    assert bare.at_hand([RecommendRequest(user="u3")])[0]


@pytest.mark.parametrize(
    "asked",
    [
        {"user": None, "history": ["i1"]},
        {"user": "u1", "history": ["i1"]},
        {"user": "u1", "positives": ["i1"]},
        {"user": "u1", "negatives": ["i1"]},
        {"user": "u1", "exclude_ids": ["i1"]},
        {"user": "u1", "exclude_seen": False},
        {"user": "u1", "explain": "full"},
        {"user": "u1", "diversity": 0.1},
        {"user": "u1", "context": {"page": "home"}},
        {"user": "u1", "max_per": {"field": "brand", "count": 1}},
        {"user": "u1", "filter": {"must": [{"key": "price", "range": {"gte": 5}}]}},
        {"user": "u1", "k": 20, "offset": 11},
        {"user": "nobody"},
        {},
    ],
)
def test_whatever_says_more_is_not_at_hand(quick, asked):
    assert quick.at_hand([RecommendRequest(**asked)]) == [None]


def test_answers_stay_in_order_whatever_is_at_hand(quick):
    asked = [
        RecommendRequest(user="u3", k=2),
        RecommendRequest(user="nobody"),
        RecommendRequest(user="u1", k=5, offset=3),
        RecommendRequest(user="u2", k=2),
    ]
    ready = quick.at_hand(asked)
    assert ready[1] is None
    shown = [body and [item["rank"] for item in json.loads(body)["items"]] for body in ready]
    assert shown == [[1, 2], None, [4, 5, 6, 7, 8], [1, 2]]
    assert ready[0] == quick.at_hand(asked[:1])[0]


def test_reasons_without_native_code_are_the_same(quick):
    asked = [RecommendRequest(user=f"u{user}", k=7) for user in range(20)]
    numpy = replace(quick)
    object.__setattr__(numpy, "_at_hand", replace(quick._at_hand, edges=None))
    assert numpy.at_hand(asked) == quick.at_hand(asked)


def test_a_second_stage_puts_the_lists_in_order(quick, slow):
    """It sees the same candidates, and nothing is sent that it did not rank."""

    class Reversed:
        stage: SecondStage

        def fetch(self, asker):
            return 20

        def lacks(self, rows):
            return 0

        def best(self, askers, retrieved):
            return [(rows[::-1][: a.depth], scores[::-1][: a.depth]) for a, (rows, scores) in
                    zip(askers, retrieved, strict=True)]  # fmt: skip

    found = []
    for recommender in (without_search(quick), replace(slow)):
        object.__setattr__(recommender, "_ranker", Reversed())
        found.append(recommender.plain([RecommendRequest(user="u3", k=5)]))
    assert found[0] == found[1]


class TestOverHttp:
    @pytest.fixture
    def client(self, store, tmp_path):
        settings = Settings(store=store.root, state=tmp_path, log_level="error")
        with TestClient(create_app(settings)) as started:
            yield started

    @pytest.fixture
    def bare(self, slow):
        return replace(slow, picture=lambda key, image: None)

    def test_the_answer_is_that_of_a_search(self, client, bare):
        answer = client.post("/v1/recommend", json={"user": "u3", "k": 5})
        expected = bare.plain([RecommendRequest(user="u3", k=5)])[0]
        assert {**answer.json(), "recommendation_id": "one"} == expected
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"] and answer.headers["x-content-type-options"]

    def test_each_has_an_id_of_its_own_and_is_counted(self, client):
        ids = {client.post("/recommend", json={"user": "u3"}).json()["recommendation_id"]
               for _ in range(3)}  # fmt: skip
        assert len(ids) == 3
        text = client.get("/metrics").text
        assert 'plotpointe_recommendations_total{strategy="model",user_tier="hot"}' in text
        assert 'route="/recommend",status="200"} 3.0' in text

    def test_what_is_wrong_is_told_by_the_routes(self, client):
        assert client.post("/v1/recommend", json={"user": "u3", "k": 0}).status_code == 422
        assert client.post("/v1/recommend", content=b"{").status_code in (400, 422)
        assert client.get("/v1/recommend").status_code == 405

    def test_a_batch_of_both_kinds(self, client, bare):
        asked = [{"user": "u3", "k": 4}, {"user": "nobody", "k": 4}, {"user": "u5", "k": 6}]
        answers = client.post("/v1/recommend:batch", json={"requests": asked}).json()["answers"]
        expected = bare.plain([RecommendRequest(**each) for each in asked])
        assert [{**each, "recommendation_id": "one"} for each in answers] == expected
        alone = client.get("/v1/users/u3/recommendations?k=4").json()
        assert alone["items"] == answers[0]["items"]

    def test_what_changed_since_is_seen_at_once(self, client):
        def shown(user):
            answer = client.post("/v1/recommend", json={"user": user, "k": 8}).json()
            return [item["id"] for item in answer["items"]], answer["strategy"]

        (first, *others), _ = shown("u3")
        assert client.delete(f"/v1/items/{first}").status_code in (200, 204)
        assert shown("u3")[0][:7] == others
        disliked = {"type": "dislike", "user": "u3", "item": others[0]}
        sent = client.post("/v1/feedback", json={"events": [disliked]})
        assert sent.status_code in (200, 202), sent.text
        assert others[0] not in shown("u3")[0]
        patched = client.patch(f"/v1/items/{others[1]}", json={"title": "Quite another"})
        assert patched.status_code == 200, patched.text
        answer = client.post("/v1/recommend", json={"user": "u4", "k": 30, "offset": 0}).json()
        titles = {item["id"]: item["title"] for item in answer["items"]}
        assert titles.get(others[1], "Quite another") == "Quite another"


def test_lists_of_other_users_are_refused(tmp_path, parts):
    root = Store(tmp_path)
    publish(root, parts, lists_of(parts)[:-1])
    with pytest.raises(ArtifactError, match=r"known\.npy has shape"):
        Bundle.open(root)


@pytest.mark.parametrize(
    "wrong, rule",
    [
        (lambda listed, parts: listed, None),
        (lambda listed, parts: listed[:-1], "has a list for each user"),
        (lambda listed, parts: listed.astype(np.int64), "is int32"),
        (lambda listed, parts: listed + 1000, "names items"),
        (lambda listed, parts: listed - 5, "names items"),
        (lambda listed, parts: listed[:, ::-1].copy(), "names the best first"),
        (lambda listed, parts: lists_of(replace(parts, seen=0 * parts.seen + owners(parts))),
         "leaves out what a user has"),
    ],
)  # fmt: skip
def test_what_is_promised_of_the_lists(tmp_path, parts, wrong, rule):
    root = Store(tmp_path)
    publish(root, parts, wrong(lists_of(parts), parts))
    checks = promises.known.checks(root.open("bundle"))
    assert [each.rule for each in checks if not each.kept] == ([rule] if rule else [])


def owners(parts) -> sp.csr_matrix:
    """Return a history of one item for each user, which is none of theirs."""
    items = parts.world.n_items
    rows = [items - 1 - user % 3 for user in range(parts.seen.shape[0])]
    ones = np.ones(len(rows), dtype=np.float32)
    return sp.csr_matrix((ones, (range(len(rows)), rows)), shape=parts.seen.shape)


class Grown(Bundle):
    """A bundle to which one item was added: of the first user's own direction, or of none."""

    strength = 0.0

    @property
    def added_vectors(self):
        return self.user_vectors[3:4] * np.float32(self.strength)


@pytest.mark.parametrize("strength, ready", [(0.0, True), (100.0, False)])
def test_an_added_item_that_reaches_the_list_is_searched_for(bundle, strength, ready):
    grown = Grown(**{each.name: getattr(bundle, each.name) for each in fields(bundle)})
    object.__setattr__(grown, "strength", strength)
    recommender = Recommender(grown)
    request = RecommendRequest(user="u3", k=5)
    assert (recommender.at_hand([request])[0] is not None) == ready
    (asker,) = look_up_many(grown, [request], [None])
    assert (listed(grown, asker, 5) is not None) == ready
