"""Rates counted in a real Redis: all workers together, and nobody locked out when it goes."""

import re
import shutil
import socket
import subprocess
import time

import pytest
from starlette.testclient import TestClient

from serving.app import create_app

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server (Debian package redis)")


@pytest.fixture
def redis(tmp_path):
    """A server of our own on a free port; a process to end, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    command = [SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    with subprocess.Popen(command, stdout=quiet) as server:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield server, f"redis://127.0.0.1:{port}"
        server.kill()


@pytest.fixture
def workers(settings, redis):
    """Two services that count in one place."""
    chosen = settings.model_copy(update={"rate": "3/minute", "rate_storage": redis[1]})
    with TestClient(create_app(chosen)) as one, TestClient(create_app(chosen)) as other:
        yield one, other


def test_workers_count_together(workers):
    one, other = workers
    answers = [worker.get("/v1/items/i1") for worker in (one, other, one, other)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_requests_pass_when_it_is_gone(workers, redis):
    one, other = workers
    assert [one.get("/v1/items/i1").status_code for _ in range(4)][-1] == 429
    redis[0].kill()
    redis[0].wait()
    assert [worker.get("/v1/items/i1").status_code for worker in (one, other) * 6] == [200] * 12
    told = one.get("/metrics").text
    assert re.search(r"^plotpointe_breaker_open\{.*rate storage.*\} 1", told, re.MULTILINE), told
