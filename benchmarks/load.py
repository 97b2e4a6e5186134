"""A load generator: so many connections that each ask again as soon as they are answered.

python -m benchmarks.load http://127.0.0.1:8000 --users users.txt [--connections 32 --seconds 10]
    [--body '{"user": "USER", "k": 10}'] [--path /v1/recommend] [--key API_KEY]

Prints one JSON record: requests a second, percentiles of the latency in milliseconds, statuses.
It speaks HTTP/1.1 over bare sockets, so that it costs the machine it shares little.
"""

import argparse
import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import numpy as np


@dataclass
class Measured:
    """What came back, and how long each answer took."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)

    def record(self) -> dict[str, object]:
        """Return the rate, percentiles in milliseconds, statuses and the mean size."""
        found = np.array(self.latencies or [0.0]) * 1e3
        return {
            "requests": len(self.latencies),
            "per_second": round(len(self.latencies) / self.seconds, 1) if self.seconds else 0,
            **{f"p{q}_ms": round(float(np.percentile(found, q)), 3) for q in (50, 95, 99)},
            "max_ms": round(float(found.max()), 3),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "bytes": round(float(np.mean(self.sizes or [0]))),
        }


@dataclass(frozen=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str = "/v1/recommend"
    headers: tuple[tuple[str, str], ...] = ()

    def request(self, body: bytes | None) -> bytes:
        """Return a whole request; one without a body is a GET."""
        verb = "GET" if body is None else "POST"
        lines = [f"{verb} {self.path} HTTP/1.1", f"host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Asker(asyncio.Protocol):
    """One connection: sends the next request when the last answer is whole."""

    def __init__(self, requests: Iterator[bytes], measured: Measured, until: float) -> None:
        """Ask until a time of ``time.perf_counter``, or until nothing is left to ask."""
        self.requests, self.measured, self.until = requests, measured, until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held, self.begun, self.status = bytearray(), 0.0, 0
        self.body_at, self.length = 0, -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        request = next(self.requests, None) if time.perf_counter() < self.until else None
        if request is None:
            self.transport.close()
            return
        self.begun = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take what came; count the answer once it is whole."""
        self.held += data
        if self.length < 0:
            end = self.held.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.held[: end + 2]).lower()
            self.status = int(head[9:12])
            at = head.index(b"content-length:") + len(b"content-length:")
            self.body_at = end + 4
            self.length = self.body_at + int(head[at : head.index(b"\r", at)])
        if len(self.held) >= self.length:
            self.measured.latencies.append(time.perf_counter() - self.begun)
            self.measured.statuses[self.status] += 1
            self.measured.sizes.append(self.length)
            body = bytes(self.held[self.body_at : self.length])
            del self.held[: self.length]
            self.length = -1
            self.answered(body)

    def answered(self, body: bytes) -> None:
        """Ask again."""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.done.done():
            self.done.set_result(None)


def drive(
    target: Target, bodies: Iterable[bytes | None], connections: int, seconds: float
) -> Measured:
    """Return what asking a service over and over gave; ends early where bodies do."""
    requests, measured = (target.request(body) for body in bodies), Measured()

    async def work() -> None:
        """Ask over every connection."""
        loop, begun = asyncio.get_running_loop(), time.perf_counter()
        until = begun + seconds
        askers = [
            await loop.create_connection(
                lambda: Asker(requests, measured, until), target.host, target.port
            )
            for _ in range(connections)
        ]
        await asyncio.gather(*(asker.done for _, asker in askers))
        measured.seconds = time.perf_counter() - begun

    try:
        import uvloop

        uvloop.run(work())
    except ImportError:
        asyncio.run(work())
    return measured


def main() -> None:
    """Ask a service and print the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--users", type=Path, required=True, help="a file with one user id a line")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--path", default="/v1/recommend")
    parser.add_argument("--body", default='{"user": "USER", "k": 10}')
    parser.add_argument("--key", help="an API key, sent as X-API-Key")
    given = parser.parse_args()
    place = urlsplit(given.url)
    users = given.users.read_text().split("\n")
    random.Random(0).shuffle(users)
    bodies = (
        given.body.replace('"USER"', json.dumps(user)).encode()
        for user in itertools.cycle(user for user in users if user)
    )
    headers = (("x-api-key", given.key),) if given.key else ()
    target = Target(place.hostname or "127.0.0.1", place.port or 80, given.path, headers)
    print(json.dumps(drive(target, bodies, given.connections, given.seconds).record()))


if __name__ == "__main__":
    main()
