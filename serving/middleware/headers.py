"""Headers as ASGI has them, without building anything: every request passes here."""

from starlette.types import Scope

RawHeaders = list[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> bytes:
    """Return the value of a request's header, empty where it has none; ``name`` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""
