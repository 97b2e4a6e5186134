"""The service under load: what each kind of request takes, beside an empty handler in the same run.

python -m benchmarks.service --store STORE [--seconds 5 --workers 1 --only known]

Server and load generator share the machine. The empty handler is FastAPI on the same server with
nothing to do: no framework that answers JSON over HTTP goes faster than that here.
"""

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import Target, drive
from pipeline.artifacts import Store
from pipeline.measure.processor import machine_name
from serving.bundle import Bundle

WARM_UP = 1.0
BATCH = 1_000


@dataclass(frozen=True)
class World:
    """What requests are drawn from."""

    users: list[str]
    items: list[str]
    prices: np.ndarray

    @classmethod
    def of(cls, store: Path) -> "World":
        """Return the users, items and prices of the promoted bundle, in drawn order."""
        bundle = Bundle.open(Store(store))
        rng = np.random.default_rng(0)
        users = [str(key) for key in bundle.users.keys[rng.permutation(len(bundle.users))]]
        taken = np.flatnonzero(bundle.takers)
        items = [str(key) for key in bundle.catalogue.ids.keys[rng.permutation(taken)]]
        prices = np.array(bundle.catalogue.table["price"].to_numpy(), dtype=np.float64)
        return cls(users, items, np.sort(prices[np.isfinite(prices)]))


@dataclass(frozen=True)
class Case:
    """One kind of request: its bodies, and over how many connections they are asked."""

    bodies: Callable[[World], Iterator[bytes]]
    connections: int = 1
    path: str = "/v1/recommend"
    lists: int = 1
    """Lists in an answer."""


def known(world: World, **more: object) -> Iterator[bytes]:
    """Yield a request for each known user, over and over."""
    return (_body({"user": user, **more}) for user in itertools.cycle(world.users))


def batches(world: World, **more: object) -> Iterator[bytes]:
    """Yield batches of known users."""
    users = itertools.cycle(world.users)
    while True:
        asked = [{"user": user, **more} for user in itertools.islice(users, BATCH)]
        yield _body({"requests": asked})


def histories(world: World, count: int = 20) -> Iterator[bytes]:
    """Yield requests with a history of so many items and no user."""
    items = itertools.cycle(world.items)
    while True:
        yield _body({"history": [*itertools.islice(items, count)]})


def filtered(world: World, share: float = 0.01) -> Iterator[bytes]:
    """Yield requests of known users for one of 50 price ranges that leave a share of the items."""
    rng, prices = np.random.default_rng(1), world.prices
    wide = round(share * len(prices))
    begins = rng.integers(0, len(prices) - wide, 50)
    ranges = [{"gte": float(prices[b]), "lt": float(prices[b + wide])} for b in begins]
    for user in itertools.cycle(world.users):
        within = {"must": [{"key": "price", "range": ranges[rng.integers(50)]}]}
        yield _body({"user": user, "filter": within})


def _body(asked: dict[str, Any]) -> bytes:
    return json.dumps(asked).encode()


CASES = {
    "known user": Case(known),
    "known user, no reasons": Case(lambda w: known(w, explain=False)),
    "known users, 32 connections": Case(known, 32),
    "known users, 32 connections, no reasons": Case(lambda w: known(w, explain=False), 32),
    "batch of 1,000": Case(lambda w: batches(w, explain=False), 1, "/v1/recommend:batch", BATCH),
    "2 batches of 1,000": Case(
        lambda w: batches(w, explain=False), 2, "/v1/recommend:batch", BATCH
    ),
    "batch of 1,000, with reasons": Case(batches, 1, "/v1/recommend:batch", BATCH),
    "history of 20": Case(histories),
    "filter that leaves 1 %": Case(filtered),
}

_EMPTY = """
import sys, uvicorn
from fastapi import FastAPI, Response
app = FastAPI()
@app.post("/v1/recommend")
async def empty() -> Response:
    return Response(b"{}", media_type="application/json")
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
"""
_SERVE = """
import sys
from pathlib import Path
from serving.run import serve
from serving.settings import Settings
serve(
    Settings(
        store=Path(sys.argv[2]), port=int(sys.argv[1]), state=Path(sys.argv[3]),
        workers=int(sys.argv[4]), verify=False, log_level="error",
    )
)
"""


@contextmanager
def serving(code: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """Yield port and process of a server, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    server = subprocess.Popen([sys.executable, "-c", code, str(port), *arguments])
    try:
        _wait(port, server)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(30)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    url = f"http://127.0.0.1:{port}/openapi.json"
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the server ended before it answered") from None
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not answer")


def measured(server: tuple[int, int], case: Case, world: World, seconds: float) -> dict[str, Any]:
    """Return the record of one kind of request, warmed up.

    The server's processor time stands beside the clock's: it says what a request costs where other
    work shares the machine.
    """
    port, process = server
    target = Target("127.0.0.1", port, case.path)
    bodies = case.bodies(world)
    drive(target, bodies, case.connections, WARM_UP)
    begun = _cpu_seconds(process)
    record = drive(target, bodies, case.connections, seconds).record()
    spent = _cpu_seconds(process) - begun
    record["server_cpu_ms"] = round(spent / int(str(record["requests"])) * 1e3, 3)
    if case.lists > 1:
        record["lists_per_second"] = round(float(str(record["per_second"])) * case.lists)
    return record


def _cpu_seconds(process: int) -> float:
    """Return the processor time that a process and its workers have taken, all threads together."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        if process in (int(stat.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def ceilings(world: World, seconds: float) -> dict[int, dict[str, Any]]:
    """Return the record of the empty handler, by number of connections."""
    with serving(_EMPTY) as server:
        return {many: measured(server, Case(known, many), world, seconds) for many in (1, 32)}


def records(store: Path, seconds: float, only: str, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Yield a record for each kind of request, with its rate over that of the empty handler."""
    world = World.of(store)
    empty = ceilings(world, seconds)
    for connections, record in empty.items():
        yield {"case": f"empty handler, {connections} connections", **record}
    state = tempfile.mkdtemp(prefix="plotpointe-state-")
    with serving(_SERVE, str(store), state, str(workers)) as server:
        for name, case in CASES.items():
            if only in name:
                record = measured(server, case, world, seconds)
                if case.connections in empty and case.lists == 1:
                    rate = empty[case.connections]["per_second"]
                    record["of_empty_handler"] = round(record["per_second"] / rate, 3)
                yield {"case": name, "workers": workers, **record}


def main() -> None:
    """Print one record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--workers", type=int, default=1, help="processes that answer")
    parser.add_argument("--only", default="", help="part of the names of cases")
    given = parser.parse_args()
    machine = {"machine": machine_name(), "load": os.getloadavg()[0]}
    for record in records(given.store, given.seconds, given.only, given.workers):
        print(json.dumps(record | machine), flush=True)


if __name__ == "__main__":
    main()
