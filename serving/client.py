"""A typed client of the service: one method a route, the service's own messages in and out.

    with Client("http://localhost:8000", key="...") as client:
        for item in client.recommend(user="1", k=10).items:
            ...

A refusal is raised as ``ServiceError`` with the service's problem in it. A service that says that
it is too busy (429, 503) is asked again after the time that it names.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from pipeline.errors import PlotpointeError
from serving.messages import (
    BatchAnswer,
    BundleDetails,
    ItemDetails,
    ItemPage,
    Liveness,
    Problem,
    Readiness,
    Recommendations,
    SimilarItems,
    UserDetails,
    UserPage,
)
from serving.requests import BatchRequest, RankRequest, RecommendRequest

Answer = TypeVar("Answer", bound=BaseModel)
Verb = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Value = str | int | float | bool | Sequence[str] | None

_BUSY = (429, 503)


class ClientError(PlotpointeError):
    """The service could not be asked, or answered with what is no message of it."""


class ServiceError(ClientError):
    """The service refused; ``problem`` says why."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        """Hold what the service said, and when it wants to be asked again."""
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.problem.status


class NotFoundError(ServiceError):
    """There is no such item, or no such path (404)."""


class NotAllowedError(ServiceError):
    """The key is missing, unknown, or does not allow this (401, 403)."""


class InvalidError(ServiceError):
    """The request is not as the service wants it (400, 413, 422); ``problem.errors`` says where."""


class BusyError(ServiceError):
    """The service has too much to do, or this key asked too often (429, 503)."""


_KINDS: dict[int, type[ServiceError]] = {
    400: InvalidError, 401: NotAllowedError, 403: NotAllowedError, 404: NotFoundError,
    413: InvalidError, 422: InvalidError, 429: BusyError, 503: BusyError,
}  # fmt: skip


@dataclass(frozen=True)
class Retry:
    """How often and how long a busy service is waited for."""

    times: int = 3
    """At most so many times after the first."""
    longest: float = 30.0
    """Seconds; a service that asks for a longer wait is not asked again."""
    first: float = 0.5
    """Seconds before the first repetition where the service names no time; doubled each time."""

    def wait(self, attempt: int, named: float | None) -> float | None:
        """Return the seconds to wait after an attempt, None where it is not to be repeated."""
        if attempt >= self.times:
            return None
        seconds = self.first * 2**attempt if named is None else named
        return seconds if seconds <= self.longest else None


class Client:
    """Asks one service; safe to share between threads, closed by ``with`` or ``close``."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        timeout: float = 10.0,
        retry: Retry = Retry(),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask nothing yet; ``timeout`` is for each attempt, in seconds."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=timeout, transport=transport
        )
        self._retry = retry

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return the client, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self.close()

    def recommend(self, request: RecommendRequest | None = None, **fields: Any) -> Recommendations:  # noqa: ANN401 - of the message
        """Return a ranked list for a request, or for the fields of one: ``user="1", k=10``."""
        return self._post("/v1/recommend", _one(RecommendRequest, request, fields), Recommendations)

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations]:
        """Return one ranked list per request, in order."""
        body = _checked(BatchRequest, {"requests": [*requests]})
        return self._post("/v1/recommend:batch", body, BatchAnswer).answers

    def recommend_to(
        self, user: str, k: int = 10, offset: int = 0, *, exclude_seen: bool = True
    ) -> Recommendations:
        """Return a ranked list for a user, by an address alone."""
        path = f"/v1/users/{_part(user)}/recommendations"
        return self._get(path, Recommendations, k=k, offset=offset, exclude_seen=exclude_seen)

    def rank(self, request: RankRequest | None = None, **fields: Any) -> Recommendations:  # noqa: ANN401 - of the message
        """Return the given items in order for somebody: ``items=["1", "2"], user="1"``."""
        return self._post("/v1/rank", _one(RankRequest, request, fields), Recommendations)

    def similar(
        self, item: str, k: int = 10, by: str = "model", offset: int = 0, **chosen: Value
    ) -> SimilarItems:
        """Return the items most like one; ``category``, ``brand``, ``price_min``, ``price_max``."""
        path = f"/v1/items/{_part(item)}/similar"
        return self._get(path, SimilarItems, k=k, by=by, offset=offset, **chosen)

    def item(self, item: str) -> ItemDetails:
        """Return everything known about an item."""
        return self._get(f"/v1/items/{_part(item)}", ItemDetails)

    def items(self, query: str = "", limit: int = 20, offset: int = 0) -> ItemPage:
        """Return items whose title holds the query or whose id begins with it."""
        return self._get("/v1/items", ItemPage, query=query, limit=limit, offset=offset)

    def picture(self, item: str) -> bytes:
        """Return an item's picture as its file holds it."""
        return self._ask("GET", f"/v1/items/{_part(item)}/image").content

    def user(self, user: str, limit: int = 50) -> UserDetails:
        """Return what is known of a user."""
        return self._get(f"/v1/users/{_part(user)}", UserDetails, limit=limit)

    def users(self, query: str = "", limit: int = 20, offset: int = 0) -> UserPage:
        """Return users whose id begins with the query."""
        return self._get("/v1/users", UserPage, query=query, limit=limit, offset=offset)

    def bundle(self) -> BundleDetails:
        """Return which bundle is served."""
        return self._get("/v1/bundle", BundleDetails)

    def live(self) -> Liveness:
        """Return that the process answers."""
        return self._get("/health/live", Liveness)

    def ready(self) -> Readiness:
        """Return that the index answers as it was audited; ``BusyError`` where it does not."""
        return self._get("/health/ready", Readiness)

    def metrics(self) -> str:
        """Return the metrics in Prometheus's text format."""
        return self._ask("GET", "/metrics").text

    def _get(self, path: str, answer: type[Answer], **query: Value) -> Answer:
        given = {name: value for name, value in query.items() if value is not None}
        return _read(self._ask("GET", path, params=given), answer)

    def _post(self, path: str, body: BaseModel, answer: type[Answer]) -> Answer:
        return _read(self._ask("POST", path, content=_sent(body)), answer)

    def _ask(self, verb: Verb, path: str, **sent: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        attempt = 0
        while True:
            response = self._asked(verb, path, **sent)
            if response.is_success:
                return response
            error = _error(response)
            pause = self._retry.wait(attempt, error.retry_after)
            if response.status_code not in _BUSY or pause is None:
                raise error
            time.sleep(pause)
            attempt += 1

    def _asked(self, verb: Verb, path: str, **sent: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        try:
            return self._http.request(verb, path, follow_redirects=verb == "GET", **sent)
        except httpx.HTTPError as error:
            raise ClientError(
                f"{self._http.base_url} does not answer ({error or type(error).__name__}); is the "
                "service running there?"
            ) from error


def _sent(body: BaseModel) -> bytes:
    """Return a message as JSON, without what is as it is by default."""
    return body.model_dump_json(exclude_unset=True).encode()


def _one(kind: type[Answer], request: Answer | None, fields: Mapping[str, Any]) -> Answer:
    """Return a request, or the one that the fields make."""
    if request is None:
        return _checked(kind, fields)
    if fields:
        raise ClientError("give a request or the fields of one, not both")
    return request


def _checked(kind: type[Answer], fields: Mapping[str, Any]) -> Answer:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__
        raise ClientError(f"{kind.__name__}: {where}: {first['msg']}") from error


def _part(key: str) -> str:
    """Return a key as one part of a path."""
    return quote(key, safe="")


def _read(response: httpx.Response, answer: type[Answer]) -> Answer:
    try:
        # What a newer service tells beyond these messages is no reason to fail.
        return answer.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ClientError(
            f"{response.request.url.path} answered with what is no {answer.__name__}; are client "
            f"and service of one version? ({error.error_count()} differences, first at {where})"
        ) from error


def _error(response: httpx.Response) -> ServiceError:
    """Return a refusal; one that is no problem comes from something before the service."""
    try:
        problem = TypeAdapter(Problem).validate_json(response.content)
    except ValidationError:
        problem = Problem(
            title=response.reason_phrase, status=response.status_code,
            detail=response.text[:200] or "no detail", instance=response.request.url.path,
            request_id=response.headers.get("x-request-id", ""),
        )  # fmt: skip
    kind = _KINDS.get(response.status_code, ServiceError)
    return kind(problem, _retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    named = response.headers.get("retry-after", "")
    return float(named) if named.isdigit() else None
