"""A bundle to a deployment that follows its store until the service ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pipeline import places
from pipeline.artifacts import Store
from pipeline.errors import ConfigError
from serving.breaker import Breaker
from serving.bundle import Bundle
from serving.cache import AnswerCache
from serving.deployment.arms import CONTROL, Arm
from serving.deployment.deployment import Deployment, Watcher
from serving.deployment.guardrail import Trial
from serving.deployment.opening import Opener
from serving.deployment.shadow import Shadow
from serving.live.door import Door
from serving.live.encoders import Encoders
from serving.live.state import Live
from serving.live.uploads import FOLDER as PICTURES
from serving.messages_operations import Role
from serving.pictures import Pictures
from serving.questions import new_batcher
from serving.recommender import Recommender
from serving.service import Desk
from serving.settings import Settings
from serving.telemetry.instruments import Instruments

PLAN = "deployment.json"
"""In the state folder."""


@contextmanager
def deployed(settings: Settings, bundle: Bundle, tools: Instruments) -> Iterator[Deployment]:
    """Yield what answers from a bundle, watched until the end.

    Raises:
        ConfigError: the images folder of the settings does not exist.
    """
    metrics, log = tools.metrics, tools.log
    shadow, batcher = Shadow(metrics, log), new_batcher()
    make = partial(make_arm, settings, tools, Breaker("encoder", metrics))
    cache = AnswerCache(settings.cache_entries, settings.cache_seconds, metrics)
    deployment = Deployment(
        Opener(Store(settings.store), make, verify=settings.verify),
        Desk(metrics, log, cache, Trial(settings.guard), shadow, batcher),
        make(CONTROL, bundle),
    )  # fmt: skip
    del bundle  # or it would be held until the end, whatever is served by then
    deployment.pinned = settings.bundle is not None
    deployment.keep_previous = settings.keep_previous
    deployment.plan_path = settings.state_folder / PLAN
    deployment.refresh()
    watcher = Watcher(deployment, settings.reload_seconds, settings.recheck_seconds)
    watcher.start()
    try:
        yield deployment
    finally:
        watcher.close()
        batcher.close()
        shadow.close()
        tools.tracer.close()


def make_arm(
    settings: Settings, tools: Instruments, breaker: Breaker, role: Role, bundle: Bundle
) -> Arm:
    """Return what answers from a bundle, its index checked and its first requests behind it.

    Raises:
        ConfigError: the images folder of the settings does not exist.
    """
    if settings.images and not settings.images.is_dir():
        raise ConfigError(f"the images folder {settings.images} does not exist; correct --images")
    folder = settings.images or places.images_of(Store(settings.store), bundle.artifact)
    state = settings.state_folder
    pictures = Pictures(folder, state / PICTURES)
    live = Live(bundle, state, partial(Recommender, picture=pictures.link), tools.log)
    live.recommender.warm()
    encoders = Encoders(live.attaching.contents, settings.encoders, breaker=breaker.call)
    return Arm(role, live, Door(live, encoders, state), pictures, bundle.self_check())
