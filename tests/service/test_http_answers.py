"""What recommending grew, over HTTP."""

import pytest

from serving.messages import BatchAnswer, Recommendations
from tests.service.test_http import refused

FILTER = {"must": [{"key": "category", "match": {"value": "kind 1"}}]}


def post(client, path="/v1/recommend", **body):
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    return answer.json()


def test_everything_at_once(client, parts):
    body = {
        "user": "u1", "history": ["i2"], "positives": ["i5", parts.item_vectors[9].tolist()],
        "negatives": ["i4"], "exclude_ids": ["i13"], "filter": FILTER, "k": 4, "offset": 1,
        "diversity": 0.3, "max_per": {"field": "brand", "count": 9}, "context": {"page": "home"},
        "explain": "full",
    }  # fmt: skip
    answer = post(client, **body)
    Recommendations.model_validate(answer)
    assert answer["context"] == {"page": "home"}
    assert answer["steps"]["allowed"] == 16
    for item in answer["items"]:
        assert parts.world.item_cluster[int(item["id"][1:])] == 1 and item["id"] != "i13"
        assert sum(p["value"] for p in item["parts"]) == pytest.approx(item["score"], rel=1e-4)


def test_answers_are_what_the_document_says(client):
    single = post(client, user="u1")
    assert Recommendations.model_validate(single).model_dump(exclude_unset=True) == single
    batch = post(client, "/v1/recommend:batch", requests=[{"user": "u1"}, {"k": 2}])
    assert BatchAnswer.model_validate(batch).model_dump(exclude_unset=True) == batch


def test_a_batch_of_a_thousand(settings):
    from starlette.testclient import TestClient

    from serving.app import create_app

    wide = settings.model_copy(update={"max_body_bytes": 1_000_000})
    with TestClient(create_app(wide)) as client:
        asked = [{"user": f"u{n % 80}", "k": 1 + n % 9, "explain": False} for n in range(1000)]
        answers = post(client, "/v1/recommend:batch", requests=asked)["answers"]
        assert [len(a["items"]) for a in answers] == [a["k"] for a in asked]
        for n in (0, 79, 999):
            assert answers[n]["items"] == post(client, **asked[n])["items"]


class TestRank:
    def test_given_items_are_put_in_order(self, client, parts):
        keys = ["i1", "i2", "gone", "i17", "i1", "i40"]
        answer = post(client, "/v1/rank", user="u1", items=keys)
        rows = [1, 2, 17, 40]
        scores = {f"i{row}": parts.item_vectors[row] @ parts.user_vectors[1] for row in rows}
        wanted = sorted(scores, key=lambda key: -scores[key])
        assert [item["id"] for item in answer["items"]] == wanted
        assert answer["unknown_items"] == ["gone"] and answer["shortfall_reason"] is None

    def test_what_the_user_has_is_ranked_as_well(self, client, parts):
        keys = [f"i{row}" for row in parts.seen[1].indices]
        assert len(post(client, "/v1/rank", user="u1", items=keys)["items"]) == len(keys)

    def test_for_a_stranger_by_popularity(self, client, bundle):
        answer = post(client, "/v1/rank", items=["i1", "i2", "i3"])
        takers = bundle.takers[[int(item["id"][1:]) for item in answer["items"]]].tolist()
        assert answer["strategy"] == "popular" and takers == sorted(takers, reverse=True)

    def test_nothing_known_is_an_empty_list(self, client):
        answer = post(client, "/v1/rank", user="u1", items=["gone"])
        assert (answer["items"], answer["unknown_items"]) == ([], ["gone"])

    def test_no_items_are_refused(self, client):
        refused(client.post("/v1/rank", json={"user": "u1", "items": []}), 422)


class TestSimilar:
    def test_pages_are_parts_of_one_list(self, client):
        for by in ("model", "bought_together"):
            whole = client.get(f"/v1/items/i1/similar?k=9&by={by}").json()["items"]
            page = client.get(f"/v1/items/i1/similar?k=5&offset=4&by={by}").json()["items"]
            assert page == whole[4:] and page[0]["rank"] == 5

    @pytest.mark.parametrize("by", ["model", "text", "bought_together"])
    def test_a_filter_leaves_what_it_leaves(self, client, parts, by):
        every = client.get(f"/v1/items/i1/similar?k=63&by={by}").json()["items"]
        query = "category=kind 1&category=kind 2&price_min=5&price_max=50"
        left = client.get(f"/v1/items/i1/similar?k=63&by={by}&{query}").json()
        fits = [
            item["id"]
            for item in every
            if 5 <= int(item["id"][1:]) <= 50 and int(item["id"][1:]) % 4 in (1, 2)
        ]
        assert [item["id"] for item in left["items"]] == fits
        assert "that the filter leaves" in left["shortfall_reason"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"filter": {"must": [{"key": "brnad", "is_null": True}]}}, "did you mean 'brand'"),
        ({"filter": {"must": [{"key": "brand"}]}}, "exactly one of"),
        ({"filter": {"must": [{"ky": "brand"}]}}, "body.filter.must.0"),
        ({"positives": [[1.0]]}, "those of this bundle have 8"),
        ({"positives": [[float("inf")] * 8]}, "body.positives"),
        ({"max_per": {"field": "price", "count": 1}}, "holds none"),
        ({"max_per": {"field": "brand", "count": 0}}, "body.max_per.count"),
        ({"diversity": 1.5}, "body.diversity"),
        ({"explain": "loudly"}, "body.explain"),
        ({"context": {"x": "y" * 3000}}, "at most 2,048"),
        ({"context": []}, "body.context"),
    ],
)
def test_what_cannot_be_is_named(client, body, what):
    import json

    sent = json.dumps({"user": "u1", **body})
    problem = refused(client.post("/v1/recommend", content=sent), 422)
    assert what in problem["detail"]


def test_one_bad_filter_spoils_its_batch_alone(client):
    bad = {"requests": [{"user": "u1"}, {"filter": {"must": [{"key": "no", "is_null": True}]}}]}
    refused(client.post("/v1/recommend:batch", json=bad), 422)
    assert post(client, user="u1")["items"]


def test_a_filter_loads_no_pandas(store):
    import subprocess
    import sys
    from pathlib import Path

    code = """
import sys
from pathlib import Path
from pipeline.artifacts import Store
from serving.bundle import Bundle
from serving.recommender import Recommender
from serving.requests import RecommendRequest
asked = {"must": [{"key": "price", "range": {"lt": 40}},
                  {"key": "category", "match": {"any": ["kind 1", "kind 2"]}}],
         "must_not": [{"key": "brand", "is_null": True}]}
request = RecommendRequest(filter=asked, diversity=0.2, max_per={"field": "brand", "count": 3})
answer = Recommender(Bundle.open(Store(Path(sys.argv[1])))).recommend(request)
print(len(answer.items) > 0, "pandas" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(store.root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.split() == ["True", "False"], done.stderr
