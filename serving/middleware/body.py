"""Bodies: read whole before anything is done with them, in time, and as JSON."""

import asyncio

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.headers import header
from serving.problems import problem

UPLOAD = ":upload"
"""Ends the paths that take files."""


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
    """Refuses bodies above a size, whether they declare it or not, and those that do not come."""

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        """Wrap ``app``."""
        self.app, self.max_bytes, self.seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, at most the limit, before anything is done with it."""
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        declared = header(scope, b"content-length")
        whole = declared.isdigit() and int(declared) > self.max_bytes
        try:
            async with asyncio.timeout(self.seconds):
                body = None if whole else await self._read(receive)
        except TimeoutError:
            detail = f"the body did not come within {self.seconds:g} seconds; send it at once"
            await problem(Request(scope), 408, detail, connection="close")(scope, receive, send)
            return
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
        body = b""
        while True:
            message = await receive()
            body += bytes(message.get("body", b""))
            if len(body) > self.max_bytes:
                return None
            if not message.get("more_body", False):
                return body


def _has_body(scope: Scope) -> bool:
    """Return whether a request announces a body; without one nothing has to be read."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
