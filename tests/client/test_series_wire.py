"""HTTP/1.1 of the client of series: lines of any length that a member says, and no more."""

import asyncio
from typing import cast

import msgspec
import pytest

from roost.client.series.wire import LINE_BYTES_MAX, BadAnswer, Exchange
from roost.series.parts import STEP_CELLS

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def lines_of(pieces: list[bytes], count: int) -> list[bytes]:
    """The first lines of an answer that comes in these pieces."""
    reader = asyncio.StreamReader()
    exchange = Exchange(reader, cast("asyncio.StreamWriter", None), timeout_s=5.0)
    feeding = iter([HEAD, *map(chunk, pieces)])
    reader.feed_data(next(feeding))
    more = exchange._more

    async def fed() -> bool:
        for it in feeding:
            reader.feed_data(it)  # a read takes what one packet brought
            break
        return await more()

    exchange._more = fed  # type: ignore[method-assign]  # so that it comes piece by piece
    return [await exchange.line() for _it in range(count)]


def test_a_line_of_a_tail_is_as_long_as_a_member_makes_it() -> None:
    """A batch of two thousand exact values broke it off, where it came packet by packet."""
    points = [[1_700_000_000_000_000_000 + it, -0.12345678901234567] for it in range(STEP_CELLS)]
    line = msgspec.json.encode({"name": "sensor{room=1}", "points": points})
    assert len(line) > 1 << 16
    data = line + b"\n{}\n"
    pieces = [data[at : at + 1448] for at in range(0, len(data), 1448)]
    assert asyncio.run(lines_of(pieces, 2)) == [line, b"{}"]


def test_a_line_that_does_not_end_is_no_answer() -> None:
    with pytest.raises(BadAnswer, match="does not end"):
        asyncio.run(lines_of([bytes(1 << 16)] * (LINE_BYTES_MAX // (1 << 16) + 2), 1))
