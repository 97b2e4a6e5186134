"""Several processes answer as one: shared pages, common metrics, none missed for long."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import worlds_bundle
from tests.service.test_serve import SERVE, fetch, wait_until_ready

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path, parts):
    """A function that starts the service on its own store, and what it started."""
    from pipeline.artifacts import Store

    store = Store(tmp_path / "store")
    worlds_bundle.publish(store, parts)
    started = []

    def begin(**settings: object) -> tuple[subprocess.Popen[str], str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        chosen = {"store": store.root, "port": port, "reload_seconds": 0.1, **settings}
        told = {f"PLOTPOINTE_{name.upper()}": str(value) for name, value in chosen.items()}
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE], env={**os.environ, **told}, stderr=log, cwd=ROOT
            )
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address)
        return process, address

    begin.store, begin.log = store, tmp_path / "log"
    yield begin
    for process in started:
        for child in psutil.Process(process.pid).children() if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def workers_of(process) -> list[psutil.Process]:
    """Return the processes that answer, without Python's own helpers."""
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.Error):
            found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def maps(worker: psutil.Process, folder: Path) -> bool:
    """Return whether a process has files of a folder mapped."""
    return str(folder) in Path(f"/proc/{worker.pid}/maps").read_text()


def wait_for(true, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(address: str, user: str = "u1") -> dict:
    body = json.dumps({"user": user, "k": 3}).encode()
    return fetch(f"{address}/v1/recommend", body)[1]


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.slow
def test_workers_count_together_follow_promotions_and_are_replaced(start):
    process, address = start(workers=2)
    wait_for(lambda: len(workers_of(process)) == 2)
    for n in range(40):
        assert len(ask(address, f"u{n}")["items"]) == 3

    def counted() -> int:
        lines = text_of(f"{address}/metrics").splitlines()
        return sum(
            int(float(line.rsplit(" ", 1)[1]))
            for line in lines
            if line.startswith("plotpointe_http_requests_total") and "/v1/recommend" in line
        )

    wait_for(lambda: counted() == 40)
    wait_for(lambda: all(maps(worker, start.store.root) for worker in workers_of(process)))

    worlds_bundle.publish(start.store, worlds_bundle.parts(seed=5), "c0ffee")
    wait_for(
        lambda: {ask(address, f"u{n}")["bundle"]["fingerprint"] for n in range(30)} == {"c0ffee"}
    )

    doomed = workers_of(process)[0]
    doomed.kill()
    wait_for(lambda: doomed.pid not in [w.pid for w in workers_of(process)])
    wait_for(lambda: len(workers_of(process)) == 2)

    def answered() -> bool:
        try:
            return len(ask(address)["items"]) == 3
        except OSError:
            return False

    assert sum(answered() for _ in range(30)) >= 29  # but for what the killed worker had accepted
    assert counted() >= 40  # what it counted stays counted
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, -signal.SIGTERM)
    events = [json.loads(line)["event"] for line in start.log.read_text().splitlines()]
    assert any("died" in event for event in events)


def test_an_announced_end_is_not_ready_first_and_answers_until_the_last(start):
    process, address = start(drain_seconds=1.0)
    process.send_signal(signal.SIGTERM)

    def draining() -> bool:
        try:
            fetch(f"{address}/health/ready")
        except urllib.error.HTTPError as error:
            return error.code == 503
        return False

    wait_for(draining, 5)
    assert len(ask(address)["items"]) == 3
    process.wait(20)
    with pytest.raises(OSError):
        ask(address)


def test_a_second_signal_ends_at_once(start):
    process, _ = start(drain_seconds=60.0)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    process.wait(20)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_loses_log_lines_and_no_request(start):
    code = SERVE.replace("import os", "import os, sys\nsys.stderr = open('/dev/full', 'w')", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {"PLOTPOINTE_STORE": str(start.store.root), "PLOTPOINTE_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **told}, cwd=ROOT)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address)
        assert len(ask(address)["items"]) == 3
        lost = next(
            line
            for line in text_of(f"{address}/metrics").splitlines()
            if line.startswith("plotpointe_log_lines_lost_total")
        )
        assert float(lost.split()[1]) > 0
    finally:
        process.terminate()
        process.wait(20)
