"""The service, wired: settings in, an application out that answers once its bundle is open."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypedDict

from fastapi import FastAPI

from pipeline import places, promises
from pipeline.artifacts import Store
from pipeline.errors import ConfigError
from serving import pages, routes, routes_feedback, routes_items, routes_recommend
from serving.bundle import Bundle
from serving.live.door import Door
from serving.live.encoders import Encoders
from serving.live.state import Live
from serving.live.uploads import FOLDER as PICTURES
from serving.middleware import BodyLimit, Json, Watch
from serving.pictures import Pictures
from serving.problems import add_problems, document_problems
from serving.recommender import Recommender
from serving.routes import Service
from serving.routes_recommend import new_batcher
from serving.settings import Settings
from serving.telemetry import Metrics, open_log

OpenBundle = Callable[[Settings], Bundle]


class State(TypedDict):
    """What each request finds in ``request.state``."""

    service: Service


def open_bundle(settings: Settings) -> Bundle:
    """Return the bundle that the settings name, its files and promises checked.

    Raises:
        ArtifactError: there is none, it was altered, or it cannot be served.
    """
    artifact = Store(settings.store).open("bundle", settings.bundle)
    if settings.verify:
        promises.verify(artifact)
    return Bundle.of(artifact)


def create_app(settings: Settings, open_bundle: OpenBundle = open_bundle) -> FastAPI:
    """Return the application; its lifespan opens the bundle, or fails with what is wrong."""
    metrics, log = Metrics(), open_log(settings.log_level)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        """Yield the state with the bundle open."""
        service = open_service(settings, open_bundle(settings), metrics)
        log.info(
            "serving", bundle=service.recommender.bundle.fingerprint, ready=service.check.ready
        )
        yield {"service": service}
        service.batcher.close()

    app = FastAPI(
        title="PlotPointe",
        summary="Recommendations from a multi-modal graph model.",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    chosen = [routes_recommend.recommending, routes_recommend.alias]
    chosen += [routes_items.items, routes_items.searching, routes_feedback.feedback]
    chosen += [routes.catalogue, routes.operations]
    if settings.browse:
        chosen += [routes.users, pages.dashboard]
    for router in (*chosen, pages.reference):
        app.include_router(router)
    add_problems(app)
    app.add_middleware(Json)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(Watch, metrics=metrics, log=log)
    _document(app)
    return app


def open_service(settings: Settings, bundle: Bundle, metrics: Metrics) -> Service:
    """Return everything the routes use, with the bundle's index checked against its canaries.

    Raises:
        ConfigError: the images folder of the settings does not exist.
    """
    if settings.images and not settings.images.is_dir():
        raise ConfigError(f"the images folder {settings.images} does not exist; correct --images")
    folder = settings.images or places.images_of(Store(settings.store), bundle.artifact)
    state = settings.state_folder
    pictures, check = Pictures(folder, state / PICTURES), bundle.self_check()
    metrics.describe(bundle, check)
    make = partial(Recommender, picture=pictures.link)
    live = Live(bundle, state, make, open_log(settings.log_level))
    live.recommender.warm()
    encoders = Encoders(live.attaching.contents, switch="on" if settings.encoders else "off")
    door = Door(live, encoders, state)
    return Service(live, door, pictures, check, metrics, new_batcher())


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
