"""Tracers, and W3C trace context as the text that is stored and sent (https://www.w3.org/TR/trace-context/)."""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_HEADER = "traceparent"


def set_up_tracing(
    service: str, instance: str, *, otlp_endpoint: str | None, sample_ratio: float = 1.0
) -> TracerProvider:
    """A provider that exports to the collector. Without one, spans go nowhere, yet have valid ids and keep the sampling
    decision of a context that a client gave, so that it still reaches the other end."""
    resource = Resource.create({"service.name": f"pao-{service}", "service.instance.id": instance})
    if otlp_endpoint is None:
        return TracerProvider(sampler=ParentBased(ALWAYS_OFF), resource=resource)
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=resource)
    provider.add_span_processor(_exporter(otlp_endpoint))
    return provider


def _exporter(endpoint: str) -> SpanProcessor:
    # Protobuf and requests cost 20 MB of memory, spared where there is no collector.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces"))


def context_of(traceparent: str | None) -> Context:
    """The parent context for a span. Text that is no valid traceparent gives an empty one, hence a new trace."""
    return _propagator.extract({_HEADER: traceparent} if traceparent else {}, context=Context())


def traceparent_of(span: trace.Span) -> str | None:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get(_HEADER)


def trace_id_of(span: trace.Span) -> str | None:
    """32 hexadecimal digits, or None for a span that belongs to no trace."""
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def trace_id_in(traceparent: str | None) -> str | None:
    """The trace that a stored context belongs to."""
    return None if traceparent is None else traceparent.split("-")[1]
