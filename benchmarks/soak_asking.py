"""Requests at a steady rate, each answer held to what its bundle says in process.

Arrivals are on a clock that waits for no answer: what no connection is free for waits for one, and
its latency counts from when it was due. Connections are closed and opened again after some seconds,
as a balancer's are, so that a replaced worker gets its share.
"""

import asyncio
import itertools
import json
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks.load import Asker, Measured, Target

K = 10
CONNECTIONS = 24
_LONGEST = 15.0
"""Seconds that the last answers are waited for."""
OURS = "soak-"
"""What the ids of items that the soak adds begin with."""
SHELF = "Soak"
"""Their category."""
WITHOUT_OURS = {"must_not": [{"key": "category", "match": {"value": SHELF}}]}

TIE = 1e-5
"""Scores that differ by less, as a share, may change places: their last bits depend on which
requests are computed together."""

Lists = Mapping[str, Mapping[str, Mapping[str, float]]]
"""The items that each bundle answers each user, best first and somewhat more than K, with their
scores; by fingerprint and user."""


@dataclass
class Known:
    """What the service has confirmed so far; the writers add to it, answers are held to it."""

    lists: Lists
    hidden: dict[str, list[str]] = field(default_factory=dict)
    """For each user with feedback: the items that must not come any more, in order of time."""
    sent: set[str] = field(default_factory=set)
    """Items of ours that were sent."""
    gone: dict[str, float] = field(default_factory=dict)
    """Items of ours whose deletion was confirmed, and when."""


@dataclass(frozen=True)
class Question:
    """One request, and what was known when it was sent."""

    user: str
    filtered: bool
    due: float

    def body(self) -> bytes:
        """Return what is sent."""
        asked: dict[str, Any] = {"user": self.user, "k": K, "explain": False}
        return json.dumps(asked | ({"filter": WITHOUT_OURS} if self.filtered else {})).encode()


@dataclass
class Ledger:
    """What came of the requests."""

    known: Known
    wrong: list[str] = field(default_factory=list)
    """Descriptions of wrong answers."""
    lost: list[tuple[int, float]] = field(default_factory=list)
    """Requests whose connection ended: the port it came from, and when."""
    refused: Counter[str] = field(default_factory=Counter)
    """Other requests that got no list, by what came instead."""
    bundles: Counter[str] = field(default_factory=Counter)
    """Lists by the bundle that they name."""
    late: list[float] = field(default_factory=list)
    """Seconds from when each request was due to its answer."""

    @property
    def requests(self) -> int:
        """Return how many were sent and came to an end."""
        return len(self.late) + len(self.lost)

    def take(self, asked: "Sent", status: int, body: bytes) -> None:
        """Note one answer."""
        now = time.perf_counter()
        self.late.append(now - asked.question.due)
        if status != 200:
            self.refused[f"{status} {orjson.loads(body).get('title', '')}"] += 1
            return
        answer = orjson.loads(body)
        self.bundles[answer["bundle"]["fingerprint"]] += 1
        fault = fault_of(self.known, asked, answer)
        if fault:
            self.wrong.append(fault)


@dataclass(frozen=True)
class Sent:
    """A question under way."""

    question: Question
    at: float
    hidden: int
    """How many items of the user's were hidden when it was sent."""


