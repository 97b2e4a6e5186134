"""What the routes ask: the lineup of this moment, and a list from the arm that a user meets."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import orjson
from structlog.typing import FilteringBoundLogger

from pipeline.errors import PlotpointeError
from serving.batcher import Batcher
from serving.bundle import SelfCheck
from serving.cache import AnswerCache
from serving.deployment.arms import Arm, Lineup
from serving.deployment.guardrail import Outcome, Trial
from serving.deployment.shadow import Shadow
from serving.live.door import Door
from serving.live.state import Live
from serving.messages_operations import Role
from serving.pictures import Pictures
from serving.questions import Answer, Question
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from serving.summaries import Plain
from serving.telemetry.metrics import Metrics
from serving.telemetry.tracing import span


@dataclass(frozen=True)
class Desk:
    """What stays while bundles come and go."""

    metrics: Metrics
    log: FilteringBoundLogger
    cache: AnswerCache
    trial: Trial
    shadow: Shadow
    batcher: Batcher[Question, Answer]


@dataclass(frozen=True)
class Seat:
    """An arm as the batcher asks it: what goes wrong and how long it takes is noted."""

    service: "Service"
    arm: Arm

    def plain(self, requests: Sequence[RecommendRequest]) -> list[Plain]:
        """Return the list for each request."""
        return self.service.ask(self.arm, requests)


@dataclass(frozen=True)
class Service:
    """What every route may use: one immutable view, held from a request's beginning to its end."""

    lineup: Lineup
    desk: Desk

    @property
    def recommender(self) -> Recommender:
        """Return the control's recommender: what everything but lists is answered from."""
        return self.lineup.control.recommender

    @property
    def live(self) -> Live:
        """Return the control's changing side, through which everything is written."""
        return self.lineup.control.live

    @property
    def door(self) -> Door:
        """Return what takes items and queries with content."""
        return self.lineup.control.door

    @property
    def pictures(self) -> Pictures:
        """Return the control's pictures."""
        return self.lineup.control.pictures

    @property
    def check(self) -> SelfCheck:
        """Return how the control's index did when it was last asked."""
        return self.lineup.control.check

    @property
    def metrics(self) -> Metrics:
        """Return the service's metrics."""
        return self.desk.metrics

    @cached_property
    def seats(self) -> dict[Role, Seat]:
        """Return the arms as the batcher asks them."""
        return {arm.role: Seat(self, arm) for arm in self.lineup.arms}

    def kept(self, arm: Arm, request: RecommendRequest) -> Plain | None:
        """Return the answer that is kept of an arm, under a name of its own."""
        cache = self.desk.cache
        kept = cache.find(cache.key(arm.stamp, request)) if cache.entries else None
        if kept is None:
            return None
        return {**kept, "recommendation_id": arm.recommender.new_id()}

    def keep(self, arm: Arm, request: RecommendRequest, answer: Plain, since: Hashable) -> None:
        """Keep an arm's answer for who asks the same.

        ``since`` is the arm's stamp from before it was asked: where that has changed, nobody knows
        which of the two states the answer is of.
        """
        cache = self.desk.cache
        same = answer["bundle"]["fingerprint"] == arm.fingerprint and arm.stamp == since
        if cache.entries and same:
            cache.keep(cache.key(since, request), answer)

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Plain]:
        """Return the list of each request in order; each arm searches once."""
        answers: dict[int, Plain] = {}
        for arm, places in self._by_arm(requests):
            found = self.ask(arm, [requests[at] for at in places])
            answers.update(zip(places, found, strict=True))
        listed = [answers[at] for at in range(len(requests))]
        self.tell(requests, listed)
        return listed

    def at_hand(self, requests: Sequence[RecommendRequest]) -> list[bytes | None]:
        """Return the answers, as JSON, that need no search; None for each of the others."""
        found: list[bytes | None] = [None] * len(requests)
        for arm, places in self._by_arm(requests):
            started, ready = time.perf_counter(), arm.live.ready
            if ready is None:
                continue
            answers = ready.at_hand([requests[at] for at in places])
            told = [(at, body) for at, body in zip(places, answers, strict=True) if body]
            if told:
                self._note(arm, [False] * len(told), time.perf_counter() - started)
                self.desk.metrics.count_known(len(told))
                self._shown(arm, [requests[at] for at, _ in told])
            for at, body in told:
                found[at] = body
                if self.lineup.shadow is not None:
                    self.desk.shadow.offer(self.lineup, requests[at], orjson.loads(body))
        return found

    def _by_arm(self, requests: Sequence[RecommendRequest]) -> list[tuple[Arm, list[int]]]:
        """Return the arms that requests meet, each with the places of its requests."""
        if self.lineup.challenger is None:
            return [(self.lineup.control, [*range(len(requests))])]
        met: dict[Role, tuple[Arm, list[int]]] = {}
        for place, request in enumerate(requests):
            arm = self.lineup.arm_of(request)
            met.setdefault(arm.role, (arm, []))[1].append(place)
        return [*met.values()]

    def ask(self, arm: Arm, requests: Sequence[RecommendRequest]) -> list[Plain]:
        """Return an arm's lists; where a challenger fails the control answers in its place."""
        desk, started = self.desk, time.perf_counter()
        self._shown(arm, requests)
        try:
            with span("recommend", arm=arm.role, bundle=arm.fingerprint, lists=len(requests)):
                answers = arm.recommender.plain(requests)
        except PlotpointeError:
            raise
        except Exception:
            desk.trial.add(arm.role, [Outcome(0.0, failed=True, short=False)] * len(requests))
            desk.metrics.arm_answers.labels(arm.role, "failed").inc(len(requests))
            if arm is self.lineup.control:
                raise
            desk.log.exception("challenger failed", bundle=arm.fingerprint)
            return self.ask(self.lineup.control, requests)
        short = [answer["shortfall_reason"] is not None for answer in answers]
        self._note(arm, short, time.perf_counter() - started)
        return answers

    def _shown(self, arm: Arm, requests: Sequence[RecommendRequest]) -> None:
        """Note who meets which arm: by whom he was meant for, whoever answers in its place."""
        if self.lineup.challenger is not None:
            self.desk.trial.clicks.shown(arm.role, (request.user for request in requests))

    def _note(self, arm: Arm, short: Sequence[bool], seconds: float) -> None:
        """Note lists of an arm: which were short, and what all of them took."""
        desk, role = self.desk, arm.role
        desk.metrics.searched(role, seconds, len(short), sum(short))
        if self.lineup.challenger is not None:
            each = seconds / len(short)
            desk.trial.add(role, [Outcome(each, failed=False, short=missing) for missing in short])

    def tell(self, requests: Sequence[RecommendRequest], answers: Sequence[Plain]) -> None:
        """Count what was answered, and let the shadow answer a share of it."""
        self.desk.metrics.count(answers)
        for request, answer in zip(requests, answers, strict=True):
            self.desk.shadow.offer(self.lineup, request, answer)
