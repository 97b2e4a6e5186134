"""Prometheus metrics: rate, errors and duration per route, and how the bundles in service do.

With several worker processes each writes its own files below ``PROMETHEUS_MULTIPROC_DIR``, which
must be set before ``prometheus_client`` is imported; whichever worker is asked answers for all.
"""

import os
import time
from collections import Counter as Counted
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serving.bundle import Bundle, SelfCheck

disable_created_metrics()  # type: ignore[no-untyped-call]
"""When a series began is half of the text and is asked for by nobody."""

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Metrics:
    """Every metric of the service; one registry per application.

    Labels hold route templates, arms and reasons: nothing that names a person or an item.
    """

    def __init__(self) -> None:
        """Register every metric."""
        self.folder = os.environ.get(MULTIPROCESS)
        self.registry = CollectorRegistry()
        if self.folder is None:
            ProcessCollector(namespace="plotpointe", registry=self.registry)
        self._requests()
        self._answers()
        self._bundles()
        self._energy()
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._arms: dict[str, tuple[Counter, Counter, Histogram]] = {}
        self._made: dict[str, float] = {}
        self._named: tuple[str, str] | None = None

    def _requests(self) -> None:
        self.requests = self._counter(
            "http_requests", "Requests answered, by route template.", "method", "route", "status"
        )
        self.seconds = self._histogram(
            "http_request_seconds", "Seconds from request to answer.", _SECONDS, "method", "route"
        )
        self.in_flight = self._gauge("in_flight", "Requests being answered.", "livesum")
        self.waiting = self._gauge("waiting", "Requests waiting for their turn.", "livesum")
        self.lag = self._gauge(
            "loop_lag_seconds", "How late the event loop came to its work last.", "livemax"
        )
        self.shed = self._counter("shed", "Requests turned away, by reason.", "reason")
        self.denied = self._counter("denied", "Requests without a key that allows them.", "reason")
        self.limited = self._counter("rate_limited", "Requests above the rate of their key.")
        self.lost_lines = self._counter("log_lines_lost", "Log lines that could not be written.")

    def _answers(self) -> None:
        self.recommended = self._counter(
            "recommendations", "Lists recommended.", "strategy", "user_tier"
        )
        self._known = self.recommended.labels("model", "hot")
        self.short = self._counter("shortfalls", "Lists shorter than asked for.")
        self.batches = self._histogram("batch_size", "Lists of one search.", _SIZES)
        self.cached = self._counter("cache_lookups", "Answers looked up.", "outcome")
        self.breakers = self._gauge(
            "breaker_open", "1 where calls of a dependency are refused.", "livemax", "name"
        )

    def _bundles(self) -> None:
        self.info = self._gauge(
            "bundle_info", "1 for the bundle in service.", "livemax", "fingerprint", "model"
        )
        self.recall = self._gauge(
            "index_recall", "Share of the canaries' lists found, last measured.", "livemin", "arm"
        )
        self.floor = self._gauge(
            "index_recall_floor", "Least recall that is ready.", "livemax", "arm"
        )
        self.staleness = self._gauge(
            "model_staleness_seconds", "Seconds since the bundle was made.", "livemax", "arm"
        )
        self.weight = self._gauge(
            "challenger_weight", "Share of users who meet the challenger.", "livemax"
        )
        self.items = self._gauge("items", "Items of the catalogue.", "livemax")
        self.users = self._gauge("users", "Users of the bundle.", "livemax")
        self.swaps = self._counter("bundle_swaps", "Bundles taken into service.", "arm")
        self.refused = self._counter(
            "bundle_refusals", "Bundles not taken into service, by reason.", "reason"
        )
        self.arm_answers = self._counter(
            "arm_answers", "Lists answered by each arm.", "arm", "outcome"
        )
        self.arm_seconds = self._histogram(
            "arm_seconds", "Seconds of one search by each arm.", _SECONDS, "arm"
        )
        self.stops = self._counter("experiment_stops", "Challengers stopped, by reason.", "reason")
        self.overlap = self._histogram(
            "shadow_overlap", "Share of the list that the shadow shows too.", _SHARES
        )
        self.shadowed = self._counter("shadow_requests", "Requests for the shadow.", "outcome")

    def _energy(self) -> None:
        self.joules = self._counter("energy_joules", "Energy drawn, counted or estimated.")
        self.grams = self._counter("grams_co2e", "CO2e of that energy.")
        self.metered = self._counter("metered_seconds", "Seconds of workers that were metered.")
        self.per_thousand = self._gauge(
            "joules_per_1000_recommendations",
            "Energy of a thousand lists, since the start; of several workers, the highest.",
            "livemax",
        )
        self._lists = self._drawn = 0.0

    def drew(self, joules: float, grams: float, seconds: float) -> None:
        """Note what was drawn in the last seconds."""
        self.joules.inc(max(0.0, joules))
        self.grams.inc(max(0.0, grams))
        self.metered.inc(seconds)
        self._drawn += joules
        if self._lists:
            self.per_thousand.set(1000 * self._drawn / self._lists)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        kept = self._series.get((method, route, status))
        if kept is None:
            kept = (
                self.requests.labels(method, route, str(status)),
                self.seconds.labels(method, route),
            )
            self._series[method, route, status] = kept
        kept[0].inc()
        kept[1].observe(seconds)

    def count(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count recommended lists, given as the fields of ``Recommendations``."""
        kinds = Counted((answer["strategy"], answer["user_tier"]) for answer in answers)
        for kind, count in kinds.items():
            self.recommended.labels(*kind).inc(count)
            self._lists += count
        if short := sum(answer["shortfall_reason"] is not None for answer in answers):
            self.short.inc(short)

    def count_known(self, lists: int) -> None:
        """Count whole lists of known users."""
        self._known.inc(lists)
        self._lists += lists

    def searched(self, arm: str, seconds: float, lists: int, short: int) -> None:
        """Note one search of an arm."""
        full, cut, took = self._arms.get(arm) or self._arm(arm)
        took.observe(seconds)
        full.inc(lists - short)
        cut.inc(short)
        self.batches.observe(lists)

    def _arm(self, arm: str) -> tuple[Counter, Counter, Histogram]:
        full, cut = (self.arm_answers.labels(arm, outcome) for outcome in ("full", "short"))
        self._arms[arm] = (full, cut, self.arm_seconds.labels(arm))
        return self._arms[arm]

    def describe(self, bundle: Bundle) -> None:
        """Set what is served."""
        name = (bundle.fingerprint, bundle.model)
        if self._named is not None and self._named != name:
            self._forget(*self._named)
        self._named = name
        self.info.labels(*name).set(1)
        self.items.set(len(bundle.catalogue))
        self.users.set(len(bundle.users))

    def _forget(self, fingerprint: str, model: str) -> None:
        """Let the bundle that was served before go; files of several processes keep a zero."""
        if self.folder is None:
            self.info.remove(fingerprint, model)
        else:
            self.info.labels(fingerprint, model).set(0)

    def measured(self, arm: str, bundle: Bundle, check: SelfCheck) -> None:
        """Set how well the index of an arm answers, and when its bundle was made."""
        self.recall.labels(arm).set(check.recall)
        self.floor.labels(arm).set(check.floor)
        self._made[arm] = datetime.fromisoformat(bundle.artifact.manifest["created_at"]).timestamp()

    def gone(self, arm: str) -> None:
        """Take away what was set of an arm that is no longer there."""
        if self._made.pop(arm, None) is not None and self.folder is None:
            for gauge in (self.recall, self.floor, self.staleness):
                with suppress(KeyError):
                    gauge.remove(arm)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        for arm, made in self._made.items():
            # A clock that was set back makes nothing younger than new.
            self.staleness.labels(arm).set(max(0.0, time.time() - made))
        if self.folder is None:
            return generate_latest(self.registry)
        _bury(Path(self.folder))
        together = CollectorRegistry()
        MultiProcessCollector(together, self.folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"plotpointe_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(
            f"plotpointe_{name}", text, labels, buckets=buckets, registry=self.registry
        )

    def _gauge(self, name: str, text: str, together: str, *labels: str) -> Gauge:
        return Gauge(
            f"plotpointe_{name}",
            text,
            labels,
            multiprocess_mode=together,  # type: ignore[arg-type]
            registry=self.registry,
        )


def _bury(folder: Path) -> None:
    """Drop the gauges of workers that are no more; their counters stay counted."""
    pids = {int(path.stem.rsplit("_", 1)[1]) for path in folder.glob("gauge_live*_*.db")}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue
