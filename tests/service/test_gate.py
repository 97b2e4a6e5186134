"""Under load: who waits, who is turned away, and what stays answered."""

import asyncio
import socket
import threading
import time

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.breaker import Breaker, UnavailableError
from serving.cache import AnswerCache
from serving.middleware.gate import Gate, GateLimits, Lag
from serving.recommender import UnknownItemError
from serving.requests import RecommendRequest
from serving.telemetry import Metrics
from tests.service.test_http import refused


class World:
    """An application whose requests end when they are told to, behind a gate."""

    def __init__(self, **limits):
        self.metrics = Metrics()
        self.lag = Lag(self.metrics)
        chosen = {"in_flight": 2, "waiting": 2, "queue_seconds": 5.0, "timeout_seconds": 5.0}
        self.gate = Gate(self.app, GateLimits(**{**chosen, **limits}), self.metrics, self.lag)
        self.may_end = asyncio.Event()
        self.inside, self.most, self.order = 0, 0, []

    async def app(self, scope, receive, send):
        self.order.append(scope["n"])
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.may_end.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.inside -= 1

    async def ask(self, n: int, path: str = "/v1/x") -> int:
        statuses = []

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "path": path, "n": n, "headers": [], "method": "GET",
                 "query_string": b"", "server": ("t", 80), "scheme": "http"}  # fmt: skip
        await self.gate(scope, None, send)
        (status,) = statuses
        return status

    def shed(self, reason: str) -> float:
        return self.metrics.shed.labels(reason)._value.get()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class TestGate:
    def test_some_are_let_in_some_wait_in_order_and_the_rest_is_turned_away(self):
        async def story():
            world = World()
            asked = [asyncio.ensure_future(world.ask(n)) for n in range(6)]
            await settle()
            assert world.most == 2
            assert [task.result() for task in asked if task.done()] == [503, 503]
            world.may_end.set()
            assert await asyncio.gather(*asked) == [200, 200, 200, 200, 503, 503]
            assert world.order == [0, 1, 2, 3] and world.most == 2
            assert world.shed("full") == 2
            assert await world.ask(9) == 200
            assert world.gate._inside == 0 and not world.gate._queue

        asyncio.run(story())

    def test_nobody_waits_longer_than_allowed(self):
        async def story():
            world = World(queue_seconds=0.01)
            asked = [asyncio.ensure_future(world.ask(n)) for n in range(3)]
            await asyncio.sleep(0.1)
            assert asked[2].result() == 503 and world.shed("waited") == 1
            world.may_end.set()
            assert await asyncio.gather(*asked[:2]) == [200, 200]
            assert world.gate._inside == 0

        asyncio.run(story())

    def test_who_gives_up_waiting_takes_no_place(self):
        async def story():
            world = World(in_flight=1)
            first, second, third = (asyncio.ensure_future(world.ask(n)) for n in range(3))
            await settle()
            second.cancel()
            await settle()
            world.may_end.set()
            assert await first == 200 and await third == 200
            assert world.order == [0, 2] and world.gate._inside == 0

        asyncio.run(story())

    def test_who_is_called_and_gives_up_hands_the_place_on(self):
        async def story():
            world = World(in_flight=1)
            first, second, third = (asyncio.ensure_future(world.ask(n)) for n in range(3))
            await settle()
            world.gate._inside += 1
            world.gate._leave()  # called …
            second.cancel()  # … and gone before it ran
            world.may_end.set()
            assert await first == 200 and await third == 200
            assert world.gate._inside == 0

        asyncio.run(story())

    def test_a_late_answer_is_ended_and_its_place_stays_taken_until_the_work_is_done(self):
        async def story():
            world = World(in_flight=1, waiting=0, timeout_seconds=0.02)
            late = asyncio.ensure_future(world.ask(0))
            await asyncio.sleep(0.1)
            assert world.shed("timeout") == 1
            assert await world.ask(1) == 503 and world.shed("full") == 1
            world.may_end.set()
            assert await late == 503
            assert await world.ask(2) == 200

        asyncio.run(story())

    def test_probes_and_metrics_are_answered_whatever_the_load(self):
        async def story():
            world = World(in_flight=1, waiting=0)
            stuck = asyncio.ensure_future(world.ask(0))
            await settle()
            free = [
                asyncio.ensure_future(world.ask(n, path))
                for n, path in enumerate(("/health/live", "/metrics", "/v1/admin/rollback"), 1)
            ]
            await settle()
            world.may_end.set()
            assert await asyncio.gather(stuck, *free) == [200] * 4

        asyncio.run(story())

    def test_a_loop_that_is_late_again_and_again_turns_away(self):
        async def story():
            world = World(queue_seconds=0.05)
            world.may_end.set()
            beating = asyncio.ensure_future(world.lag.beat())
            await asyncio.sleep(0)
            for _ in range(4):
                time.sleep(0.15)  # somebody holds the loop
                await asyncio.sleep(0.001)
            assert await world.ask(0) == 503 and world.shed("lag") == 1
            await asyncio.sleep(0.3)
            assert await world.ask(1) == 200
            beating.cancel()

        asyncio.run(story())

    def test_one_stall_turns_nobody_away(self):
        async def story():
            world = World(queue_seconds=0.1)
            world.may_end.set()
            beating = asyncio.ensure_future(world.lag.beat())
            await asyncio.sleep(0.15)
            time.sleep(0.4)
            await asyncio.sleep(0.001)
            assert await world.ask(0) == 200
            beating.cancel()

        asyncio.run(story())


