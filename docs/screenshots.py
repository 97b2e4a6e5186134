"""Take the pictures of the page in docs/pictures again.

python -m docs.screenshots --store STORE      serves the demo's bundle and looks at it.

Needs Debian's ``chromium``; each picture has at most 256 colours, which keeps it below 300 KB.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
import uvicorn
from PIL import Image

from serving.app import create_app
from serving.run import listen
from serving.settings import Settings
from tests.browser import CHROMIUM, NO_CHROMIUM, Browser, opened

PICTURES = Path(__file__).parent / "pictures"
MOST_BYTES = 300_000
STANDS = "document.querySelector('main h1') && !document.querySelector('[aria-busy]')"
DRAWN = """[...document.images]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().top < innerHeight)
  .every((one) => one.complete)"""
OPEN = "document.querySelectorAll('.parts')[1].open = true; 1"

SHOTS = {
    "dashboard.png": ("#/user/user-1476", (1280, 1080), False, ""),
    "dashboard-dark.png": ("#/user/user-1476?diversity=0.3&per=category", (1280, 1080), True, OPEN),
    "dashboard-phone.png": ("#/user/user-1476", (360, 780), False, ""),
    "dashboard-item.png": ("#/item/clock-067", (1280, 860), False, ""),
    "dashboard-health.png": ("#/health", (1280, 700), False, ""),
}
"""What is looked at: view, size of the screen, whether by night, and a script before it."""


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Yield the address of a service that answers from a store until the block ends."""
    with listen("127.0.0.1", 0) as ours:
        app = create_app(Settings(store=store, log_level="error"))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ours]})
        thread.start()
        while thread.is_alive() and not server.started:
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{ours.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def take(browser: Browser, address: str, name: str) -> int:
    """Return the bytes of a picture that was taken and written."""
    view, (width, height), dark, script = SHOTS[name]
    page = browser.page()
    page.look(width, height, dark=dark, scale=2.0 if width < 600 else 1.0)
    page.open(f"{address}/{view}")
    page.wait(STANDS)
    page.run(script or "1")
    page.wait(DRAWN)
    page.run("new Promise((done) => setTimeout(done, 500))")
    path = PICTURES / name
    page.screenshot(path)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    return path.stat().st_size


def main(store: Path = Path("artifacts")) -> None:
    """Take every picture."""
    if CHROMIUM is None:
        raise typer.BadParameter(NO_CHROMIUM)
    with (
        tempfile.TemporaryDirectory() as profile,
        served(store) as address,
        opened(Path(profile)) as browser,
    ):
        for name in SHOTS:
            size = take(browser, address, name)
            typer.echo(f"{name}: {size:,} bytes")
            if size > MOST_BYTES:
                raise typer.BadParameter(f"{name} is larger than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    typer.run(main)
