"""Traces: where the time of a request went, sent over OTLP when asked for, else nothing at all.

Code deep inside says ``with span("search"): …``. What that does is decided by the request it runs
for: without a tracer it costs a look at a context variable.
"""

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, Protocol

from pipeline.errors import MissingExtraError

RawHeaders = list[tuple[bytes, bytes]]

_CARRIED = (b"traceparent", b"tracestate")
_FAILED = 500
_NOTHING: AbstractContextManager[Any] = nullcontext()


class Tracer(Protocol):
    """Names pieces of work and times them."""

    def request(self, headers: RawHeaders) -> AbstractContextManager[Any]:
        """Return the span of a request; ``traceparent`` makes it part of its asker's trace."""

    def answered(self, method: str, route: str, status: int) -> str | None:
        """Name the request's span; return the name of its trace, None where there is none."""

    def span(self, name: str, **facts: str | int | float) -> AbstractContextManager[Any]:
        """Return the span of a piece of the work at hand."""

    def close(self) -> None:
        """Send what is not sent yet."""


class NullTracer:
    """Traces nothing."""

    def request(self, headers: RawHeaders) -> AbstractContextManager[Any]:
        """Return nothing to be timed."""
        return _NOTHING

    def answered(self, method: str, route: str, status: int) -> str | None:
        """Return None."""
        return None

    def span(self, name: str, **facts: str | int | float) -> AbstractContextManager[Any]:
        """Return nothing to be timed."""
        return _NOTHING

    def close(self) -> None:
        """Do nothing."""


class OtelTracer:
    """Sends spans where OpenTelemetry's exporter sends them."""

    def __init__(self, exporter: Any, share: float = 1.0) -> None:  # noqa: ANN401 - optional package
        """Trace a share of the requests, and all that come with a sampled ``traceparent``."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": "plotpointe"})
        self._provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(share))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("plotpointe")
        self._propagator = TraceContextTextMapPropagator()

    def request(self, headers: RawHeaders) -> AbstractContextManager[Any]:
        """Return the span of a request."""
        from opentelemetry.trace import SpanKind

        named = {k.decode("latin-1"): v.decode("latin-1") for k, v in headers if k in _CARRIED}
        asker = self._propagator.extract(named)
        return self._tracer.start_as_current_span("request", context=asker, kind=SpanKind.SERVER)

    def answered(self, method: str, route: str, status: int) -> str | None:
        """Name the request's span by its route; paths name users."""
        from opentelemetry.trace import Status, StatusCode, format_trace_id, get_current_span

        here = get_current_span()
        here.update_name(f"{method} {route}")
        here.set_attribute("http.request.method", method)
        here.set_attribute("http.route", route)
        here.set_attribute("http.response.status_code", status)
        if status >= _FAILED:
            here.set_status(Status(StatusCode.ERROR))
        context = here.get_span_context()
        return format_trace_id(context.trace_id) if context.trace_flags.sampled else None

    def span(self, name: str, **facts: str | int | float) -> AbstractContextManager[Any]:
        """Return the span of a piece of the work at hand."""
        return self._tracer.start_as_current_span(name, attributes=facts)

    def close(self) -> None:
        """Send what is not sent yet."""
        self._provider.shutdown()


_AT_WORK: ContextVar[Tracer] = ContextVar("tracer", default=NullTracer())  # noqa: B039 - stateless


def use(tracer: Tracer) -> Token[Tracer]:
    """Make ``tracer`` that of the work at hand; ``leave`` takes the token."""
    return _AT_WORK.set(tracer)


def leave(token: Token[Tracer]) -> None:
    """End what ``use`` began."""
    _AT_WORK.reset(token)


def span(name: str, **facts: str | int | float) -> AbstractContextManager[Any]:
    """Return the span of a piece of the work at hand."""
    return _AT_WORK.get().span(name, **facts)


def open_tracer(endpoint: str | None, share: float) -> Tracer:
    """Return a tracer that sends to an OTLP endpoint over HTTP; None traces nothing.

    Raises:
        MissingExtraError: the packages for it are not installed.
    """
    if endpoint is None:
        return NullTracer()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"traces need {error.name}: pip install 'plotpointe[tracing]', or leave traces out"
        ) from None
    return OtelTracer(OTLPSpanExporter(endpoint=endpoint), share)
