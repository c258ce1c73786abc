"""Metrics as text: what Prometheus reads, and what people do."""

import math

from prometheus_client.parser import text_string_to_metric_families

from roost.figures import Family, Figure, Sample, read_all
from roost.histogram import Histogram, doubling
from roost.server.exposition import as_json, as_text, process_families


def test_whole_numbers_are_written_as_whole_numbers() -> None:
    rows: list[Figure[int]] = [
        Figure("a", "gauge", "A.", lambda it: it),
        Figure("b_total", "counter", "B.", float),
        Figure("c", "gauge", "C.", lambda it: it / 2),
        Figure("d", "gauge", "D.", lambda it: it == 5),
        Figure("e", "gauge", "E.", lambda it: 10**18 + it),
    ]
    families = read_all(rows, 5)
    values = [line for line in as_text(families).splitlines() if not line.startswith("#")]
    assert values == ["a 5", "b_total 5", "c 2.5", "d 1", "e 1000000000000000005"]
    assert as_json(families) == {"a": 5, "b_total": 5, "c": 2.5, "d": 1, "e": 10**18 + 5}
    assert [type(it) for it in as_json(families).values()] == [int, int, float, int, int]


def test_labels_and_buckets_are_read_back_by_prometheus() -> None:
    held = Histogram(doubling(0.5, 2))
    for seconds in (0.1, 0.5, 0.7, 9):
        held.note(seconds)
    families = [
        Family("x_total", "counter", "X.", [Sample(3, (("To", 'a"b\\c\nd'), ("From", "")))]),
        Family("y_seconds", "histogram", "Y.", [Sample(held, (("To", "z"),))]),
        Family("empty", "gauge", "Nothing yet.", []),
    ]
    text = as_text(families)
    assert 'y_seconds_bucket{To="z",le="0.5"} 2\n' in text
    assert 'x_total{From="",To="a' in text
    found = {it.name: it for it in text_string_to_metric_families(text)}
    assert [(it.type, len(it.samples)) for it in found.values()] == [
        *(("counter", 1), ("histogram", 5), ("gauge", 0)),
    ]
    [sample] = found["x"].samples
    assert (sample.labels, sample.value) == ({"To": 'a"b\\c\nd', "From": ""}, 3)
    values = {(it.name, it.labels.get("le", "")): it.value for it in found["y_seconds"].samples}
    assert values == {
        ("y_seconds_bucket", "0.5"): 2,
        ("y_seconds_bucket", "1.0"): 3,
        ("y_seconds_bucket", "+Inf"): 4,
        ("y_seconds_sum", ""): 10.3,
        ("y_seconds_count", ""): 4,
    }
    assert as_json(families) == {}


def test_the_process_is_among_them() -> None:
    found = {it.name: it.samples[0].value for it in process_families()}
    resident, begun = found["process_resident_memory_bytes"], found["process_start_time_seconds"]
    assert isinstance(resident, float) and resident > 1 << 20
    assert isinstance(begun, float) and math.isfinite(begun)
