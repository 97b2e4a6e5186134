"""The two pages a person opens, dashboard and reference; neither fetches anything from afar.

The dashboard is a page, a style sheet and a few modules, sent as they lie in this package: nothing
is built. A page with parts of its own is allowed those by their hashes; one without is allowed the
service's modules. No page may turn text into markup or code (trusted types).
"""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_FOLDER = files("serving").joinpath("dashboard")
_OURS = "'self'"
_MEDIA_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}

PATHS = (
    "/",
    "/docs",
    *sorted(f"/dashboard/{file.name}" for file in _FOLDER.joinpath("static").iterdir()),
)
"""Everything the pages are made of; none of it tells anything about anybody."""


def page(name: str) -> HTMLResponse:
    """Return a page of this package, allowed to run what belongs to it and no other."""
    text, policy = _page(name)
    return HTMLResponse(text, headers={"content-security-policy": policy})


@cache
def _page(name: str) -> tuple[str, str]:
    text = _FOLDER.joinpath(name).read_text(encoding="utf-8")
    return text, content_policy(text)


def content_policy(text: str) -> str:
    """Return the Content-Security-Policy that lets a page's own scripts and styles run."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for tag, inline in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        hashes[tag].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            *(f"{tag}-src {' '.join(found or [_OURS])}" for tag, found in hashes.items()),
            "connect-src 'self'",
            "img-src 'self' data: blob: http: https:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


@cache
def _part(name: str) -> tuple[bytes, str]:
    body = _FOLDER.joinpath("static", name).read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


reference = APIRouter(include_in_schema=False)
dashboard = APIRouter(include_in_schema=False)


@dashboard.get("/")
def show_dashboard() -> HTMLResponse:
    """Return the dashboard."""
    return page("index.html")


@dashboard.get("/dashboard/{name}")
def show_part(request: Request, name: str) -> Response:
    """Return a module or the style sheet of the dashboard; what a browser has is not sent again."""
    if f"/dashboard/{name}" not in PATHS:
        raise HTTPException(404, f"the dashboard has no part {name!r}")
    body, tag = _part(name)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    media_type = _MEDIA_TYPES[name.rsplit(".", 1)[-1]]
    return Response(body, media_type=media_type, headers=headers)


@reference.get("/docs")
def show_reference() -> HTMLResponse:
    """Return the reference of the interface, drawn from ``/openapi.json``."""
    return page("docs.html")
