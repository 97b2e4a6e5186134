"""What an operator sees: structured log lines on standard error, and Prometheus metrics."""

import logging
import sys
from collections import Counter as Counted
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from structlog.typing import FilteringBoundLogger

from serving.bundle import Bundle, SelfCheck

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def open_log(level: str, stream: TextIO | None = None) -> FilteringBoundLogger:
    """Return a logger that writes one JSON object a line."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return log


def server_log_config(level: str) -> dict[str, Any]:
    """Return uvicorn's logging configuration: its lines in the same JSON as ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": _formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {
            "uvicorn": {"handlers": ["stderr"], "level": level.upper(), "propagate": False},
        },
    }


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )


@dataclass(frozen=True)
class Metrics:
    """Rate, errors and duration per route, and what is served; one registry per application."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    recommended: Counter = field(init=False)
    short: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register every metric."""
        registry = self.registry
        made = {
            "requests": Counter(
                "plotpointe_http_requests",
                "Requests answered, by route template.",
                ["method", "route", "status"],
                registry=registry,
            ),
            "seconds": Histogram(
                "plotpointe_http_request_seconds",
                "Seconds from request to answer, by route template.",
                ["method", "route"],
                buckets=_SECONDS,
                registry=registry,
            ),
            "recommended": Counter(
                "plotpointe_recommendations",
                "Lists recommended.",
                ["strategy", "user_tier"],
                registry=registry,
            ),
            "short": Counter(
                "plotpointe_shortfalls", "Lists shorter than asked for.", registry=registry
            ),
        }
        for name, metric in made.items():
            object.__setattr__(self, name, metric)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    def count(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count recommended lists, given as the fields of ``Recommendations``."""
        kinds = Counted((answer["strategy"], answer["user_tier"]) for answer in answers)
        for kind, count in kinds.items():
            self.recommended.labels(*kind).inc(count)
        if short := sum(answer["shortfall_reason"] is not None for answer in answers):
            self.short.inc(short)

    def describe(self, bundle: Bundle, check: SelfCheck) -> None:
        """Set what is served and how well its index answers."""
        info = Gauge(
            "plotpointe_bundle_info",
            "The bundle that is served.",
            ["fingerprint", "model"],
            registry=self.registry,
        )
        info.labels(bundle.fingerprint, bundle.model).set(1)
        gauges = {
            "plotpointe_index_recall": ("Share of the canaries' lists found.", check.recall),
            "plotpointe_index_recall_floor": ("Least recall that is ready.", check.floor),
            "plotpointe_items": ("Items of the catalogue.", len(bundle.catalogue)),
            "plotpointe_users": ("Users of the bundle.", len(bundle.users)),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=self.registry).set(value)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)
