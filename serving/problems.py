"""Errors as problem+json (RFC 9457): one shape for every refusal, whoever refuses."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving.asker import VectorError
from serving.breaker import UnavailableError
from serving.columns import FilterError
from serving.live.attach import CannotAttachError, ContentError
from serving.live.encoders import NoEncoderError, UnusablePictureError
from serving.live.journal import DamagedError, StorageError
from serving.live.state import RepeatedKeyError
from serving.messages import Fault, Problem
from serving.recommender import UnknownItemError, UnknownRelationError

MEDIA_TYPE = "application/problem+json"
_DOCS = "/docs"


def problem(
    request: Request, status: int, detail: str, faults: Sequence[Fault] = (), **headers: str
) -> Response:
    """Return a problem as a response."""
    body = Problem(
        title=_title(status),
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=getattr(request.state, "request_id", ""),
        errors=list(faults),
    )
    return Response(
        body.model_dump_json(), status, headers={"cache-control": "no-store", **headers},
        media_type=MEDIA_TYPE,
    )  # fmt: skip


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def add_problems(app: FastAPI) -> None:
    """Answer every kind of failure of ``app`` with a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(UnknownItemError, _unknown_item)
    app.add_exception_handler(UnknownRelationError, _unknown_relation)
    app.add_exception_handler(ContentError, _unusable)
    app.add_exception_handler(UnusablePictureError, _unusable)
    app.add_exception_handler(RepeatedKeyError, _unusable)
    app.add_exception_handler(CannotAttachError, _cannot)
    app.add_exception_handler(NoEncoderError, _cannot)
    app.add_exception_handler(StorageError, _not_kept)
    app.add_exception_handler(DamagedError, _damaged)
    app.add_exception_handler(UnavailableError, _unavailable)
    for kind in (FilterError, VectorError):
        app.add_exception_handler(kind, _unanswerable)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: list[dict[str, Any]] = list(error.errors())
    broken = [e for e in found if e["type"] == "json_invalid"]
    if broken:
        where = broken[0]["loc"][-1]
        why = broken[0].get("ctx", {}).get("error", "syntax error")
        return problem(request, 400, f"the body is not JSON: {why} at character {where}")
    faults = [Fault(where=".".join(map(str, e["loc"])), what=e["msg"]) for e in found]
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    detail = f"{first.where}: {first.what}{more}; see {_DOCS}"
    return problem(request, 422, detail, faults)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"no such path; {_DOCS} lists what there is"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"{request.method} is not answered here; use {allowed}"
    return problem(request, error.status_code, detail, (), **dict(error.headers or {}))


def _unknown_item(request: Request, error: Exception) -> Response:
    return problem(request, 404, str(error))


def _unknown_relation(request: Request, error: Exception) -> Response:
    return problem(request, 422, str(error), [Fault(where="query.by", what=str(error))])


def _unusable(request: Request, error: Exception) -> Response:
    return problem(request, 422, str(error))


def _cannot(request: Request, error: Exception) -> Response:
    return problem(request, 409, str(error))


def _not_kept(request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    if error.full:
        return problem(request, 507, str(error))
    return problem(request, 503, str(error), (), **{"retry-after": "5"})


def _damaged(request: Request, error: Exception) -> Response:
    detail = "nothing can be kept now: the journal is damaged, and the service's log says where"
    return problem(request, 503, detail)


def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, UnavailableError)
    wait = str(math.ceil(error.retry_after))
    return problem(request, 503, str(error), (), **{"retry-after": wait})


def _unanswerable(request: Request, error: Exception) -> Response:
    return problem(request, 422, str(error), [Fault(where="body", what=str(error))])


def document_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document with every refusal in it, each as a problem.

    What stands around the routes (keys, rates, limits) refuses for all of them.
    """
    schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1"):
                operation["security"] = [{}, {"key": []}]
                _add_refusals(operation)
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if int(status) >= 400 and "application/json" in content:
                    content[MEDIA_TYPE] = content.pop("application/json")
    _describe_forms(schema)
    return schema


def _describe_forms(schema: dict[str, Any]) -> None:
    """Say what the bodies are that FastAPI makes of the parts of a form."""
    for name, told in schema.get("components", {}).get("schemas", {}).items():
        if name.startswith("Body_"):
            told["description"] = "The parts of a form."


_AROUND = {
    401: "A key is needed, or this one is none.",
    403: "The key does not allow it.",
    429: "More requests than the key may send; `Retry-After` says when to try again.",
    503: "Too many requests at once, or the answer took too long; `Retry-After` says when.",
}
_AROUND_BODIES = {
    400: "The body is not JSON.",
    408: "The body did not come in time.",
    413: "The body is too large.",
}


def _add_refusals(operation: dict[str, Any]) -> None:
    """Add what is refused around a route."""
    around = _AROUND | (_AROUND_BODIES if "requestBody" in operation else {})
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers = operation["responses"]
    for status, what in around.items():
        answers.setdefault(str(status), {"description": what, "content": dict(content)})
    operation["responses"] = dict(sorted(answers.items()))
