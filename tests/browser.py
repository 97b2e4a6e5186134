"""A headless Chromium, driven over its DevTools pipe: no driver and no package beside the browser.

Needs Debian's ``chromium`` (or any Chrome on the path). Tests that use it skip where there is none.
The protocol: https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
NO_CHROMIUM = "no chromium on the path to look at the pages with (Debian: apt-get install chromium)"
PATIENCE = 15.0
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--mute-audio",
    "--font-render-hinting=none", "--remote-debugging-pipe",
)  # fmt: skip
# The browser reads descriptor 3 and writes descriptor 4: ours are moved there.
_MOVE = """
import fcntl, os, sys
high = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]]
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_KEYS = {
    "Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
    "ArrowDown": 40, " ": 32,
}  # fmt: skip

Params = dict[str, Any]


class BrowserError(Exception):
    """The browser refused a command, or what was waited for did not come."""


class Page:
    """One tab, with everything it asked for, said and complained about since it was opened."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.answers: dict[str, Callable[[Params], tuple[int, Any] | None]] = {}
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Audits", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Params:
        """Return what the browser answers to a command."""
        return self._browser.send(method, self._session, **params)

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Return what a script comes to; promises are waited for."""
        done = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in done:
            raise BrowserError(done["exceptionDetails"]["exception"].get("description", script))
        return done["result"].get("value")

    def wait(self, script: str, patience: float = PATIENCE) -> Any:
        """Return what an expression comes to once that is true; true for an element."""
        script = f"((found) => found instanceof Node || found)({script})"
        deadline = time.monotonic() + patience
        while not (found := self._tried(script)):
            if time.monotonic() > deadline:
                text = self._tried("document.body.innerText")
                raise BrowserError(f"never true: {script}\n{self.complaints}\n{text}")
            time.sleep(0.03)
        return found

    def _tried(self, script: str) -> Any:
        try:
            return self.run(script)
        except BrowserError:
            return None

    def see(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.wait(f"document.body.innerText.includes({json.dumps(text)})")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key as a person would."""
        code = _KEYS.get(key)
        text = {"Enter": "\r", " ": " "}.get(key)
        event = {"key": key, "code": "Space" if key == " " else key, "modifiers": 8 if shift else 0}
        event |= {"windowsVirtualKeyCode": code} if code else {}
        self.send(
            "Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {})
        )
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.send("Input.insertText", text=text)

    def focused(self) -> str:
        """Return what a person is told about the element that has the focus."""
        return str(self.run(
            "(() => { const e = document.activeElement; return (e.getAttribute('aria-label')"
            " || e.labels?.[0]?.innerText || e.innerText || e.value || e.tagName).trim(); })()"
        ))  # fmt: skip

    def fetched(self, url: str, body: Any = None) -> Any:
        """Return the JSON of an address, asked from outside the browser."""
        sent = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(url, sent, timeout=PATIENCE) as answer:
            return json.load(answer)

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into a file input."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def look(self, width: int, height: int, *, dark: bool = False, scale: float = 1.0) -> None:
        """Take the size of a screen, and its colours."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.send("Emulation.setEmulatedMedia", features=features)

    def answer(self, path: str, make: Callable[[Params], tuple[int, Any] | None]) -> None:
        """Answer requests to ``path`` in the service's place; None lets one pass."""
        self.answers[path] = make
        self.send("Fetch.enable", patterns=[{"urlPattern": f"*{part}*"} for part in self.answers])

    def screenshot(self, path: Path) -> None:
        taken = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))

    def heard(self, method: str, params: Params) -> None:
        """Note an event."""
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Fetch.requestPaused":
            self._answer(params)
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Audits.issueAdded" and "ContentSecurity" in params["issue"]["code"]:
            self.complaints.append(str(params["issue"]))

    def _answer(self, paused: Params) -> None:
        request = paused["request"]
        make = next((m for part, m in self.answers.items() if part in request["url"]), None)
        made = make(request) if make else None
        if made is None:
            self._browser.post(
                "Fetch.continueRequest", self._session, requestId=paused["requestId"]
            )
            return
        status, body = made
        self._browser.post(
            "Fetch.fulfillRequest", self._session, requestId=paused["requestId"],
            responseCode=status, body=base64.b64encode(json.dumps(body).encode()).decode(),
            responseHeaders=[{"name": "content-type", "value": "application/json"}],
        )  # fmt: skip


class Browser:
    """The process, and the pipe to it: JSON messages that end with a zero byte."""

    def __init__(self, process: "subprocess.Popen[bytes]", to: int, back: int) -> None:
        self._process, self._to, self._back = process, to, back
        self._read, self._last = b"", 0
        self._pages: dict[str, Page] = {}

    def page(self) -> Page:
        """Return a new tab, with a profile of its own."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session = attached["sessionId"]
        page = Page(self, session)
        self._pages[session] = page
        return page

    def post(self, method: str, session: str | None, **params: Any) -> int:
        """Send a command and return its number, without waiting for the answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        message |= {"sessionId": session} if session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._last

    def send(self, method: str, session: str | None = None, **params: Any) -> Params:
        """Return what is answered to a command; events that come before it are noted."""
        number = self.post(method, session, **params)
        while True:
            message = self._next()
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']}")
                return dict(message["result"])
            page = self._pages.get(message.get("sessionId", ""))
            if page and "method" in message:
                page.heard(message["method"], message["params"])

    def _next(self) -> Params:
        said = select.poll()  # select() itself knows no descriptor above 1,023
        said.register(self._back, select.POLLIN)
        while b"\0" not in self._read:
            if not said.poll(PATIENCE * 1000):
                raise BrowserError("the browser says nothing")
            more = os.read(self._back, 1 << 20)
            if not more:
                raise BrowserError(f"the browser ended with {self._process.poll()}")
            self._read += more
        first, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(first))


@contextmanager
def opened(profile: Path) -> Iterator[Browser]:
    """Yield a browser that ends with the block."""
    assert CHROMIUM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [
        sys.executable, "-c", _MOVE, str(theirs_in), str(theirs_out), CHROMIUM, *_FLAGS,
        f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "TZ": "UTC", "LANG": "C.UTF-8"},
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(process, ours_out, ours_in)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_out)
        os.close(ours_in)


def forgive(page: Page, status: int) -> None:
    """Leave out what the browser itself says about an answer that a test asked for."""
    page.run("1")
    page.complaints[:] = [said for said in page.complaints if f"status of {status}" not in said]


def shown(page: Page) -> list[str]:
    """Return the items of a list, as links to them."""
    links = "[...document.querySelectorAll('.results .card a')].map((a) => a.hash)"
    return list(page.run(links))


def painted(folder: Path, items: int) -> Path:
    """Return a folder with a picture of every item of a world."""
    for item in range(items):
        Image.new("RGB", (30, 40), (4 * item % 256, 120, 160)).save(folder / f"{item}.jpg")
    return folder
