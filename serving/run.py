"""Serving for real: the bundle is open and the port is ours before the first request."""

import ipaddress
import os
import socket
import tempfile
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from pipeline.artifacts import Store
from pipeline.errors import ConfigError
from serving.app import create_app, open_bundle
from serving.bundle import Bundle
from serving.settings import Settings
from serving.telemetry import server_log_config
from serving.telemetry.energy import check_place
from serving.telemetry.metrics import MULTIPROCESS

_WAITING_CONNECTIONS = 2048
_SETTINGS, _VERIFIED = "PLOTPOINTE_WORKER_SETTINGS", "PLOTPOINTE_WORKER_VERIFIED"
"""What the first process tells its workers."""


def serve(settings: Settings) -> None:
    """Answer requests until interrupted, then end what was begun.

    Raises:
        ArtifactError: there is no bundle to serve, or it does not fit together.
        ConfigError: the address cannot be listened on, or would answer other machines unasked.
    """
    check_reach(settings)
    check_place(settings)
    # Handed over, not kept: it has to go when another bundle takes its place.
    opened = [open_bundle(settings)]
    if settings.workers > 1:
        _supervise(settings, opened.pop().fingerprint)
        return
    app = create_app(settings, open_bundle=lambda _: opened.pop())
    with listen(settings.host, settings.port) as ours:
        uvicorn.Server(_config(settings, app)).run(sockets=[ours])


def _supervise(settings: Settings, verified: str) -> None:
    """Keep as many workers as the settings say; one that dies is replaced."""
    with tempfile.TemporaryDirectory(prefix="plotpointe-metrics-") as folder:
        told = {
            _SETTINGS: settings.model_dump_json(),
            _VERIFIED: verified,
            MULTIPROCESS: folder,
        }
        os.environ.update(told)
        config = _config(settings, "serving.run:worker_app", factory=True, workers=settings.workers)
        try:
            with listen(settings.host, settings.port) as ours:
                Multiprocess(config, sockets=[ours]).run()
        finally:
            for name in told:
                os.environ.pop(name, None)


def worker_app() -> FastAPI:
    """Return the application of one worker; what the first process verified is not read again."""
    settings = Settings.model_validate_json(os.environ[_SETTINGS])
    return create_app(settings, open_bundle=_open_verified)


def _open_verified(settings: Settings) -> Bundle:
    """Return the bundle to begin with, which may be another by the time a worker is replaced."""
    known = os.environ[_VERIFIED]
    now = settings.bundle or Store(settings.store).current("bundle") or ""
    seen = bool(now) and known.startswith(now)
    return open_bundle(settings.model_copy(update={"verify": settings.verify and not seen}))


def _config(settings: Settings, app: Any, **more: Any) -> uvicorn.Config:  # noqa: ANN401 - uvicorn's
    return uvicorn.Config(
        app,
        log_config=server_log_config(settings.log_level),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        **more,
    )


def check_reach(settings: Settings) -> None:
    """Refuse to answer other machines where nobody has to show a key.

    Raises:
        ConfigError: with what to do.
    """
    if settings.keys or settings.allow_anonymous or is_loopback(settings.host):
        return
    raise ConfigError(
        f"{settings.host} answers other machines, and no API keys are configured. Make one: "
        "plotpointe keys new NAME --keys keys.json, then serve with --keys keys.json; "
        "behind a proxy that knows who asks, set allow_anonymous: true"
    )


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: the port is taken, or the address is not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_WAITING_CONNECTIONS)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. "
            f"Choose another: --port {port + 1 if port < 65535 else 0}, or --host"
        ) from error
