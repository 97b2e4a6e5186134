"""Names, times, counts, traces and logs each request."""

import random
import re
import time
from functools import lru_cache
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.headers import RawHeaders, header
from serving.problems import problem
from serving.telemetry.instruments import Instruments
from serving.telemetry.tracing import leave, use

REQUEST_ID = b"x-request-id"
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_draw = random.Random()
"""Names of requests have to differ, not to be secret: the system's own source is slow."""

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

_SECURITY: RawHeaders = [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]


class Watch:
    """Names, times, counts, traces and logs each request, and turns a crash into a problem.

    Logs hold the route's template, not the path: paths name users.
    """

    def __init__(self, app: ASGIApp, tools: Instruments) -> None:
        """Wrap ``app``."""
        self.app, self.metrics, self.log = app, tools.metrics, tools.log
        self.tracer, self.slow = tools.tracer, tools.slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = use(self.tracer)
        try:
            with self.tracer.request(scope["headers"]):
                await self._watched(scope, receive, send)
        finally:
            leave(token)

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = header(scope, REQUEST_ID)
        name = given.decode() if _GIVEN_ID.fullmatch(given) else f"{_draw.getrandbits(128):032x}"
        scope.setdefault("state", {})["request_id"] = name
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            """Pass a message on and note its status."""
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, name)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            self.log.exception("request failed", request_id=name)
            if not status:
                detail = "the service failed; its log tells more under this request_id"
                await problem(Request(scope), 500, detail)(scope, receive, watched)
        seconds = time.perf_counter() - started
        self._note(scope, name, status, seconds)

    def _note(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        """Tell metrics, trace and log of an answered request."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = route_of(scope)
        self.metrics.observe(method, route, status, seconds)
        trace = self.tracer.answered(method, route, status)
        told: dict[str, Any] = {
            "request_id": name, "method": method, "route": route, "status": status,
            "seconds": round(seconds, 6),
        }  # fmt: skip
        if trace is not None:
            told["trace_id"] = trace
        self.log.info("request", **told)
        if seconds >= self.slow.threshold:
            self.slow.add(**{"trace_id": None, **told})
            self.log.warning("slow request", **told)


def route_of(scope: Scope) -> str:
    """Return the template of the route that answered, such as ``/v1/items/{key}``."""
    return getattr(scope.get("route"), "path_format", "unmatched")


def _add_headers(message: Message, request_id: str) -> None:
    given: RawHeaders = message.get("headers", [])
    missing = _missing(tuple([name for name, _ in given]))
    message["headers"] = [*given, (REQUEST_ID, request_id.encode()), *missing]


@lru_cache(maxsize=256)
def _missing(names: tuple[bytes, ...]) -> RawHeaders:
    """Return the headers that an answer with these names lacks; answers look alike."""
    return [pair for pair in _SECURITY if pair[0] not in names]
