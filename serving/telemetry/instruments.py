"""All that tells how the service does, made once for an application."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from serving.settings import Settings
from serving.telemetry.logs import open_log
from serving.telemetry.metrics import Metrics
from serving.telemetry.slow import SlowLog
from serving.telemetry.tracing import Tracer, open_tracer


@dataclass(frozen=True)
class Instruments:
    """Metrics, log, traces and the slow requests."""

    metrics: Metrics
    log: FilteringBoundLogger
    tracer: Tracer
    slow: SlowLog

    @classmethod
    def of(cls, settings: Settings, tracer: Tracer | None = None) -> "Instruments":
        """Return what the settings ask for.

        Raises:
            MissingExtraError: traces are asked for, and their packages are not installed.
        """
        metrics = Metrics()
        return cls(
            metrics,
            open_log(settings.log_level, lost=metrics.lost_lines.inc),
            tracer or open_tracer(settings.traces, settings.trace_share),
            SlowLog(settings.slow_seconds),
        )
