"""The service, wired: settings in, an application out that answers once its bundle is open."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypedDict

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from pipeline.artifacts import Store
from serving import (
    pages,
    routes,
    routes_admin,
    routes_feedback,
    routes_items,
    routes_recommend,
)
from serving.bundle import Bundle
from serving.deployment.deployment import Deployment
from serving.deployment.opening import open_verified
from serving.deployment.start import deployed
from serving.draining import drained
from serving.keys import KeyRing
from serving.middleware import BodyLimit, Gate, GateLimits, Json, Keys, Lag, Rate, Ready, Watch
from serving.problems import add_problems, document_problems
from serving.settings import Settings
from serving.telemetry.energy import metered
from serving.telemetry.instruments import Instruments
from serving.telemetry.slow import SlowLog
from serving.telemetry.tracing import Tracer

OpenBundle = Callable[[Settings], Bundle]


class State(TypedDict):
    """What each request finds in ``request.state``."""

    deployment: Deployment
    slow: SlowLog
    draining: threading.Event


def open_bundle(settings: Settings) -> Bundle:
    """Return the bundle that the settings name, its files and promises checked.

    Raises:
        ArtifactError: there is none, it was altered, or it cannot be served.
    """
    store = Store(settings.store)
    named = store.open("bundle", settings.bundle).fingerprint if settings.bundle else None
    return open_verified(store, named, verify=settings.verify)


def create_app(
    settings: Settings,
    open_bundle: OpenBundle = open_bundle,
    *,
    tracer: Tracer | None = None,
    draining: threading.Event | None = None,
) -> FastAPI:
    """Return the application; its lifespan opens the bundle, or fails with what is wrong.

    ``draining`` is set when the service is about to end.

    Raises:
        ConfigError: the keys or the rate of the settings are none.
        MissingExtraError: traces are asked for, and their packages are not installed.
    """
    tools = Instruments.of(settings, tracer)
    lag, ends = Lag(tools.metrics), draining or threading.Event()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        """Yield the state with the bundle open, and watch it until the end."""
        watched = deployed(settings, open_bundle(settings), tools)
        power = metered(settings, tools.metrics)
        with drained(settings.drain_seconds, ends), watched as deployment, power:
            beating = asyncio.create_task(lag.beat())
            yield {"deployment": deployment, "slow": tools.slow, "draining": ends}
            beating.cancel()

    app = FastAPI(
        title="PlotPointe",
        summary="Recommendations from a multi-modal graph model.",
        version=_version(),
        lifespan=lifespan,
        # The service has traces and metrics of its own, in which no path names anybody.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,
        redoc_url=None,
    )
    chosen = [routes_recommend.recommending, routes_recommend.alias]
    chosen += [routes_items.items, routes_items.searching, routes_feedback.feedback]
    chosen += [routes.catalogue]
    chosen += [routes_admin.operations, routes_admin.admin]
    if settings.browse:
        chosen += [routes.users, pages.dashboard]
    for router in (*chosen, pages.reference):
        app.include_router(router)
    add_problems(app)
    _surround(app, settings, tools, lag)
    _document(app)
    return app


def _surround(app: FastAPI, settings: Settings, tools: Instruments, lag: Lag) -> None:
    """Put the middleware around the routes, innermost first."""
    metrics, log = tools.metrics, tools.log
    limits = GateLimits(
        settings.max_in_flight,
        settings.max_waiting,
        settings.queue_seconds,
        settings.timeout_seconds,
    )
    app.add_middleware(Json)
    app.add_middleware(Ready)
    app.add_middleware(Gate, limits=limits, metrics=metrics, lag=lag)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, seconds=settings.body_seconds)
    if settings.rate or settings.keys:
        app.add_middleware(
            Rate, rate=settings.rate, storage=settings.rate_storage, metrics=metrics, log=log
        )
    if settings.keys:
        app.add_middleware(Keys, ring=KeyRing(settings.keys), metrics=metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["authorization", "x-api-key", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.add_middleware(Watch, tools=tools)


def _document(app: FastAPI) -> None:
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        """Return the document with every problem answer in it."""
        return document_problems(plain())

    app.openapi = openapi  # type: ignore[method-assign]


def _version() -> str:
    try:
        return version("plotpointe")
    except PackageNotFoundError:
        return "0"
