"""Downloads: bounded, retried, cached, and never from a private network."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.config import DownloadConfig
from pipeline.embed.download import (
    LONGEST_WAIT_SECONDS,
    Downloader,
    is_public,
    is_url,
)
from pipeline.embed.pictures import PictureError

PICTURE = b"\x89PNG picture"


class Site:
    """A local server: ``answers`` maps a path to (status, headers, body) in turn, last stays."""

    def __init__(self):
        self.answers, self.seen, self.at_once, self.most_at_once = {}, [], 0, 0
        self._lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.answer(self)

            def log_message(self, *_):
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path="/a.jpg", host="127.0.0.1"):
        return f"http://{host}:{self.server.server_port}{path}"

    def answer(self, handler):
        with self._lock:
            self.seen.append((handler.path, handler.headers["Host"]))
            answers = self.answers.get(
                handler.path, [(200, {"Content-Type": "image/png"}, PICTURE)]
            )
            status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.send(handler, status, headers, body)
        except OSError:
            pass  # the client left
        finally:
            with self._lock:
                self.at_once -= 1

    def send(self, handler, status, headers, body):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if isinstance(body, bytes):
            handler.send_header("Content-Length", str(len(body)))
            body = [body]
        handler.end_headers()
        for chunk in body:
            if isinstance(chunk, float):
                time.sleep(chunk)
            else:
                handler.wfile.write(chunk)


@pytest.fixture
def site():
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def downloader(tmp_path, waits):
    opened = []

    def make(resolve=None, **settings):
        config = DownloadConfig(**{"allow_private": True, "timeout_seconds": 2.0, **settings})
        more = {"resolve": resolve} if resolve else {}
        opened.append(Downloader(tmp_path / "cache", config, sleep=waits.append, **more))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


IMAGE = {"Content-Type": "image/jpeg"}


def refusal(downloader, url):
    with pytest.raises(PictureError) as caught:
        downloader.fetch(url)
    return str(caught.value)


def test_a_picture_is_fetched_once_and_then_cached(site, downloader):
    first = downloader().fetch(site.url())
    assert first.read_bytes() == PICTURE
    again = downloader().fetch(site.url())
    assert again == first
    assert len(site.seen) == 1


def test_the_cache_holds_no_drafts(site, downloader, tmp_path):
    downloader().fetch(site.url())
    names = [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert len(names) == 1
    assert not names[0].startswith(".")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_passing_failure_is_tried_again_after_longer_and_longer_waits(
    site, downloader, waits, status
):
    site.answers["/a.jpg"] = [(status, {}, b""), (status, {}, b""), (200, IMAGE, PICTURE)]
    assert downloader(attempts=3).fetch(site.url()).read_bytes() == PICTURE
    assert len(site.seen) == 3
    assert 0.25 <= waits[0] <= 0.75
    assert 0.5 <= waits[1] <= 1.5


def test_the_jitter_is_seeded_by_url(site, downloader, waits):
    site.answers["/a.jpg"] = [(500, {}, b"")]
    for _ in range(2):
        refusal(downloader(attempts=3), site.url())
    assert waits[:2] == waits[2:]


def test_the_last_failure_is_the_reason(site, downloader, waits):
    site.answers["/a.jpg"] = [(503, {}, b"")]
    assert refusal(downloader(attempts=2), site.url()) == "download_failed:status_503"
    assert len(site.seen) == 2
    assert len(waits) == 1


def test_retry_after_is_honoured_in_seconds_and_as_a_date(site, downloader, waits):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    for value in ("7", later, "100000", "soon"):
        site.answers["/a.jpg"] = [(429, {"Retry-After": value}, b"")]
        refusal(downloader(attempts=2), site.url())
    assert waits[0] == 7
    assert 15 < waits[1] <= 20
    assert waits[2] == LONGEST_WAIT_SECONDS
    assert waits[3] < 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}, b""), "status_404"),
        ((410, {}, b""), "status_410"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>"), "not_a_picture"),
        ((200, IMAGE, b""), "empty"),
        ((200, IMAGE, b"x" * 2000), "too_large"),
        ((200, IMAGE, [b"x" * 600, b"x" * 600]), "too_large"),
    ],
)
def test_a_lasting_failure_is_not_tried_again(site, downloader, waits, answer, reason):
    site.answers["/a.jpg"] = [answer]
    assert refusal(downloader(max_bytes=1000), site.url()) == f"download_failed:{reason}"
    assert len(site.seen) == 1
    assert waits == []


def test_a_type_that_says_nothing_is_let_through(site, downloader):
    site.answers["/a.jpg"] = [(200, {"Content-Type": "application/octet-stream"}, PICTURE)]
    assert downloader().fetch(site.url()).read_bytes() == PICTURE


@pytest.mark.parametrize("body", [[1.0, PICTURE], [b"x", 0.15, b"x", 0.15, b"x", 0.15, b"x"]])
def test_a_silent_and_a_dripping_server_time_out(site, downloader, body):
    site.answers["/a.jpg"] = [(200, IMAGE, body)]
    slow = downloader(timeout_seconds=0.3, attempts=1)
    assert refusal(slow, site.url()) == "download_failed:timeout"


def test_a_closed_port_is_a_passing_failure(downloader, site, waits):
    url = site.url()
    site.server.shutdown()
    site.server.server_close()
    assert refusal(downloader(attempts=2), url) == "download_failed:connection"
    assert len(waits) == 1


def test_a_redirect_is_followed_relative_to_the_name_asked_for(site, downloader):
    site.answers["/a.jpg"] = [(302, {"Location": "/b.jpg"}, b"")]
    path = downloader(lambda *_: ["127.0.0.1"]).fetch(site.url(host="shop.example"))
    assert path.read_bytes() == PICTURE
    port = site.server.server_port
    assert site.seen == [("/a.jpg", f"shop.example:{port}"), ("/b.jpg", f"shop.example:{port}")]


def test_a_circle_of_redirects_ends(site, downloader):
    site.answers["/a.jpg"] = [(302, {"Location": "/a.jpg"}, b"")]
    assert refusal(downloader(), site.url()) == "download_failed:redirects"


PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], [PUBLIC, "192.168.0.1"], ["::1"], ["169.254.169.254"]],
)
def test_a_private_address_is_refused_before_anything_is_sent(site, downloader, addresses, waits):
    closed = downloader(lambda *_: addresses, allow_private=False)
    assert refusal(closed, site.url(host="shop.example")) == "download_failed:private_address"
    assert site.seen == []
    assert waits == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_every_spelling_of_this_machine_is_refused(site, downloader, host):
    closed = downloader(allow_private=False, attempts=1)
    assert refusal(closed, site.url(host=host)) in (
        "download_failed:private_address", "download_failed:connection")  # fmt: skip
    assert site.seen == []


def test_a_redirect_to_a_private_address_is_refused(site, downloader, monkeypatch):
    """The first host is let through as if public; where it sends us is checked like any other."""
    site.answers["/a.jpg"] = [(302, {"Location": site.url("/inside", "inside.example")}, b"")]
    monkeypatch.setattr("pipeline.embed.download.is_public", lambda a: a == "127.0.0.1")
    names = {"shop.example": ["127.0.0.1"], "inside.example": ["10.0.0.1"]}
    closed = downloader(lambda host, _: names[host], allow_private=False)
    assert refusal(closed, site.url(host="shop.example")) == "download_failed:private_address"
    assert [path for path, _ in site.seen] == ["/a.jpg"]


def test_the_checked_address_is_the_one_connected_to(site, downloader, monkeypatch):
    """A name that answers with another address the second time gains nothing."""
    monkeypatch.setattr("pipeline.embed.download.is_public", lambda a: a == "127.0.0.1")
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    closed = downloader(lambda *_: answers.pop(0), allow_private=False)
    assert closed.fetch(site.url(host="rebind.example")).read_bytes() == PICTURE
    assert len(answers) == 1


@pytest.mark.parametrize("url", ["ftp://x/a.jpg", "file:///etc/passwd", "http://", "http://[x/a"])
def test_other_schemes_and_broken_urls_are_refused(downloader, url):
    assert refusal(downloader(attempts=1), url).startswith("download_failed:")


def test_an_unknown_host_is_a_connection_failure(downloader):
    def unknown(*_):
        raise OSError("Name or service not known")

    assert refusal(downloader(unknown, attempts=1), "http://x/") == "download_failed:connection"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::1", False), ("::", False), ("fe80::1%eth0", False), ("fc00::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True), ("2002:7f00:1::", False), ("ff02::1", False),
    ],
)  # fmt: skip
def test_public_addresses(address, public):
    assert is_public(address) is public


def test_what_counts_as_a_url():
    assert is_url("https://x/a.jpg")
    assert is_url("ftp://x/a.jpg")
    assert not is_url("posters/1.jpg")
