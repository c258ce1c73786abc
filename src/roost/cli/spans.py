"""Ways of requests (`roost.tracing`) as spans of OpenTelemetry, where the extra `otel` is there.

A way that a client began with a `traceparent` belongs to its trace, as a child of its span; others
are traces of their own, found by `roost.id`.  Steps are events of a span.

Full?  The exporter keeps 2,048 spans that its collector has not taken, and drops more.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from roost import tracing
from roost.extras import command_for
from roost.settings import BadSetting, Settings
from roost.tracing import Way

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_MISSING = (
    f"--experimental-enable-distributed-tracing sends spans by OpenTelemetry: {command_for('otel')}"
)


def export_spans(settings: Settings) -> None:
    """Export them from now on, until the process ends.

    Raises:
        BadSetting: the extra is not there.

    """
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise BadSetting(_MISSING) from error
    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": settings.experimental_distributed_tracing_service_name,
                "service.instance.id": settings.experimental_distributed_tracing_instance_id
                or settings.name,
            }
        )
    )
    address = settings.experimental_distributed_tracing_address
    exporter = OTLPSpanExporter(endpoint=address, insecure=True)
    # Its thread, and what it keeps, end with the process.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracing.sinks.append(sink_of(provider.get_tracer("roost")))


def sink_of(tracer: "Tracer") -> Callable[[Way], None]:
    """What makes a span of each way that ends."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()

    def tell(way: Way) -> None:
        parent = propagator.extract({"traceparent": way.trace})
        span = tracer.start_span(
            way.name,
            context=parent,
            attributes={"roost.id": way.trace, "roost.place": way.place},
            start_time=way.steps[0].at_ns,
        )
        for it in way.steps:
            span.add_event(it.name, dict(it.facts), it.at_ns)
        span.end(way.steps[-1].at_ns)

    return tell
