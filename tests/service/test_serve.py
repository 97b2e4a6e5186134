"""The service as a process: it answers, it ends, and it refuses to start with a sentence."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pipeline.errors import ArtifactError, ConfigError
from serving.run import listen, serve
from serving.settings import Settings

HEAVY = ["torch", "pandas", "transformers", "open_clip", "torch_geometric", "sklearn", "duckdb"]

ANSWER_EVERYTHING = """
import sys
from starlette.testclient import TestClient
from serving.app import create_app
from serving.settings import Settings
with TestClient(create_app(Settings(store=sys.argv[1], log_level="error"))) as client:
    asked = [
        client.post("/v1/recommend", json={"user": "u1", "history": ["i2"], "k": 20}),
        client.get("/v1/users?query=u1"), client.get("/v1/users/u1"), client.get("/metrics"),
        client.get("/v1/items?query=kind"), client.get("/v1/items/i1"), client.get("/"),
        client.get("/v1/items/i1/similar?by=text"), client.get("/openapi.json"),
    ]
assert [answer.status_code for answer in asked] == [200] * len(asked)
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""

SERVE = """
import os
from serving.run import serve
from serving.settings import load_settings
serve(load_settings(None, os.environ))
"""


def test_answering_everything_loads_nothing_heavy(store):
    command = [sys.executable, "-c", ANSWER_EVERYTHING, str(store.root), *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_a_taken_port_is_named_with_a_cure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}: Address already in use.*--port"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_an_error():
    with pytest.raises(ConfigError, match="cannot listen on no such host"):
        listen("no such host", 80)


def test_without_a_bundle_the_port_stays_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.run.listen", lambda *_: pytest.fail("the port was opened"))
    with pytest.raises(ArtifactError, match="no bundle is promoted"):
        serve(Settings(store=tmp_path))


@pytest.fixture
def running(store):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chosen = {"PLOTPOINTE_STORE": str(store.root), "PLOTPOINTE_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env={**os.environ, **chosen},
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    yield process, f"http://127.0.0.1:{port}"
    if process.poll() is None:
        process.kill()
    process.communicate()


def fetch(url: str, data: bytes | None = None):
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        return answer.headers, json.loads(answer.read())


def wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            fetch(f"{address}/health/ready")
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_real_server_answers_and_ends_cleanly(running):
    process, address = running
    wait_until_ready(address)
    # urllib, like curl -d, labels the body as a form.
    headers, answer = fetch(f"{address}/v1/recommend", b'{"user":"u1","k":10}')
    assert len(answer["items"]) == 10 and answer["strategy"] == "model"
    assert headers["cache-control"] == "private, no-store" and headers["server"] is None
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=20)
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert "serving" in events and "request" in events
