"""Metrics as text: what Prometheus reads, and what people do."""

import asyncio
import math
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from roost.figures import Family, Figure, Sample, read_all
from roost.histogram import Histogram, doubling
from roost.server.exposition import LINES_A_TURN, TextPage, as_json, as_text, process_families
from roost.slices import in_turns


def text_of(families: Sequence[Family]) -> str:
    return asyncio.run(in_turns(as_text(families)))


def test_a_page_is_made_a_part_a_turn_and_fifty_who_ask_at_once_cost_what_two_do() -> None:
    """Issue 14: each of fifty took 7 ms of one step, for a page of a thousand lines."""
    collected, turns = list[int](), list[int]()
    many = [Sample(it, (("n", str(it)),)) for it in range(10 * LINES_A_TURN)]

    def collect() -> list[Family]:
        collected.append(len(collected))
        return [
            Family("now", "gauge", "Now.", [Sample(len(collected))]),
            Family("many", "gauge", "Many.", many),
        ]

    async def main() -> None:
        page = TextPage(collect)
        first = asyncio.create_task(page.read())
        while not collected:
            await asyncio.sleep(0)
        others = [asyncio.create_task(page.read()) for _ in range(50)]
        while not first.done():
            turns.append(0)
            await asyncio.sleep(0)
        assert "\nnow 1\n" in await first
        assert len(turns) >= 10
        # One of them gives up meanwhile, though it is the one who makes it.
        while len(collected) < 2:
            await asyncio.sleep(0)
        others[0].cancel()
        told = await asyncio.gather(*others[1:])
        assert len(collected) <= 3
        assert {it.split("\n")[2] for it in told} == {f"now {len(collected)}"}
        assert f"\nnow {len(collected) + 1}\n" in await page.read(), "it is as of now"

    asyncio.run(main())


def test_whole_numbers_are_written_as_whole_numbers() -> None:
    rows: list[Figure[int]] = [
        Figure("a", "gauge", "A.", lambda it: it),
        Figure("b_total", "counter", "B.", float),
        Figure("c", "gauge", "C.", lambda it: it / 2),
        Figure("d", "gauge", "D.", lambda it: it == 5),
        Figure("e", "gauge", "E.", lambda it: 10**18 + it),
    ]
    families = read_all(rows, 5)
    values = [line for line in text_of(families).splitlines() if not line.startswith("#")]
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
    text = text_of(families)
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
