"""Pictures by URL: bounded, retried, cached on disk, and never from a private network.

The address is resolved, checked and connected to in one place, below redirects, so neither a
redirect nor a name that changes its address between check and use leads inside. Proxies of the
environment are not used: they would resolve names themselves.
"""

import hashlib
import ipaddress
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import numpy as np

from pipeline.config import DownloadConfig
from pipeline.embed.pictures import PictureError

FAILED = "download_failed"
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
MAX_REDIRECTS = 5
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that another attempt may change."""
_OPAQUE_TYPES = {"", "application/octet-stream", "binary/octet-stream"}
_HEADERS = {"User-Agent": "plotpointe", "Accept": "image/*", "Accept-Encoding": "identity"}

Resolve = Callable[[str, int], list[str]]


class Refused(PictureError):
    """A download that another attempt would not change."""


class _Passing(Exception):
    """A failure that another attempt may change."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def is_url(image: str) -> bool:
    """Return whether an item's image is to be downloaded."""
    return "://" in image


def is_public(address: str) -> bool:
    """Return whether an IP address, or the IPv4 address inside an IPv6 one, is on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class PublicOnly(httpx.HTTPTransport):
    """Connects to an address it has itself looked up and checked."""

    def __init__(self, connections: int, *, allow_private: bool, resolve: Resolve) -> None:
        """Keep at most ``connections`` open."""
        limits = httpx.Limits(max_connections=connections)
        super().__init__(limits=limits, trust_env=False)
        self._allow_private, self._resolve = allow_private, resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to a checked address, under the host's own name."""
        url = request.url
        if url.scheme not in ("http", "https"):
            raise Refused(f"{FAILED}:scheme")
        address = self._checked(url.host, url.port or (443 if url.scheme == "https" else 80))
        pinned = httpx.Request(
            request.method,
            url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.host},
        )
        return super().handle_request(pinned)

    def _checked(self, host: str, port: int) -> str:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host}: {error}") from error
        if not addresses:
            raise httpx.ConnectError(f"{host} has no address")
        if not self._allow_private and not all(is_public(a) for a in addresses):
            raise Refused(f"{FAILED}:private_address")
        return addresses[0]


class Downloader:
    """Fetches URLs into a cache folder; safe to use from several threads."""

    def __init__(
        self,
        cache: Path,
        config: DownloadConfig,
        *,
        seed: int = 0,
        sleep: Callable[[float], object] = time.sleep,
        resolve: Resolve = resolve,
    ) -> None:
        """Keep what is fetched in ``cache``, which outlives this object."""
        self._cache, self._config = cache, config
        self._seed, self._sleep = seed, sleep
        self._client = httpx.Client(
            transport=PublicOnly(
                config.concurrency, allow_private=config.allow_private, resolve=resolve
            ),
            timeout=config.timeout_seconds,
            headers=_HEADERS,
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def fetch(self, url: str) -> Path:
        """Return the file of a URL, from the cache where it is there.

        Raises:
            PictureError: ``download_failed:…`` after the last attempt, or at once where no
                further attempt would help.
        """
        name = hashlib.sha256(url.encode()).hexdigest()
        path = self._cache / name[:2] / name
        if path.exists():
            return path
        rng = np.random.default_rng([self._seed, zlib.crc32(url.encode())])
        for attempt in range(self._config.attempts):
            try:
                return _store(self._attempt(url), path)
            except _Passing as failure:
                reason = str(failure)
                if attempt + 1 < self._config.attempts:
                    backoff = FIRST_WAIT_SECONDS * 2**attempt * rng.uniform(0.5, 1.5)
                    wait = max(backoff, failure.wait_seconds)
                    self._sleep(min(LONGEST_WAIT_SECONDS, wait))
        raise PictureError(reason)

    def _attempt(self, url: str) -> bytes:
        deadline = time.monotonic() + self._config.timeout_seconds
        try:
            with self._client.stream("GET", url) as response:
                _check_answer(response, self._config.max_bytes)
                return b"".join(self._chunks(response, deadline))
        except httpx.TimeoutException as error:
            raise _Passing(f"{FAILED}:timeout") from error
        except httpx.TooManyRedirects as error:
            raise Refused(f"{FAILED}:redirects") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            raise Refused(f"{FAILED}:bad_url") from error
        except httpx.HTTPError as error:
            raise _Passing(f"{FAILED}:connection") from error

    def _chunks(self, response: httpx.Response, deadline: float) -> Iterator[bytes]:
        """Yield the body; the client's own timeout is per read, and a slow drip never ends it."""
        seen = 0
        for chunk in response.iter_bytes():
            seen += len(chunk)
            if seen > self._config.max_bytes:
                raise Refused(f"{FAILED}:too_large")
            if time.monotonic() > deadline:
                raise _Passing(f"{FAILED}:timeout")
            yield chunk
        if not seen:
            raise Refused(f"{FAILED}:empty")


def _check_answer(response: httpx.Response, max_bytes: int) -> None:
    status, headers = response.status_code, response.headers
    if status in _PASSING:
        raise _Passing(f"{FAILED}:status_{status}", _retry_after(headers.get("Retry-After", "")))
    if status != httpx.codes.OK:
        raise Refused(f"{FAILED}:status_{status}")
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not content_type.startswith("image/") and content_type not in _OPAQUE_TYPES:
        raise Refused(f"{FAILED}:not_a_picture")
    length = headers.get("Content-Length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise Refused(f"{FAILED}:too_large")


def _retry_after(value: str) -> float:
    """Return the seconds a server asks to wait: a number or a date; 0 where it does not say."""
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _store(content: bytes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_bytes(content)
    draft.replace(path)
    return path
