"""Ways of requests become spans, in the trace of the client that began them."""

import sys

import pytest

from roost.cli.spans import export_spans, sink_of
from roost.settings import BadSetting, Settings
from roost.tracing import Way

TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7


def test_a_way_is_a_child_of_its_clients_span_and_steps_are_events() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not here")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tell = sink_of(provider.get_tracer("roost"))
    for trace in (f"00-{TRACE:032x}-{SPAN:016x}-01", "order-4711"):
        way = Way(trace, "etcd.put", "m1")
        way.note("queued")
        way.note("run", writes=10)
        tell(way)
    child, alone = exporter.get_finished_spans()
    assert child.parent is not None
    assert (child.context.trace_id, child.parent.span_id) == (TRACE, SPAN)
    assert [it.name for it in child.events] == ["queued", "run"]
    assert dict(child.events[1].attributes or {}) == {"writes": 10}
    assert child.start_time == child.events[0].timestamp
    assert child.end_time == child.events[1].timestamp
    assert alone.parent is None
    assert dict(alone.attributes or {}) == {"roost.id": "order-4711", "roost.place": "m1"}


def test_without_opentelemetry_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(BadSetting, match=r"roost\[otel\]"):
        export_spans(Settings())
