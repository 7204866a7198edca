"""OpenTelemetry traces, by option: one for each job, from the update that asked for it to the picture in the chat.

On when OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set; else nothing is imported and a span
costs a function call. Work passes through the table, and so does the context of its trace: `jobs.traceparent`, in the
form of W3C Trace Context. A span names job, command, backend, attempt and the class of an error: never a prompt, a
medium, a person, a token or an address. Spans are sent from a thread of their own; what cannot be sent is dropped.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
EXPORT_SECONDS = 5
STOP_MILLISECONDS = 2000

Attribute: TypeAlias = str | int | float | bool | None

_tracer: Any = None


class Span(Protocol):
    """What is being done now. traceparent: how others go on with its trace, None when nothing is traced."""

    @property
    def traceparent(self) -> str | None: ...


class _Nothing:
    traceparent = None


class _Traced:
    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


_NOTHING = _Nothing()


def is_wanted() -> bool:
    """Whether an endpoint is named, and tracing is not switched off by OTEL_SDK_DISABLED."""
    return any(os.environ.get(name) for name in ENDPOINTS) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def start_tracing(role: str) -> Callable[[], None]:
    """Trace from now on, as the process `role` ("web", "worker"). Call what is returned before the process ends.

    Does nothing unless it is wanted. Raises: ImportError if it is, and `veilrun[otel]` is not installed.
    """
    global _tracer
    if not is_wanted():
        return lambda: None
    from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from runtime.trace_export import Exporter

    name = os.environ.get("OTEL_SERVICE_NAME", "veilrun")
    resource = Resource({SERVICE_NAME: name, SERVICE_INSTANCE_ID: f"{role}-{os.getpid()}", "veilrun.role": role})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Exporter(timeout=EXPORT_SECONDS), schedule_delay_millis=1000))
    _tracer = provider.get_tracer("veilrun")

    def stop() -> None:
        global _tracer
        _tracer = None
        provider.force_flush(STOP_MILLISECONDS)
        provider.shutdown()

    return stop


@contextlib.contextmanager
def span(name: str, about: Mapping[str, Attribute] | None = None, *, parent: str | None = None) -> Iterator[Span]:
    """Trace what is done inside. parent: the traceparent that a job carries; else the span that this is done within.

    about: attributes, without those that are None. An error that passes through is marked by its class alone.
    """
    if _tracer is None:
        yield _NOTHING
        return
    opened = _tracer.start_as_current_span(
        name,
        context=_context(parent),
        attributes={f"veilrun.{key}": value for key, value in (about or {}).items() if value is not None},
        record_exception=False,
        set_status_on_exception=False,
    )
    with opened as current:
        try:
            yield _Traced(current)
        except BaseException as error:
            mark(error)
            raise


def mark(error: BaseException) -> None:
    """Say of the current span that it failed, by the class of the error."""
    if _tracer is None:
        return
    from opentelemetry.trace import Status, StatusCode, get_current_span

    current = get_current_span()
    current.set_attribute("error.type", type(error).__name__)
    current.set_status(Status(StatusCode.ERROR))


def _context(traceparent: str | None) -> Any:
    """The context that goes on with `traceparent`; None: the current one. What is malformed begins a new trace."""
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
