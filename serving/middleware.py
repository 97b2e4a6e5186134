"""What happens around every request; one idea a class, outermost last."""

import re
import time
from collections.abc import Mapping
from uuid import uuid4

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from serving.problems import problem
from serving.telemetry import Metrics

UPLOAD = ":upload"
"""Ends the paths that take files."""
REQUEST_ID = "x-request-id"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Set where an answer does not set its own."""


class Json:
    """Reads every body as JSON, whatever its label: ``curl -d`` calls it a form.

    Only a path that takes files, ``…:upload``, leaves it to the label.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relabel the body."""
        if scope["type"] == "http" and not scope["path"].endswith(UPLOAD):
            others = [(n, v) for n, v in scope["headers"] if n != b"content-type"]
            scope["headers"] = [*others, (b"content-type", b"application/json")]
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses bodies above a size, whether they declare it or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap ``app``."""
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, at most the limit, before anything is done with it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        whole = declared.isdigit() and int(declared) > self.max_bytes
        body = None if whole else await self._read(receive)
        if body is None:
            detail = f"the body is larger than {self.max_bytes:,} bytes; send smaller batches"
            await problem(Request(scope), 413, detail)(scope, receive, send)
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            """Return what was read ahead, then what is still to come."""
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.max_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


class Watch:
    """Names, times, counts and logs each request, and turns a crash into a problem.

    Logs hold the route's template, not the path: paths name users.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, log: FilteringBoundLogger) -> None:
        """Wrap ``app``."""
        self.app, self.metrics, self.log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        name = given if _GIVEN_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = name
        log = self.log.bind(request_id=name)
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            """Pass a message on and note its status."""
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, {REQUEST_ID: name, **SECURITY_HEADERS})
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            log.exception("request failed")
            if not status:
                detail = "the service failed; its log tells more under this request_id"
                await problem(Request(scope), 500, detail)(scope, receive, watched)
        seconds = time.perf_counter() - started
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = route_of(scope)
        self.metrics.observe(method, route, status, seconds)
        log.info("request", method=method, route=route, status=status, seconds=round(seconds, 6))


def route_of(scope: Scope) -> str:
    """Return the template of the route that answered, such as ``/v1/items/{key}``."""
    return getattr(scope.get("route"), "path_format", "unmatched")


def _add_headers(message: Message, headers: Mapping[str, str]) -> None:
    present = MutableHeaders(raw=message.setdefault("headers", []))
    for name, value in headers.items():
        present.setdefault(name, value)
