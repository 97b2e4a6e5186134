"""Minutes under load while everything happens that happens to a service: is any of it seen?

python -m benchmarks.soak --store STORE [--seconds 600 --share 0.8 --kill-every 60 --swap-every 30]

The store holds two bundles or more of the same data; it is copied by links and not written to. Two
workers are asked at a share of the rate that they sustain, while bundles are promoted in turn,
feedback and items come and go, and a worker is killed with SIGKILL. Prints a JSON record: what was
counted, and whether each claim held.
"""

import argparse
import itertools
import json
import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import Target
from benchmarks.soak_asking import Known, Ledger, asked
from benchmarks.soak_service import HOST, WORKERS, Memory, Service, copied
from benchmarks.soak_world import World
from benchmarks.soak_writing import Feedback, Items, Line, Steadily, Written
from pipeline.artifacts import Store
from pipeline.measure.processor import machine_name

ERRORS = 1e-5
"""Most requests that fail, apart from those that a killed worker had open."""
FLAT = 0.03
"""Largest growth of a worker's memory over the second half, as a share."""


@dataclass(frozen=True)
class Plan:
    """What happens, and how often."""

    seconds: float = 600.0
    share: float = 0.8
    """Of the rate that the service sustains."""
    kill_every: float = 60.0
    swap_every: float = 30.0
    feedback_every: float = 0.25
    items_every: float = 1.0
    finding: float = 8.0
    """Seconds of asking as fast as answers come, to find the rate."""


def soaked(store: Path, plan: Plan, folder: Path) -> dict[str, Any]:
    """Return the record of a soak; the service's store, state and log are in the folder."""
    world = World.of(store)
    service = Service(copied(store, folder / "store"), folder / "service.log")
    service.start()
    try:
        soak = Soak(service, world, plan)
        record = soak.run() | soak.counted() | soak.kept()
    finally:
        if service.process.poll() is None:
            service.stop()
    record["logged"] = dict(service.logged())
    return record | {"claims": claims(record)}


class Soak:
    """One soak of a service that has just started."""

    def __init__(self, service: Service, world: World, plan: Plan) -> None:
        """Get everything ready."""
        self.service, self.world, self.plan = service, world, plan
        known = Known(world.lists)
        self.ledgers = [Ledger(known), Ledger(known)]
        self.written = [Written(), Written()]
        self.parts: list[Ledger | Written] = [*self.ledgers, *self.written]
        lines = [Line(service, written) for written in self.written]
        self.feedback = Feedback(lines[0], known, world.fed, world.items)
        self.items = Items(lines[1], known, world.widths)
        self.memory = Memory(service)
        self.swaps, self.kills = 0, 0
        self.failed: list[str] = []

    def run(self) -> dict[str, Any]:
        """Return the rates, after everything was done that the plan says."""
        plan, turns = self.plan, itertools.cycle(self.world.bundles)
        store, target = Store(self.service.store), Target(HOST, self.service.port)

        def promote(_: random.Random) -> None:
            """Promote the next bundle."""
            store.point("bundle", next(turns), "a soak")
            self.swaps += 1

        def kill(_: random.Random) -> None:
            """Kill a worker."""
            self.kills += self.service.kill_youngest()

        writing = [
            Steadily(self.feedback, plan.feedback_every),
            Steadily(self.items, plan.items_every),
        ]
        shaking = [Steadily(promote, plan.swap_every), Steadily(kill, plan.kill_every)]
        _start(writing)
        found = asked(target, self.ledgers[0], self.world.users, None, plan.finding)
        _start([*shaking, self.memory])
        rate = plan.share * found
        answered = asked(target, self.ledgers[1], self.world.users, rate, plan.seconds)
        for thread in (*shaking, *writing, self.memory):
            thread.finish()
        for each in (self.feedback, self.items):
            each.line.close()
        self.failed = [each.failed for each in (*shaking, *writing) if each.failed]
        self.service.wait()
        rates = {"sustained": found, "asked": rate, "answered": answered}
        return {
            "seconds": plan.seconds,
            "per_second": {name: round(value, 1) for name, value in rates.items()},
        }

    def counted(self) -> dict[str, Any]:
        """Return what was counted while it ran."""
        faults = [fault for part in self.parts for fault in part.wrong]
        faults += self.failed
        late = np.array(self.ledgers[1].late or [0.0]) * 1e3
        return {
            "swaps": self.swaps, "kills": self.kills, "workers": WORKERS,
            "lists": dict(sum((each.bundles for each in self.ledgers), Counter())),
            "late_ms": {f"p{q}": round(float(np.percentile(late, q))) for q in (50, 95, 99, 100)},
            "wrong": len(faults), "wrong_first": faults[:5], **self._errors(),
            "sent_again": sum(each.again for each in self.written),
            "memory": self.memory.record(),
        }  # fmt: skip

    def _errors(self) -> dict[str, Any]:
        """Return what failed: by what it was, and what killed workers had open apart."""
        parts = self.parts
        lost = [each for part in parts for each in part.lost]
        open_then = sum(self.service.was_killed(*each) for each in lost)
        refused: Counter[str] = sum((part.refused for part in parts), Counter())
        requests = sum(part.requests for part in parts)
        failed = len(lost) - open_then + sum(refused.values())
        return {
            "requests": requests,
            "lost_with_killed_workers": open_then,
            "lost_otherwise": len(lost) - open_then,
            "refused": dict(refused),
            "error_rate": failed / max(1, requests),
        }

    def kept(self) -> dict[str, Any]:
        """Return what is kept of feedback and items, before and after a start anew."""
        state, items = self.service.store / ".service", self.items
        missing = items.missing(self.service)
        self.service.stop()
        kept = self.feedback.kept(state)
        self.service.start()
        forgotten = self.feedback.forgotten()
        return {
            "feedback": kept,
            "batches_forgotten": forgotten,
            "feedback_after_restart": self.feedback.kept(state),
            "items": {"added": items.added, "deleted": items.added - len(items.there)},
            "items_missing": missing,
            "items_missing_after_restart": items.missing(self.service),
        }


def _start(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.start()


def claims(record: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether each claim held."""
    kept = [record["feedback"], record["feedback_after_restart"]]
    memory = record["memory"]
    shown = [record["items_missing"], record["items_missing_after_restart"]]
    return {
        "no wrong answer": record["wrong"] == 0 and len(record["lists"]) > 1,
        "no lost feedback": not record["batches_forgotten"]
        and all(not (k["lost"] or k["twice"] or k["unasked"]) for k in kept),
        "no lost item": all(len(s) == WORKERS and not any(s.values()) for s in shown),
        "few errors": record["error_rate"] <= ERRORS,
        "nothing else died": sum(record["logged"].values()) == record["kills"],
        "no more memory than a new worker": memory["oldest_mb"]["last"]
        <= (1 + FLAT) * memory["youngest_mb"]["last"],
        "memory flat": memory["oldest_second_half"]["share"] <= FLAT,
    }


def main() -> None:
    """Print the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    for name in ("seconds", "share", "kill_every", "swap_every"):
        usual = getattr(Plan(), name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=usual)
    given = vars(parser.parse_args())
    store = given.pop("store")
    with tempfile.TemporaryDirectory(dir=store.resolve().parent, prefix="soak-") as folder:
        record = soaked(store, Plan(**given), Path(folder))
    machine = {"machine": machine_name(), "load": os.getloadavg()[0]}
    print(json.dumps(record | machine, indent=1))


if __name__ == "__main__":
    main()
