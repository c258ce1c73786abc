"""Arrow's streams cut into batches, however their bytes come; and what is no stream."""

import random
from typing import Any

import pytest

from roost.errors import PackageMissing

try:
    from roost.arrow import BadArrow, Batches, pa
except PackageMissing as missing:
    pytest.skip(f"nothing is known of Arrow here: {missing}", allow_module_level=True)


def stream(*batches: Any, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, **options) as writer:
        for it in batches:
            writer.write_batch(it, custom_metadata={"flush": "7"})
    return bytes(sink.getvalue())


def batch(names: list[str], begin: int = 0) -> Any:
    return pa.record_batch(
        {
            "series": pa.array(names).dictionary_encode(),
            "time": pa.array(range(begin, begin + len(names)), pa.int64()),
            "value": pa.array([0.5] * len(names)),
        }
    )


BATCHES = [batch(["a", "b", "a"]), batch(["c", "a"], 3), batch(["c", "c"], 5)]


@pytest.mark.parametrize("has_deltas", [True, False])
@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_batches_are_whole_however_bytes_come(*, has_deltas: bool, size: int) -> None:
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=has_deltas)
    # Deltas have what was there before, too.
    given = [batch(["a", "b"]), batch(["a", "b", "c"], 2)] if has_deltas else BATCHES
    data = stream(*given, options=options)
    reading, found = Batches(), []
    for begin in range(0, len(data), size):
        found += list(reading.feed(data[begin : begin + size]))
    reading.end()
    assert [it.rows.to_pylist() for it in found] == [it.to_pylist() for it in given]
    assert {it.said[b"flush"] for it in found} == {b"7"}
    assert reading.schema == given[0].schema


def test_a_schema_is_judged_before_rows_are_read() -> None:
    class No(Exception):
        pass

    def check(_schema: object) -> None:
        raise No

    with pytest.raises(No):
        list(Batches(check).feed(stream(*BATCHES)))


def test_what_is_too_large_compressed_or_nonsense_is_refused() -> None:
    large = stream(batch(["a"] * 1000))
    with pytest.raises(BadArrow, match="max_chunksize"):
        list(Batches(message_bytes_max=1000).feed(large))
    packed = stream(batch(["a"] * 1000), options=pa.ipc.IpcWriteOptions(compression="zstd"))
    with pytest.raises(BadArrow, match="compressed"):
        list(Batches().feed(packed))
    with pytest.raises(BadArrow, match="four bytes of ones"):
        list(Batches().feed(b"time,value\n"))
    with pytest.raises(BadArrow, match="follows the end"):
        list(Batches().feed(large + b"x"))
    cut = Batches()
    list(cut.feed(large[:-50]))
    with pytest.raises(BadArrow, match="within a message"):
        cut.end()
    twice = Batches()
    head = large[: 8 + int.from_bytes(large[4:8], "little")]
    with pytest.raises(BadArrow, match="second schema"):
        list(twice.feed(head + head))
    with pytest.raises(BadArrow, match="before a schema"):
        list(Batches().feed(large[len(head) :]))


@pytest.mark.slow
def test_bytes_that_were_changed_are_refused_or_read_and_nothing_else() -> None:
    data, dice = stream(*BATCHES), random.Random(7)
    refused = 0
    for _ in range(1500):
        broken = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        reading = Batches()
        try:
            for it in reading.feed(bytes(broken[: dice.randint(1, len(broken))])):
                it.rows.to_pydict()
        except (BadArrow, UnicodeDecodeError):
            refused += 1
    assert 100 < refused < 1500
