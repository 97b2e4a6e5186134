"""Serving for real: the bundle is open and the port is ours before the first request."""

import socket

import uvicorn

from pipeline.errors import ConfigError
from serving.app import create_app, open_bundle
from serving.settings import Settings
from serving.telemetry import server_log_config

_WAITING_CONNECTIONS = 2048


def serve(settings: Settings) -> None:
    """Answer requests until interrupted.

    Raises:
        ArtifactError: there is no bundle to serve, or it does not fit together.
        ConfigError: the address cannot be listened on.
    """
    # Handed over, not kept: it has to go when another bundle takes its place.
    opened = [open_bundle(settings)]
    app = create_app(settings, open_bundle=lambda _: opened.pop())
    config = uvicorn.Config(
        app,
        log_config=server_log_config(settings.log_level),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    with listen(settings.host, settings.port) as ours:
        uvicorn.Server(config).run(sockets=[ours])


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