class TestTheWholeService:
    def test_a_crowd_gets_answers_or_503_with_retry_after(self, settings, monkeypatch):
        slow = threading.Event()
        tight = settings.model_copy(
            update={"max_in_flight": 1, "max_waiting": 0, "cache_entries": 0}
        )
        from serving.recommender import Recommender

        plain = Recommender.plain

        def slowly(self, requests):
            slow.wait(5)
            return plain(self, requests)

        with TestClient(create_app(tight)) as client:
            monkeypatch.setattr("serving.recommender.Recommender.plain", slowly)
            answers = []
            ask = lambda: answers.append(client.post("/recommend", json={}))  # noqa: E731
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            assert client.get("/health/ready").status_code == 200
            slow.set()
            for thread in threads:
                thread.join()
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
        turned = next(answer for answer in answers if answer.status_code == 503)
        assert turned.headers["retry-after"] == "1"
        refused(turned, 503)

    def test_a_body_that_never_comes_is_408(self, settings):
        import uvicorn

        from serving.run import listen

        hasty = settings.model_copy(update={"body_seconds": 0.2})
        with listen("127.0.0.1", 0) as ours:
            server = uvicorn.Server(uvicorn.Config(create_app(hasty), log_config=None))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [ours]})
            thread.start()
            try:
                while not server.started:
                    time.sleep(0.01)
                with socket.create_connection(ours.getsockname(), timeout=10) as slow:
                    slow.sendall(
                        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
                    )
                    assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
            finally:
                server.should_exit = True
                thread.join()


class TestBreaker:
    @pytest.fixture
    def now(self):
        return [0.0]

    @pytest.fixture
    def breaker(self, now):
        return Breaker("encoder", Metrics(), failures=3, seconds=10, clock=lambda: now[0])

    def fail(self, breaker, times=1):
        def work():
            raise ConnectionError

        for _ in range(times):
            with pytest.raises(ConnectionError):
                breaker.call(work)

    def test_it_opens_after_failures_in_a_row_and_refuses(self, breaker, now):
        self.fail(breaker, 2)
        assert breaker.call(lambda: 7) == 7
        self.fail(breaker, 3)
        assert breaker.is_open and breaker._gauge._value.get() == 1
        with pytest.raises(UnavailableError, match="encoder failed 3 times") as refused:
            breaker.call(pytest.fail)
        assert refused.value.retry_after == 10

    def test_after_a_while_one_call_decides(self, breaker, now):
        self.fail(breaker, 3)
        now[0] = 10.5
        self.fail(breaker)
        with pytest.raises(UnavailableError):
            breaker.call(pytest.fail)
        now[0] = 21
        assert breaker.call(lambda: 7) == 7
        assert not breaker.is_open and breaker._gauge._value.get() == 0

    def test_while_one_tries_the_others_are_refused(self, breaker, now):
        self.fail(breaker, 3)
        now[0] = 10.5

        def trying():
            with pytest.raises(UnavailableError):
                breaker.call(pytest.fail)
            return 7

        assert breaker.call(trying) == 7

    def test_the_askers_mistakes_are_no_failures(self, breaker):
        def work():
            raise UnknownItemError("no such item")

        for _ in range(5):
            with pytest.raises(UnknownItemError):
                breaker.call(work)
        assert not breaker.is_open


class TestCache:
    def test_equal_requests_are_answered_once(self, settings, monkeypatch):
        from serving.recommender import Recommender

        calls = []
        plain = Recommender.plain
        with TestClient(create_app(settings)) as client:
            monkeypatch.setattr(
                "serving.recommender.Recommender.plain",
                lambda self, requests: calls.extend(requests) or plain(self, requests),
            )
            one = client.post("/recommend", json={"user": "u1", "k": 3}).json()
            two = client.post("/v1/recommend", content='{"k":3,  "user":"u1"}').json()
            client.post("/recommend", json={"user": "u1", "k": 4})
            text = client.get("/metrics").text
        assert len(calls) == 2
        assert one["items"] == two["items"]
        assert one["recommendation_id"] != two["recommendation_id"]
        assert 'plotpointe_cache_lookups_total{outcome="hit"} 1.0' in text

    def test_another_stamp_another_answer_and_nothing_grows(self, recommender):
        cache = AnswerCache(2, 60, Metrics())
        request = RecommendRequest(user="u1")
        (answer,) = recommender.plain([request])
        for stamp in ("a", "b", "c"):
            cache.keep(cache.key(stamp, request), answer)
        assert cache.find(cache.key("a", request)) is None
        assert cache.find(cache.key("c", RecommendRequest(user="u1"))) is answer

    def test_an_answer_is_kept_for_a_while(self, recommender):
        cache = AnswerCache(2, 0.05, Metrics())
        request = RecommendRequest(user="u1")
        key = cache.key("a", request)
        cache.keep(key, recommender.plain([request])[0])
        time.sleep(0.1)
        assert cache.find(key) is None
