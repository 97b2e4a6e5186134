"""The two pages a person opens, dashboard and reference; neither fetches anything from afar."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page(name: str) -> HTMLResponse:
    """Return a page of this package, allowed to run the script it holds and no other."""
    text, policy = _page(name)
    return HTMLResponse(text, headers={"content-security-policy": policy})


@cache
def _page(name: str) -> tuple[str, str]:
    text = files("serving").joinpath("dashboard", name).read_text(encoding="utf-8")
    return text, content_policy(text)


def content_policy(text: str) -> str:
    """Return the Content-Security-Policy that lets a page's own inline script and style run."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for tag, inline in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        hashes[tag].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            *(f"{tag}-src {' '.join(found)}" for tag, found in hashes.items()),
            "connect-src 'self'",
            "img-src 'self' data: http: https:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


reference = APIRouter(include_in_schema=False)
dashboard = APIRouter(include_in_schema=False)


@dashboard.get("/")
def show_dashboard() -> HTMLResponse:
    """Return the dashboard."""
    return page("index.html")


@reference.get("/docs")
def show_reference() -> HTMLResponse:
    """Return the reference of the interface, drawn from ``/openapi.json``."""
    return page("docs.html")
