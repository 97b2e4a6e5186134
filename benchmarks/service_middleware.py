"""What stands around the service's routes costs a request: each class alone, and all together.

OMP_NUM_THREADS=1 python -m benchmarks.service_middleware 2>/dev/null      (its log goes there)

CPU time of a POST through ASGI, less that of the empty application, best of several rounds.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.keys import KeyFile, KeyRing, make_key, write_keys
from serving.middleware import BodyLimit, Gate, GateLimits, Json, Keys, Lag, Rate, Watch
from serving.settings import Settings
from serving.telemetry.instruments import Instruments

ROUNDS = 5
_BODY = b'{"user":"u1"}'


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing of worth."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"private, no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def stacks(folder: Path) -> tuple[Mapping[str, ASGIApp], str]:
    """Return what is measured, by name, and a key that it accepts."""
    settings = Settings()
    tools = Instruments.of(settings)
    secret, key = make_key("benchmark", ["read"])
    write_keys(folder / "keys.json", KeyFile(keys=(key,)))
    ring, metrics, lag = KeyRing(folder / "keys.json"), tools.metrics, Lag(tools.metrics)
    limits = GateLimits(64, 256, 0.5, 10.0)

    def inner(app: ASGIApp) -> ASGIApp:
        """Return what always stands around the routes, but for the outermost."""
        return BodyLimit(Gate(Json(app), limits, metrics, lag), 2_000_000, 10.0)

    def rated(app: ASGIApp) -> ASGIApp:
        """Return the limit of a rate that nobody reaches."""
        return Rate(app, "100000000/minute", "memory://", metrics, tools.log)

    return {
        "watch": Watch(empty, tools),
        "keys": Keys(empty, ring, metrics),
        "body": BodyLimit(empty, 2_000_000, 10.0),
        "gate": Gate(empty, limits, metrics, lag),
        "json": Json(empty),
        "all, no keys": Watch(inner(empty), tools),
        "all, keys": Watch(Keys(inner(empty), ring, metrics), tools),
        "all, keys and rates": Watch(Keys(rated(inner(empty)), ring, metrics), tools),
    }, secret


async def microseconds(app: ASGIApp, secret: str, requests: int) -> float:
    """Return the CPU time of one request."""
    headers = [
        (b"host", b"shop.example"), (b"content-type", b"application/json"), (b"accept", b"*/*"),
        (b"content-length", b"%d" % len(_BODY)), (b"user-agent", b"benchmark"),
        (b"authorization", b"Bearer " + secret.encode()),
    ]  # fmt: skip

    async def receive() -> Message:
        """Return the body."""
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(_: Message) -> None:
        """Take the answer."""

    begun = time.process_time()
    for _ in range(requests):
        scope = {
            "type": "http", "method": "POST", "path": "/v1/recommend", "headers": headers,
            "query_string": b"", "client": ("127.0.0.1", 1), "state": {},
        }  # fmt: skip
        await app(scope, receive, send)
    return (time.process_time() - begun) / requests * 1e6


def best(app: ASGIApp, secret: str, requests: int) -> float:
    """Return the least of several rounds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return min(runner.run(microseconds(app, secret, requests)) for _ in range(ROUNDS))


def main() -> None:
    """Print the costs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured, secret = stacks(Path(folder))
        bare = best(empty, secret, given.requests)
        found = {
            name: round(best(app, secret, given.requests) - bare, 1)
            for name, app in measured.items()
        }
    print(json.dumps({"cpu_microseconds_a_request": found}))


if __name__ == "__main__":
    main()
