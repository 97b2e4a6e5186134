"""Feedback and items under a soak, sent until they are confirmed; and what is kept of them."""

import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from benchmarks.soak_asking import OURS, SHELF, Known
from benchmarks.soak_service import HOST, Service, Until
from serving.live.export import events_of

_PADDING = "x" * 3_000
"""Makes events large, so that the journal is closed and compacted a few times in ten minutes."""
_KEPT_ITEMS = 40
_FIRST = 20
_AGAIN = 0.2
"""Share of what was confirmed that is sent again."""


@dataclass
class Written:
    """What came of writing."""

    requests: int = 0
    lost: list[tuple[int, float]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    again: int = 0


class Line:
    """One connection that is opened anew when it ends or is some seconds old."""

    def __init__(self, service: Service, written: Written) -> None:
        """Ask a service."""
        self.service, self.written = service, written
        self._connection: http.client.HTTPConnection | None = None
        self._port, self._since = 0, 0.0

    def ask(
        self, verb: str, path: str, body: Mapping[str, Any] | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Return status and answer, 0 and None where the connection ended before."""
        self.written.requests += 1
        data = None if body is None else json.dumps(body).encode()
        told = {"content-type": "application/json"} | headers
        try:
            connection = self._opened()
            connection.request(verb, path, data, told)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if self._port:
                self.written.lost.append((self._port, time.perf_counter()))
            else:
                self.written.refused[f"no connection: {type(error).__name__}"] += 1
            return 0, None
        return answer.status, json.loads(said)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is None or time.perf_counter() - self._since > 2.0:
            self.close()
            self._port, self._since = 0, time.perf_counter()
            self._connection = http.client.HTTPConnection(HOST, self.service.port, timeout=15)
            self._connection.connect()
            self._port = int(self._connection.sock.getsockname()[1])
        return self._connection

    def until(
        self,
        wanted: set[int],
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """Return what was answered, once it is one of the statuses that are wanted."""
        while True:
            status, answer = self.ask(verb, path, body, **headers)
            if status in wanted:
                return status, answer
            if status:
                self.written.refused[f"{status} {verb}"] += 1
            time.sleep(0.05)


@dataclass
class Feedback:
    """Sends events in batches, some again, and knows which were confirmed."""

    line: Line
    known: Known
    users: list[str]
    items: list[str]
    confirmed: list[str] = field(default_factory=list)
    first: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The first batches by key, which stand in segments alone before long."""

    def __call__(self, rng: random.Random) -> None:
        """Send a batch of two events; what was confirmed must not be shown to the user again."""
        user = rng.choice(self.users)
        chosen = rng.sample(self.items, 2)
        events = [
            {
                "id": uuid4().hex, "user": user, "item": item,
                "type": rng.choice(["purchase", "hide"]), "context": {"padding": _PADDING},
            }
            for item in chosen
        ]  # fmt: skip
        key = uuid4().hex
        # Before it is sent: it may count before its confirmation is here.
        hidden = self.known.hidden.setdefault(user, [])
        _, answer = self._post(events, key)
        if answer["accepted"] != 2 and not answer["repeated"]:
            self.line.written.wrong.append(f"a fresh batch was answered {answer}")
        self.confirmed += [str(event["id"]) for event in events]
        hidden.extend(chosen)
        if len(self.first) < _FIRST:
            self.first[key] = events
        if rng.random() < _AGAIN:
            self._again(events, key, rng)

    def _again(self, events: list[dict[str, Any]], key: str, rng: random.Random) -> None:
        """Send a batch again under its key, or its events under none: neither may count twice."""
        self.line.written.again += 1
        same = rng.random() < 0.5
        _, answer = self._post(events, key if same else None)
        if not (answer["repeated"] if same else answer["duplicates"] == 2):
            self.line.written.wrong.append(f"sent again: {answer}")

    def _post(self, events: list[dict[str, Any]], key: str | None) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        return self.line.until({200}, "POST", "/v1/feedback", {"events": events}, **headers)

    def forgotten(self) -> int:
        """Return how many of the first batches are not known any more when they come again."""
        answers = [self._post(events, key)[1] for key, events in self.first.items()]
        self.line.close()
        return sum(not answer["repeated"] for answer in answers)

    def kept(self, state: Path) -> dict[str, int]:
        """Return how many confirmed events are in the journal and its segments, and how often."""
        found = Counter(str(event["id"]) for event in events_of(state))
        sent = {*self.confirmed}
        return {
            "confirmed": len(self.confirmed),
            "lost": sum(name not in found for name in sent),
            "twice": sum(count > 1 for count in found.values()),
            "unasked": sum(name not in sent for name in found),
        }


@dataclass
class Items:
    """Adds items with a vector, and deletes those that are older."""

    line: Line
    known: Known
    widths: Mapping[str, int]
    there: list[str] = field(default_factory=list)
    added: int = 0

    def __call__(self, rng: random.Random) -> None:
        """Add an item; delete the oldest where there are many."""
        key = f"{OURS}{self.added}"
        self.known.sent.add(key)
        drawn = np.random.default_rng(self.added)
        vectors = {
            name: [float(x) for x in drawn.normal(size=width).round(4)]
            for name, width in self.widths.items()
        }
        body = {"id": key, "title": f"Item {key}", "categories": [SHELF], "vectors": vectors}
        status, answer = self.line.until({200, 201}, "POST", "/v1/items", body)
        if answer["id"] != key or (status == 201) != answer["created"]:
            self.line.written.wrong.append(f"adding {key}: {status} {answer}")
        self.there.append(key)
        self.added += 1
        if rng.random() < _AGAIN:
            self.line.written.again += 1
            _, answer = self.line.until({200}, "POST", "/v1/items", body)
            if answer["changed"]:
                self.line.written.wrong.append(f"{key} changed when it was sent again")
        if len(self.there) > _KEPT_ITEMS:
            oldest = self.there.pop(0)
            # 404 where a killed worker had done it before it could say so.
            self.line.until({200, 404}, "DELETE", f"/v1/items/{oldest}")
            self.known.gone[oldest] = time.perf_counter()

    def missing(self, service: Service) -> dict[str, int]:
        """Return by worker how many items it does not show, or shows though they were deleted."""
        found: dict[str, int] = {}
        with service.connected() as workers:
            for at, connection in enumerate(workers.values()):
                wrong = 0
                for key in (*self.there, *self.known.gone):
                    connection.request("GET", f"/v1/items/{key}")
                    answer = connection.getresponse()
                    answer.read()
                    wrong += answer.status != (404 if key in self.known.gone else 200)
                found[f"worker {at}"] = wrong
        return found


class Steadily(Until):
    """Does something over and over until the end."""

    def __init__(self, what: Callable[[random.Random], object], every: float) -> None:
        """Do it every so many seconds."""
        super().__init__()
        self.what, self.every, self.rng = what, every, random.Random(0)
        self.failed = ""

    def run(self) -> None:
        """Do it."""
        try:
            while not self.end.wait(self.every):
                self.what(self.rng)
        except Exception as error:
            self.failed = repr(error)
            raise
