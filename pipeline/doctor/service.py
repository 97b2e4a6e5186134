"""Whether a service answers where one is configured, and the data that tests and demos use."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.finding import FAIL, OK, SKIP, WARN, Finding

_SECONDS = 2.0
_ANY = ("0.0.0.0", "::", "")


def configured_url() -> str:
    """Return the address of the service by its environment."""
    host = os.environ.get("PLOTPOINTE_HOST", "127.0.0.1")
    host = "127.0.0.1" if host in _ANY else host
    return f"http://{host}:{os.environ.get('PLOTPOINTE_PORT', '8000')}"


def reachable(url: str) -> Iterator[Finding]:
    """Yield what ``/health/ready`` says; a service that does not run is no error."""
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/health/ready", timeout=_SECONDS)
    except httpx.ConnectError:
        yield Finding("service", SKIP, f"none runs at {url}", "plotpointe serve")
        return
    except httpx.HTTPError as error:
        told = f"{url} does not answer: {type(error).__name__}"
        yield Finding("service", WARN, told, "look at its log, or start it: plotpointe serve")
        return
    if answer.status_code == httpx.codes.OK:
        yield Finding("service", OK, f"{url} is ready")
    elif answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        told = f"{url} is not ready: {answer.text[:200]}"
        yield Finding("service", FAIL, told, "plotpointe rollback bundle, or restart it")
    else:
        told = f"{url} answers {answer.status_code} to /health/ready; it is another program's"
        yield Finding("service", WARN, told, "export PLOTPOINTE_PORT to the service's own port")


def shared_data(here: Path) -> Iterator[Finding]:
    """Yield whether the data sets that measurements of quality use are there."""
    named = os.environ.get("PLOTPOINTE_SHARED")
    place = Path(named) if named else here.parent / "shared"
    if (place / "data").is_dir():
        yield Finding("data", OK, f"{sum(1 for _ in (place / 'data').iterdir())} shared data sets")
    else:
        told = "no shared data sets: tests that need them are skipped, the demo draws its own"
        yield Finding("data", SKIP, told, "export PLOTPOINTE_SHARED=FOLDER")
