"""Lists that are at hand, sent before any routing: what that costs is more than the list itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.requests import RecommendRequest
from serving.service import Service

_PATHS = ("/v1/recommend", "/recommend")


@dataclass(frozen=True)
class _Route:
    """Names what answered, as a route does."""

    path_format: str


_ROUTES = {path: _Route(path) for path in _PATHS}
_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"private, no-store")]


class Ready:
    """Answers requests for lists that need no search; the routes answer all others.

    Whatever is wrong with a request is theirs to say. Bodies were read whole before.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        route = _ROUTES.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        message = await receive()
        body = answered(scope["state"]["deployment"].service, message)
        if body is None:
            await self.app(scope, _replayed(message, receive), send)
            return
        scope["route"] = route
        headers = [*_HEADERS, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def answered(service: Service, message: Message) -> bytes | None:
    """Return the answer to a request's body, None where it is not at hand, or no request."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    try:
        request = RecommendRequest.model_validate_json(message.get("body", b""))
    except ValidationError:
        return None
    return service.at_hand([request])[0]


def _replayed(message: Message, receive: Receive) -> Callable[[], Awaitable[Any]]:
    """Return a ``receive`` that begins with a message that was read."""
    pending = [message]

    async def replay() -> Message:
        """Return the message, then what is still to come."""
        return pending.pop() if pending else await receive()

    return replay
