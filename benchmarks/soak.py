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
import platform
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import Target
from benchmarks.soak_asking import WITHOUT_OURS, K, Known, Ledger, asked
from benchmarks.soak_service import HOST, WORKERS, Memory, Service, copied
from benchmarks.soak_writing import Feedback, Items, Line, Steadily, Written
from pipeline.artifacts import Store
from serving.bundle import Bundle
from serving.live.attach import Attaching
from serving.recommender import Recommender
from serving.requests import RecommendRequest

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


@dataclass(frozen=True)
class World:
    """What is asked of, and what the bundles answer."""

    bundles: list[str]
    users: list[str]
    fed: list[str]
    """Users who give feedback."""
    items: list[str]
    widths: Mapping[str, int]
    lists: Mapping[str, Mapping[str, list[str]]]

    @classmethod
    def of(cls, store: Path) -> "World":
        """Return the world of a store's bundles.

        Raises:
            SystemExit: there are not two bundles, or their users differ.
        """
        bundles = [Bundle.of(artifact) for artifact in Store(store).all("bundle")]
        if len(bundles) < 2:
            raise SystemExit("the store holds fewer than two bundles")
        first = bundles[0]
        users = [str(key) for key in first.users.keys]
        if any([*map(str, bundle.users.keys)] != users for bundle in bundles):
            raise SystemExit("the bundles are not of the same users")
        random.Random(0).shuffle(users)
        widths = {name: each.width for name, each in Attaching(first).contents.items()}
        least = min(widths, key=lambda name: widths[name])
        items = [str(key) for key in first.catalogue.ids.keys]
        lists = {bundle.fingerprint: _lists(bundle, users) for bundle in bundles}
        names = [bundle.fingerprint for bundle in bundles]
        return cls(names, users, users[: len(users) // 10], items, {least: widths[least]}, lists)


def _lists(bundle: Bundle, users: list[str]) -> dict[str, list[str]]:
    """Return what a bundle alone answers; a filter that leaves every item changes nothing."""
    recommender, found = Recommender(bundle), {}
    for user in users:
        request = RecommendRequest(user=user, k=K, explain=False)
        found[user] = [item["id"] for item in recommender.plain([request])[0]["items"]]
    for user in users[:20]:
        filtered = RecommendRequest.model_validate(
            {"user": user, "k": K, "explain": False, "filter": WITHOUT_OURS}
        )
        again = [item["id"] for item in recommender.plain([filtered])[0]["items"]]
        if again != found[user]:
            raise SystemExit(f"a filter that leaves everything changes the list of {user}")
    return found


def soaked(store: Path, plan: Plan, folder: Path) -> dict[str, Any]:
    """Return the record of a soak; the service's store, state and log are in the folder."""
    world = World.of(store)
    service = Service(copied(store, folder / "store"), folder / "service.log")
    service.start()
    try:
        return _soaked(service, world, plan)
    finally:
        if service.process.poll() is None:
            service.stop()


def _soaked(service: Service, world: World, plan: Plan) -> dict[str, Any]:
    target = Target(HOST, service.port)
    known = Known(world.lists)
    warm, ledger, written = Ledger(known), Ledger(known), (Written(), Written())
    feedback = Feedback(Line(service, written[0]), known, world.fed, world.items)
    items = Items(Line(service, written[1]), known, world.widths)
    turns, points = itertools.cycle(world.bundles), Store(service.store)
    swaps, kills = [], []
    memory = Memory(service)
    writing = [Steadily(feedback, plan.feedback_every), Steadily(items, plan.items_every)]
    shaking = [
        Steadily(lambda _: swaps.append(_promoted(points, next(turns))), plan.swap_every),
        Steadily(lambda _: kills.append(service.kill_youngest()), plan.kill_every),
    ]
    doing = [*writing, *shaking]
    for thread in writing:
        thread.start()
    found = asked(target, warm, world.users, None, plan.finding)
    for thread in (memory, *shaking):
        thread.start()
    answered = asked(target, ledger, world.users, plan.share * found, plan.seconds)
    for thread in (*doing, memory):
        thread.end.set()
        thread.join()
    service.wait()
    wrong = [*warm.wrong, *ledger.wrong, *(fault for each in written for fault in each.wrong)]
    wrong += [thread.failed for thread in doing if thread.failed]
    record = {
        "seconds": plan.seconds, "sustained_per_second": round(found, 1),
        "asked_per_second": round(plan.share * found, 1),
        "answered_per_second": round(answered, 1),
        "swaps": len(swaps), "kills": sum(kills), "workers": WORKERS,
        "lists": dict(ledger.bundles), "late_ms": _percentiles(ledger.late),
        "wrong": len(wrong), "wrong_first": wrong[:5],
        **_errors(service, [warm, ledger], written), "sent_again": sum(each.again for each in written),
        "memory": memory.record(), "items_added": items.added,
        "items_missing": items.missing(service),
    }  # fmt: skip
    service.stop()
    record["feedback"] = feedback.kept(service.store / ".service")
    service.start()
    record["items_missing_after_restart"] = items.missing(service)
    record["feedback_after_restart"] = feedback.kept(service.store / ".service")
    record["logged"] = dict(service.logged())
    return record | {"claims": claims(record)}


def _promoted(store: Store, fingerprint: str) -> str:
    store.point("bundle", fingerprint, "a soak")
    return fingerprint


def _errors(
    service: Service, ledgers: Sequence[Ledger], written: Sequence[Written]
) -> dict[str, Any]:
    """Return what failed: by what it was, and what killed workers had open apart."""
    lost = [each for part in (*ledgers, *written) for each in part.lost]
    open_then = sum(service.was_killed(*each) for each in lost)
    refused: Counter[str] = sum((part.refused for part in (*ledgers, *written)), Counter())
    requests = sum(len(ledger.late) + len(ledger.lost) for ledger in ledgers)
    requests += sum(writer.requests for writer in written)
    others = len(lost) - open_then
    return {
        "requests": requests,
        "lost_with_killed_workers": open_then,
        "lost_otherwise": others,
        "refused": dict(refused),
        "error_rate": (others + sum(refused.values())) / max(1, requests),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    found = np.array(seconds or [0.0]) * 1e3
    return {f"p{q}": round(float(np.percentile(found, q)), 1) for q in (50, 95, 99, 100)}


def claims(record: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether each claim held."""
    kept = [record["feedback"], record["feedback_after_restart"]]
    shown = [record["items_missing"], record["items_missing_after_restart"]]
    return {
        "no wrong answer": record["wrong"] == 0 and len(record["lists"]) > 1,
        "no lost feedback": all(not (k["lost"] or k["twice"] or k["unasked"]) for k in kept),
        "no lost item": all(len(s) == WORKERS and not any(s.values()) for s in shown),
        "few errors": record["error_rate"] <= ERRORS,
        "nothing else died": sum(record["logged"].values()) == record["kills"],
        "memory flat": record["memory"]["oldest_second_half"]["share"] <= FLAT,
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
    cores = len(os.sched_getaffinity(0))
    machine = {"machine": f"{platform.machine()}, {cores} cores", "load": os.getloadavg()[0]}
    print(json.dumps(record | machine, indent=1))


if __name__ == "__main__":
    main()