def fault_of(known: Known, asked: Sent, answer: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an answer, None where nothing is."""
    user, named = asked.question.user, answer["bundle"]["fingerprint"]
    items = [item["id"] for item in answer["items"]]
    if len({*items}) != K:
        return f"{len({*items})} items for {user}: {answer['shortfall_reason']}"
    ours = [item for item in items if item.startswith(OURS)]
    if ours and (fault := _fault_of_ours(known, asked, ours)):
        return fault
    if user in known.hidden:
        back = {*known.hidden[user][: asked.hidden]} & {*items}
        return f"{sorted(back)} come back to {user}" if back else None
    if named not in known.lists:
        return f"no such bundle: {named}"
    rest = [item for item in items if not item.startswith(OURS)]
    scores = known.lists[named][user]
    wanted = [*scores][: len(rest)]
    if all(_tied(scores, *pair) for pair in zip(rest, wanted, strict=True)):
        return None
    return f"{user} of {named} gets {rest}, wanted {wanted}"


def _fault_of_ours(known: Known, asked: Sent, ours: list[str]) -> str | None:
    """Return what is wrong with the added items of an answer."""
    if asked.question.filtered:
        return f"{ours} pass the filter for {asked.question.user}"
    for item in ours:
        if item not in known.sent:
            return f"{item} was never sent"
        if known.gone.get(item, asked.at) < asked.at:
            return f"{item} was deleted before {asked.question.user} asked"
    return None


def _tied(scores: Mapping[str, float], item: str, wanted: str) -> bool:
    """Return whether an item is the one that is wanted, or scores as that does."""
    if item == wanted:
        return True
    return item in scores and abs(scores[item] - scores[wanted]) <= TIE * abs(scores[wanted])


class Steady(Asker):
    """A connection that asks what is due."""

    def __init__(self, crowd: "Crowd") -> None:
        """Belong to a crowd."""
        super().__init__(iter(()), Measured(), 0.0)
        self.crowd, self.under_way, self.port = crowd, None, 0
        self.old_at = time.perf_counter() + random.uniform(1.0, 3.0)

    under_way: Sent | None

    def _next(self) -> None:
        if not self.port:
            self.port = self.transport.get_extra_info("sockname")[1]
            self.crowd.there.add(self)
        self.crowd.free(self)

    def send(self, question: Question) -> None:
        """Ask a question."""
        hidden = len(self.crowd.ledger.known.hidden.get(question.user, ()))
        self.begun = time.perf_counter()
        self.under_way = Sent(question, self.begun, hidden)
        self.transport.write(self.crowd.target.request(question.body()))

    def answered(self, body: bytes) -> None:
        """Note the answer; ask again, over a new connection where this one is old."""
        assert self.under_way is not None
        self.crowd.ledger.take(self.under_way, self.status, body)
        self.under_way = None
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note what was not answered; another connection takes the place."""
        if self.under_way is not None:
            self.crowd.ledger.lost.append((self.port, time.perf_counter()))
        super().connection_lost(exc)
        self.crowd.gone(self)


@dataclass
class Crowd:
    """Connections that ask together, at a rate or, without one, as fast as they are answered."""

    target: Target
    ledger: Ledger
    rate: float | None
    users: Iterator[str]
    waiting: deque[Question] = field(default_factory=deque)
    idle: deque[Steady] = field(default_factory=deque)
    there: set[Steady] = field(default_factory=set)
    opening: set[asyncio.Future[None]] = field(default_factory=set)
    asked: int = 0
    ended: bool = False

    def free(self, asker: Steady) -> None:
        """Give a connection what waits longest, or close it where it is old."""
        if self.ended or time.perf_counter() > asker.old_at:
            asker.transport.close()
        elif self.rate is None:
            asker.send(self._question(time.perf_counter()))
        elif self.waiting:
            asker.send(self.waiting.popleft())
        else:
            self.idle.append(asker)

    def gone(self, asker: Steady) -> None:
        """Open another connection in the place of one."""
        self.there.discard(asker)
        if asker in self.idle:
            self.idle.remove(asker)
        if not self.ended:
            task = asyncio.ensure_future(self._open())
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    async def run(self, seconds: float) -> float:
        """Return for how many seconds was asked; ends once all that was sent is answered."""
        begun = time.perf_counter()
        for _ in range(CONNECTIONS):
            await self._open()
        while (past := time.perf_counter() - begun) < seconds:
            if self.rate is not None:
                self._due(begun, past)
            await asyncio.sleep(0.002)
        self.ended = True
        while self.idle:
            self.idle.popleft().transport.close()
        while self.there and time.perf_counter() - begun < past + _LONGEST:
            await asyncio.sleep(0.01)
        return past

    def _due(self, begun: float, past: float) -> None:
        assert self.rate is not None
        while self.asked < past * self.rate:
            self.waiting.append(self._question(begun + self.asked / self.rate))
            while self.idle and self.waiting:
                self.free(self.idle.popleft())

    def _question(self, due: float) -> Question:
        self.asked += 1
        return Question(next(self.users), self.asked % 5 == 0, due)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.ended:
            try:
                await loop.create_connection(
                    lambda: Steady(self), self.target.host, self.target.port
                )
            except OSError:
                self.ledger.refused["no connection"] += 1
                await asyncio.sleep(0.05)
            else:
                return


def asked(
    target: Target, ledger: Ledger, users: list[str], rate: float | None, seconds: float
) -> float:
    """Return the requests a second that were answered, after asking for so many seconds."""
    before = len(ledger.late)
    crowd = Crowd(target, ledger, rate, itertools.cycle(users))
    took = asyncio.run(crowd.run(seconds))
    return (len(ledger.late) - before) / took
