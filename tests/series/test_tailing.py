"""Points are told as they come, to whoever asked for their series."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from roost.client.series.answers import Live, live_of
from roost.database import Change, Overrun
from roost.exchange import Answer, Request, Streaming
from roost.series.engine import Engine
from roost.series.extra import np
from roost.series.interface import Interface
from roost.series.records import batch, encode_batch
from roost.series.spelling import Precision
from roost.series.tailing import ALIVE_S, SERIES_POINTS, STEP_POINTS, as_events, as_lines, tail
from roost.sim.members.loop import pass_time
from tests.database.databases import Databases, with_databases
from tests.series.test_intake import points

pytestmark = pytest.mark.slow


class _Caller:
    token = certificate_name = address = ""
    flow = ("", 0)


async def anybody(_caller: object, _writes: object) -> None:
    """All may."""


async def asked(interface: Interface, query: bytes) -> Answer | Streaming:
    caller: Any = _Caller()
    return await interface.answer(
        Request(method="GET", raw_path=b"/series/tail", query=query, caller=caller)
    )


async def begun(interface: Interface, query: bytes) -> AsyncIterator[bytes]:
    """What is told from now on."""
    answer = await asked(interface, query)
    assert isinstance(answer, Streaming)
    pieces = aiter(answer.pieces)
    assert await anext(pieces) in (b":\n\n", b"{}\n")
    return pieces


def test_points_are_told_on_any_member_as_they_come(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        one, two, _ = (Interface(Engine(it), anybody) for it in cluster.databases.values())
        await one.intake.add(points([("a", 1, 1.0), ("b", 1, 1.0)]))
        events = await begun(two, b"name=a&precision=ns")
        lines = await begun(one, b"name=a&name=b&format=lines")
        await one.intake.add(points([("b", 2, 2.0), ("c", 2, 2.0)]))
        await two.intake.add(points([("a", 3, 3.0), ("a", 2, float("nan"))]))
        told = await anext(events)
        assert told == b'data: {"name":"a","points":[[3,3.0],[2,null]]}\n\n'
        assert json.loads(await anext(lines)) == {
            "name": "b", "points": [["1970-01-01T00:00:00.000000002Z", 2.0]]
        }  # fmt: skip
        assert json.loads(await anext(lines))["name"] == "a"
        # Nothing comes: somebody is there all the same.
        assert await anext(events) == b":\n\n"
        await pass_time(ALIVE_S)
        for pieces in (events, lines):
            await pieces.aclose()  # type: ignore[attr-defined]  # it is a generator
        for it in (one, two):
            await it.close()

    with_databases(tmp_path, story)


class Overtaken:
    """An observation that has missed some, and ends; and the engine that gives it."""

    def staging(self) -> "Overtaken":
        return self

    async def __aenter__(self) -> "Overtaken":
        return self

    async def __aexit__(self, *exc: object) -> None:
        """It ends by itself."""

    async def pages(self) -> AsyncGenerator[list[Any], None]:
        record = encode_batch(batch(np.array([1, 2]), np.array([7, 8]), np.array([0.5, 1.5])))
        yield [Overrun(3), Change(4, "series.staged", b"k", record, None)]
        yield [Change(5, "series.staged", b"k", None, record)]


def test_who_has_missed_some_is_told_and_goes_on() -> None:
    async def story() -> None:
        engine: Any = Overtaken()
        told = [it async for it in tail(engine, {2: "b"}, UTC, Precision.NS)]
        assert told == [{}, {"missed": True}, {"name": "b", "points": [(8, 1.5)]}]
        events = [it async for it in as_events(tail(engine, {2: "b"}, UTC, None))]
        assert events[:2] == [b":\n\n", b'event: missed\ndata: {"missed":true}\n\n']
        lines = as_lines(tail(engine, {2: "b"}, UTC, Precision.NS))
        found = [it async for it in live_of(lines)]
        assert found == [Live("b", [8], [1.5], has_missed=True)]

    asyncio.run(story())


class Wide(Overtaken):
    """An observation of one record that has a point of each of many series."""

    async def pages(self) -> AsyncGenerator[list[Any], None]:
        sids = np.arange(1, 501)
        record = encode_batch(batch(sids, sids * 10, np.full(500, 0.5)))
        yield [Change(4, "series.staged", b"k", record, None)]


def test_a_record_of_many_series_is_told_over_many_turns() -> None:
    """A point of each of a thousand series was told in one step."""

    async def story() -> None:
        engine: Any = Wide()
        loop, turns, at = asyncio.get_running_loop(), 0, list[int]()

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        turn()
        titles = {it: str(it) for it in range(1, 501)}
        told: list[dict[str, object]] = []
        async for row in tail(engine, titles, UTC, None):
            at.append(turns)
            told.append(row)
        assert [it["name"] for it in told if it] == list(titles.values())
        most = max(at.count(it) for it in at)
        assert most <= 1 + STEP_POINTS // (SERIES_POINTS + 1)

    asyncio.run(story())


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        interface = Interface(Engine(cluster.databases[0]), anybody)
        for query, status in (
            (b"name=a", 404), (b"", 400), (b"name=a&format=xml", 400), (b"name=a{", 400)
        ):  # fmt: skip
            answer = await asked(interface, query)
            assert isinstance(answer, Answer)
            assert answer.status == status, query
        await interface.close()

    with_databases(tmp_path, story, size=1)


def test_a_database_that_is_closed_ends_what_it_tells(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        interface = Interface(Engine(cluster.databases[0]), anybody)
        await interface.intake.add(points([("a", 1, 1.0)]))
        pieces = await begun(interface, b"name=a")
        await cluster.databases[0].close()
        assert [it async for it in pieces] == []
        await interface.close()

    with_databases(tmp_path, story, size=1)
