"""Counters of a member in the program that opened it: the calls are those of a client."""

import asyncio
import inspect
from pathlib import Path

import pytest

import roost
import roost.aio
from roost import lots
from roost.client.aio.counters import Counters as ClientCounters
from roost.counters.aio import Counters
from roost.counters.aio.later import Later
from roost.counters.errors import BadChange, BadCounterName, CounterOverflow, KeyReused
from roost.counters.watching import Hub
from roost.errors import Overloaded, Stopped
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting


def counters_of(cluster: CountingCluster, position: int) -> Counters:
    desk = cluster.desk(position)
    return Counters(desk, Hub(desk), cluster.operators(position), lambda: None)


def test_the_calls_are_those_of_a_client() -> None:
    # There is one member, and no answer can be lost on the way.
    missing = {"trying"}
    theirs = {it for it in vars(ClientCounters) if it[0] != "_"}
    assert {it for it in vars(Counters) if it[0] != "_"} == theirs - missing
    for name in theirs - missing:
        wanted = dict(inspect.signature(getattr(ClientCounters, name)).parameters)
        wanted.pop("endpoint", None)
        assert list(inspect.signature(getattr(Counters, name)).parameters) == list(wanted)


def test_a_program_counts_and_finds_it_again(tmp_path: Path) -> None:
    with roost.open(tmp_path / "data") as db:
        counters = db.counters
        assert counters.increment("a") == 1
        assert [counters.increment("a", 4, key=b"k") for _it in range(2)] == [5, 5]
        with pytest.raises(KeyReused):
            counters.increment("a", 5, key=b"k")
        with counters.batch() as batch:
            batch.increment("a", 2)
            batch.increment("b", -3)
        assert batch.values == {"a": 7, "b": -3}
        watched = counters.watch("a", is_all=True)
        assert next(watched) == ("a", 7)
        counters.increment("a")
        assert next(watched) == ("a", 8)
        watched.close()
        in_background = counters.later()
        for _it in range(10):
            in_background.increment("c", 2)
        in_background.flush()
        assert counters.read("a", "b", "c", "none") == {"a": 8, "b": -3, "c": 20, "none": None}
        assert list(counters.search("", page=2)) == [("a", 8), ("b", -3), ("c", 20)]
        assert counters.read_raw("a") == {"a": {"default": 8}}
        assert counters.delete("b", "none") == {"b": -3, "none": None}
        assert counters.describe("stats")["state"] == "open"
        assert counters.administer("ready")["phase"] == "ready"
        in_background.increment("c")  # and nobody ends it: the close does
    with pytest.raises(roost.Closed):
        counters.read("a")
    with roost.open(tmp_path / "data") as db:
        assert db.counters.read("a", "b", "c") == {"a": 8, "b": None, "c": 21}
        assert db.counters.increment("a", 4, key=b"k") == 5  # as it was answered then


def test_what_cannot_be_counted_is_refused_as_a_whole(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        counters = counters_of(cluster, 0)
        for wrong in (1.5, "1", True, None):
            with pytest.raises(BadChange):
                await counters.increment_all([("a", 1), ("b", wrong)])  # type: ignore[list-item]  # as programs may
        with pytest.raises(BadCounterName):
            await counters.increment(7)  # type: ignore[arg-type]  # as programs may
        with pytest.raises(CounterOverflow):
            await counters.increment_all([("a", 1), ("b", (1 << 63) - 1), ("b", 1)])
        assert await counters.read("a", "b") == {"a": None, "b": None}
        async with counters.batch():
            pass  # nothing is nothing

    run_counting(tmp_path, story, size=1)


def test_what_is_counted_in_the_background_is_bounded_and_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lots, "NAMES_MAX", 3)

    async def story(cluster: CountingCluster) -> None:
        counters = counters_of(cluster, 0)
        counting = await counters.later(every_s=1.0)
        for name in ("a", "b", "c"):
            for _it in range(100):
                counting.increment(name)
        with pytest.raises(Overloaded):
            counting.increment("d")
        assert counting.waiting_count == 3
        assert cluster.at(0).counts.requests == 0
        await pass_time(2.0)
        assert await counters.read("a", "b", "c") == {"a": 100, "b": 100, "c": 100}
        assert cluster.at(0).counts.requests == 1
        counting.increment("a", 1 << 63)
        assert await counting.end() == {"a": 1 << 63}
        assert counting.has_ended
        with pytest.raises(Stopped):
            counting.increment("a")
        await counting.flush()
        await counters.later()
        assert [it.has_ended for it in counters.laters] == [False]
        for it in counters.laters:
            await it.end()

    run_counting(tmp_path, story, size=1)


def test_what_a_member_that_stops_has_not_counted_is_said(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        counting = Later(cluster.desk(0), 10.0)
        counting.increment("a", 5)
        await cluster.at(0).close()
        assert await counting.end() == {"a": 5}

    run_counting(tmp_path, story, size=1)


def test_a_watcher_that_is_too_slow_begins_again_with_all(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        desk = cluster.desk(0)
        hub = Hub(desk)
        counters = Counters(desk, hub, cluster.operators(0), lambda: None)
        await counters.increment("a")
        watched = counters.watch()
        first = asyncio.ensure_future(anext(watched))
        await pass_time(0.5)
        await counters.increment("a")
        assert await first == ("a", 2)
        for it in list(hub.watchers):
            it.end()
        assert await anext(watched) == ("a", 2)
        hub.close()
        with pytest.raises(Stopped):
            await anext(watched)

    run_counting(tmp_path, story, size=1)
