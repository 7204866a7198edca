"""Sends spans to the collector. Imported only where traces are wanted: see `runtime.tracing`."""

from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

log = structlog.get_logger("veilrun.tracing")


class Exporter(OTLPSpanExporter):
    """Says once that the collector takes nothing, and once that it does again. The library would say it with every
    batch, and name the address."""

    _is_taken = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        result = SpanExportResult.FAILURE
        try:
            result = super().export(spans)
        finally:
            self._tell(result is SpanExportResult.SUCCESS)
        return result

    def _tell(self, is_taken: bool) -> None:
        if is_taken and not self._is_taken:
            log.info("traces are taken again")
        elif self._is_taken and not is_taken:
            log.warning("the collector takes no traces: those of now are lost")
        self._is_taken = is_taken
