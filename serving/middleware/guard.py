"""Who may ask, and how often."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import cast

from fastapi import Request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, Storage, storage_from_string
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from pipeline.errors import ConfigError
from serving import pages
from serving.breaker import Breaker, UnavailableError
from serving.keys import Key, KeyRing
from serving.keys import Scope as Allowed
from serving.middleware.headers import RawHeaders, header
from serving.problems import problem
from serving.telemetry.metrics import Metrics

OPEN = (*pages.PATHS, "/openapi.json", "/health/live", "/health/ready")
"""Paths that need no key: they hold nothing about anybody."""

_ASKING = (
    "/recommend", "/v1/recommend", "/v1/recommend:batch", "/v1/rank", "/v1/search",
    "/v1/search:upload",
)  # fmt: skip
"""Paths whose POST changes nothing."""

_SAFE = ("GET", "HEAD", "OPTIONS")


def scope_of(method: str, path: str) -> Allowed:
    """Return what a key must allow; what is not known to be harmless is a change."""
    if path.startswith("/v1/admin/"):
        return "admin"
    return "read" if method in _SAFE or path in _ASKING else "write"


class Keys:
    """Refuses requests without a key that allows them."""

    def __init__(self, app: ASGIApp, ring: KeyRing, metrics: Metrics) -> None:
        """Wrap ``app``."""
        self.app, self.ring, self.metrics = app, ring, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the key of one request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        secret = secret_of(scope)
        key = self.ring.find(secret) if secret else None
        if key is None:
            await self._refuse(scope, receive, send, known=bool(secret))
            return
        wanted = scope_of(scope["method"], scope["path"])
        if wanted not in key.scopes:
            self.metrics.denied.labels("scope").inc()
            detail = f"the key {key.id} does not allow {wanted}; it allows {', '.join(key.scopes)}"
            await problem(Request(scope), 403, detail)(scope, receive, send)
            return
        scope["state"]["key"] = key
        await self.app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, known: bool) -> None:
        self.metrics.denied.labels("unknown" if known else "missing").inc()
        detail = (
            "this key is not known, has ended or was revoked"
            if known
            else "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
        )
        answer = problem(Request(scope), 401, detail, (), **{"www-authenticate": "Bearer"})
        await answer(scope, receive, send)


def secret_of(scope: Scope) -> str:
    """Return the key that a request brings, empty where it brings none."""
    given = header(scope, b"authorization").decode("latin-1")
    kind, _, bearer = given.partition(" ")
    if kind.lower() == "bearer":
        return bearer.strip()
    return header(scope, b"x-api-key").decode("latin-1").strip()


class Rate:
    """Lets each key ask so often, and says how much is left.

    Requests without a key count by address. Windows are fixed and begin with the first request;
    they are counted in this worker's memory, or in a store that all share. Where that store fails,
    requests pass uncounted.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: str | None,
        storage: str,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        """Wrap ``app``; no rate limits only the keys that have their own.

        Raises:
            ConfigError: the rate or the store is not one.
        """
        self.app, self.metrics, self.log = app, metrics, log
        self.rates: dict[str, RateLimitItem] = {}
        self.default = None if rate is None else self._parsed(rate)
        try:
            # The synchronous kind; only ``async+`` addresses make the other.
            self._storage = cast(Storage, storage_from_string(storage))
        except Exception as error:
            raise ConfigError(f"rate_storage {storage!r}: {error}") from error
        self._local = isinstance(self._storage, MemoryStorage)
        self._breaker = Breaker("rate storage", metrics)
        self._clock = _Clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count one request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        key: Key | None = scope["state"].get("key")
        rate = self._parsed(key.rate) if key and key.rate else self.default
        if rate is None:
            await self.app(scope, receive, send)
            return
        who = key.id if key else str((scope.get("client") or ("",))[0])
        counted = await self._counted(rate, who)
        if counted is None:
            await self.app(scope, receive, send)
            return
        allowed, told = counted
        if not allowed:
            self.metrics.limited.inc()
            wait = dict(told)[b"ratelimit-reset"].decode()
            detail = f"more than {rate}; try again in {wait} seconds"
            answer = problem(Request(scope), 429, detail, (), **{"retry-after": wait})
            await answer(scope, receive, _telling(send, told))
            return
        await self.app(scope, receive, _telling(send, told))

    async def _counted(self, rate: RateLimitItem, who: str) -> tuple[bool, RawHeaders] | None:
        """Return whether one more is allowed and what to tell; None where nobody can count."""
        try:
            if self._local:
                return self._count(rate, who)
            return await asyncio.to_thread(self._breaker.call, self._count, rate, who)
        except UnavailableError:
            return None
        except Exception as error:
            self.log.error("rate storage failed", reason=str(error))
            return None

    def _count(self, rate: RateLimitItem, who: str) -> tuple[bool, RawHeaders]:
        if self._clock.jumped() and self._local:
            self._storage.reset()
        # The fixed window of ``limits``, without counting twice to say what is left.
        name, length = rate.key_for(who), rate.get_expiry()
        count = self._storage.incr(name, length)
        reset = math.ceil(self._storage.get_expiry(name) - time.time())
        return count <= rate.amount, [
            (b"ratelimit-limit", b"%d" % rate.amount),
            (b"ratelimit-remaining", b"%d" % max(0, rate.amount - count)),
            (b"ratelimit-reset", b"%d" % min(max(1, reset), length)),
            (b"ratelimit-policy", b"%d;w=%d" % (rate.amount, length)),
        ]

    def _parsed(self, rate: str) -> RateLimitItem:
        found = self.rates.get(rate)
        if found is None:
            found = self.rates[rate] = parsed(rate)
        return found


def parsed(rate: str) -> RateLimitItem:
    """Return a rate such as ``600/minute``.

    Raises:
        ConfigError: it is none.
    """
    try:
        return parse(rate)
    except ValueError:
        raise ConfigError(f"{rate!r} is no rate; write one like 600/minute") from None


class _Clock:
    """Notices when the clock on the wall was set: windows counted by it would never end."""

    def __init__(
        self,
        wall: Callable[[], float] = lambda: time.time(),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._apart = wall() - steady()

    def jumped(self) -> bool:
        """Return whether it was set by more than a second since the last call."""
        apart = self._wall() - self._steady()
        far = abs(apart - self._apart) > 1.0
        self._apart = apart
        return far


def _telling(send: Send, headers: RawHeaders) -> Send:
    """Return a ``send`` that adds headers."""

    async def told(message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return told
