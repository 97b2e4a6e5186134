"""The interface is what its own document says, whatever is sent to it."""

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks

from serving.app import create_app
from serving.reference import page
from serving.requests import RecommendRequest
from serving.settings import Settings
from serving.wire import MAX_K

load_all_checks()

CONFORMANCE = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


INTERFACE = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@INTERFACE.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[*HealthCheck],
)
def test_answers_conform_to_the_document(case, address):
    case.call_and_validate(base_url=address, checks=CONFORMANCE)


def test_errors_are_documented_as_problems(client):
    document = client.get("/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert [*answer["content"]] == ["application/problem+json"]


def test_every_operation_and_field_explains_itself(client):
    document = client.get("/openapi.json").json()
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            assert all(p["description"] for p in operation.get("parameters", []))
    for name, told in document["components"]["schemas"].items():
        assert told["description"]
        for field, kind in told["properties"].items():
            assert kind.get("description") or "$ref" in kind, f"{name}.{field}"


def test_a_key_may_be_a_number_and_the_document_says_so(client):
    fields = client.get("/openapi.json").json()["components"]["schemas"]["RecommendRequest"]
    kinds = [option["type"] for option in fields["properties"]["user"]["anyOf"]]
    assert kinds == ["string", "integer", "null"]
    assert RecommendRequest.model_validate_json('{"user": 12}').user == "12"


def test_the_promised_paths_are_there(client):
    assert {
        "/v1/recommend", "/v1/recommend:batch", "/v1/users/{key}/recommendations",
        "/v1/items/{key}/similar", "/v1/items/{key}", "/health/live", "/health/ready", "/metrics",
    } <= {*client.get("/openapi.json").json()["paths"]}  # fmt: skip


def test_the_reference_names_every_path_and_limit(client):
    text = page()
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        assert all(f"## {verb.upper()} {path}\n" in text for verb in operations)
    assert f"integer 1 to {MAX_K}" in text
    assert "[RecommendRequest](#recommendrequest)" in text
