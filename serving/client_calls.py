"""How the client asks: connections, refusals as exceptions, and patience with a busy service."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from pipeline.errors import PlotpointeError
from serving.messages import Problem

Answer = TypeVar("Answer", bound=BaseModel)
Verb = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Value = str | int | float | bool | Sequence[str] | None

Field = Any
"""What goes into a message, where pydantic looks at it, or to httpx."""

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


_PATIENT = Retry()


class Calls:
    """Asks one service; safe to share between threads, closed by ``with`` or ``close``."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        timeout: float = 10.0,
        retry: Retry = _PATIENT,
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

    def _get(self, path: str, answer: type[Answer], **query: Value) -> Answer:
        given = {name: value for name, value in query.items() if value is not None}
        return _read(self._ask("GET", path, params=given), answer)

    def _send(
        self,
        verb: Verb,
        path: str,
        answer: type[Answer],
        body: BaseModel | None = None,
        **sent: Field,
    ) -> Answer:
        if body is not None:
            sent["content"] = _sent(body)
            sent["headers"] = {"content-type": "application/json", **sent.get("headers", {})}
        return _read(self._ask(verb, path, **sent), answer)

    def _post(self, path: str, body: BaseModel, answer: type[Answer]) -> Answer:
        return self._send("POST", path, answer, body)

    def _ask(self, verb: Verb, path: str, **sent: Field) -> httpx.Response:
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

    def _asked(self, verb: Verb, path: str, **sent: Field) -> httpx.Response:
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


def one_of(kind: type[Answer], request: Answer | None, fields: Mapping[str, object]) -> Answer:
    """Return a request, or the one that the fields make."""
    if request is None:
        return checked(kind, fields)
    if fields:
        raise ClientError("give a request or the fields of one, not both")
    return request


def checked(kind: type[Answer], fields: Mapping[str, object]) -> Answer:
    """Return the message that the fields make.

    Raises:
        ClientError: the service would refuse it.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__
        raise ClientError(f"{kind.__name__}: {where}: {first['msg']}") from error


def part(key: str) -> str:
    """Return a key as one part of a path.

    Raises:
        ClientError: it is one that paths cannot hold.
    """
    if key in (".", ".."):
        raise ClientError(f"{key!r} cannot stand in a path; ask for it in a body: recommend, rank")
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
