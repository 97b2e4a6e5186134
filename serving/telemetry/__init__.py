"""What an operator sees: log lines, metrics, traces, and the slowest requests.

logs.py     one JSON object a line on standard error
metrics.py  Prometheus, in one process or several
tracing.py  OpenTelemetry over OTLP where asked for
slow.py     the latest requests that took long
"""

from serving.telemetry.logs import open_log, server_log_config
from serving.telemetry.metrics import Metrics

__all__ = ["Metrics", "open_log", "server_log_config"]
