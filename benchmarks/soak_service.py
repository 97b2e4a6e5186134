"""A service of several workers under a soak: started, looked at, killed in part, started again."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.artifacts import CURRENT, HISTORY

HOST = "127.0.0.1"
WORKERS = 2
_WRITTEN = (CURRENT, HISTORY)


def copied(store: Path, folder: Path) -> Path:
    """Return a copy of a store's bundles that shares their files and not what is written to."""

    def linked(source: str, target: str) -> str:
        """Link a file, or copy it where it will be written to."""
        if Path(source).name in _WRITTEN:
            return str(shutil.copy2(source, target))
        os.link(source, target)
        return target

    shutil.copytree(store / "bundle", folder / "bundle", copy_function=linked)
    return folder


@dataclass
class Service:
    """The service's processes."""

    store: Path
    log: Path
    port: int = 0
    doomed: dict[int, float] = field(default_factory=dict)
    """Ports of the connections that killed workers held, and when they were killed."""
    killed: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Start it, and wait until every worker answers."""
        with socket.create_server((HOST, 0)) as probe:
            self.port = int(probe.getsockname()[1])
        told = {"PLOTPOINTE_PORT": str(self.port), "PLOTPOINTE_WORKERS": str(WORKERS)}
        command = [sys.executable, "-m", "pipeline.cli", "serve", "--store", str(self.store)]
        with self.log.open("a") as log:
            environment = {**os.environ, **told}
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        self.wait()

    def wait(self, seconds: float = 120.0) -> None:
        """Wait until as many workers answer as there should be."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException), self.connected() as there:
                if len(there) == WORKERS:
                    return
            if self.process.poll() is not None:
                raise SystemExit(f"the service ended; see {self.log}")
            time.sleep(0.1)
        raise SystemExit(f"{WORKERS} workers are not up after {seconds:.0f} s; see {self.log}")

    def stop(self) -> None:
        """End it as an operator does."""
        self.process.terminate()
        self.process.wait(60)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer, oldest first."""
        found = []
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                with suppress(psutil.Error):
                    found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
        return sorted(found, key=lambda worker: (worker.create_time(), worker.pid))

    @contextmanager
    def connected(self) -> Iterator[dict[int, http.client.HTTPConnection]]:
        """Yield a connection to each worker that takes one, by its process."""
        with ExitStack() as stack:
            tried = []
            for _ in range(16):
                connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
                tried.append(stack.enter_context(closing(connection)))
                connection.request("GET", "/health/live")
                connection.getresponse().read()
            found = {}
            for worker in self.workers():
                ports = ports_of(worker)
                mine = (each for each in tried if each.sock.getsockname()[1] in ports)
                if (one := next(mine, None)) is not None:
                    found[worker.pid] = one
            yield found

    def kill_youngest(self) -> bool:
        """Kill a worker at once, and note which connections it held; not the oldest worker.

        It is stopped first, so that none is added between the look and the end.
        """
        workers = self.workers()
        if len(workers) < WORKERS:
            return False
        worker = workers[-1]
        worker.suspend()
        while worker.status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)
        self.doomed |= dict.fromkeys(ports_of(worker), time.perf_counter())
        self.killed.add(worker.pid)
        worker.kill()
        return True

    def was_killed(self, port: int, at: float) -> bool:
        """Return whether a connection that ended then was one of a worker that was killed."""
        return port in self.doomed and abs(at - self.doomed[port]) < 10.0

    def logged(self) -> Counter[str]:
        """Return what was logged as an error, and workers that died, by name."""
        found: Counter[str] = Counter()
        for line in self.log.read_text().splitlines():
            with suppress(ValueError):
                told = json.loads(line)
                if told.get("level") in ("error", "critical") or "died" in told["event"]:
                    found[str(told["event"])] += 1
        return found


def ports_of(worker: psutil.Process) -> set[int]:
    """Return the far ports of a process's connections."""
    with suppress(psutil.Error):
        return {c.raddr.port for c in worker.net_connections("tcp") if c.raddr}
    return set()


class Until(threading.Thread):
    """A thread that works until it is to end."""

    def __init__(self) -> None:
        """Start later."""
        super().__init__(daemon=True)
        self.end = threading.Event()

    def finish(self) -> None:
        """Let it end, and wait for that."""
        self.end.set()
        self.join()


class Memory(Until):
    """Samples what each worker holds for itself alone."""

    def __init__(self, service: Service, every: float = 1.0) -> None:
        """Sample every so many seconds, once started."""
        super().__init__()
        self.service, self.every = service, every
        self.samples: list[tuple[float, dict[int, int]]] = []

    def run(self) -> None:
        """Sample until the end."""
        while not self.end.wait(self.every):
            held = {}
            for worker in self.service.workers():
                with suppress(psutil.Error):
                    held[worker.pid] = int(worker.memory_full_info().uss)
            self.samples.append((time.perf_counter(), held))

    def record(self) -> dict[str, Any]:
        """Return the memory of all workers, and the growth of the one that lived throughout."""
        first, last = self.samples[0][1], self.samples[-1][1]
        oldest = next((pid for pid in first if pid in last), None)
        youngest = next((pid for pid in reversed(last) if pid != oldest), None)
        whole = [sum(held.values()) / 1e6 for _, held in self.samples if len(held) == WORKERS]
        lived = [(at, held[oldest] / 1e6) for at, held in self.samples if oldest in held]
        return {
            "workers_mb": spread(whole),
            "oldest_mb": spread([held for _, held in lived]),
            "oldest_second_half": growth(lived),
            # Holds the same items and events, and has not lived long.
            "youngest_mb": spread([h[youngest] / 1e6 for _, h in self.samples if youngest in h]),
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the first, the middle, the last and the most of some values."""
    many = np.array(values or [0.0])
    told = {"first": many[0], "median": np.median(many), "last": many[-1], "most": many.max()}
    return {name: round(float(value), 1) for name, value in told.items()}


def growth(samples: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the growth over the second half of some samples, along the line that fits them."""
    half = np.array(samples[len(samples) // 2 :])
    if len(half) < 2:
        return {"mb": 0.0, "share": 0.0, "mb_an_hour": 0.0}
    slope = float(np.polyfit(half[:, 0] - half[0, 0], half[:, 1], 1)[0])
    grown = slope * float(half[-1, 0] - half[0, 0])
    told = {"mb": grown, "share": grown / float(half[:, 1].mean()), "mb_an_hour": slope * 3600}
    return {name: round(value, 4) for name, value in told.items()}
