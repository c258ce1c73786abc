"""A request with an id is followed from the member that was asked through the leader, by steps."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from roost import tracing
from roost.errors import ModelRefused, RoostError
from roost.flow import Flow
from roost.member import Member
from roost.member.operation import Changing, Light
from roost.member.pipeline.traces import Traces
from roost.outcome import Done, Outcome, settle_future
from roost.sim.members.loop import run_virtually
from roost.store import Txn
from roost.tracing import Traced, Way
from tests.member.members import Cluster

FLOW = Traced.of(Flow("10.0.0.1", 7), "id-1")
LED = ["queued", "run", "proposed", "durable", "committed", "applied", "answered"]


@pytest.fixture
def ways() -> Iterator[list[Way]]:
    found: list[Way] = []
    tracing.sinks.append(found.append)
    yield found
    tracing.sinks.remove(found.append)


async def asked(member: Member, name: str, body: bytes, flow: Flow = FLOW) -> bytes | RoostError:
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    member.transact_nowait(name, body, lambda it: settle_future(future, it), flow)
    try:
        return await future
    except RoostError as error:
        return error


def steps(way: Way) -> list[str]:
    return [it.name for it in way.steps]


def test_each_member_says_what_it_does(tmp_path: Path, ways: list[Way]) -> None:
    async def story() -> None:
        cluster = Cluster(tmp_path, 3)
        await cluster.start_all()
        leader = cluster.members[await cluster.quiet()]
        follower = next(it for it in cluster.members.values() if it is not leader)
        assert await asked(follower, "put", b"a=1") == b""
        led, forwarded = ways
        assert (led.trace, led.name, led.place) == ("id-1", "put", leader.config.name)
        found = steps(led)
        # Its own disk may be slower than the others', and is not waited for then.
        assert [it for it in LED if it != "durable"] == [it for it in found if it != "durable"]
        entry = led.steps[found.index("proposed")].facts
        assert entry["requests"] == 1
        term, _, index = str(entry["entry"]).partition(":")
        assert int(term) == leader.term
        assert 0 < int(index) <= leader.store.applied_index
        others = str(led.steps[found.index("committed")].facts["others"]).split(",")
        assert set(others) <= {f"{it.member_id:x}" for it in cluster.members.values()}
        assert (forwarded.place, steps(forwarded)) == (
            follower.config.name,
            ["forwarded", "answered"],
        )
        assert forwarded.steps[0].facts == {"leader": f"{leader.member_id:x}"}
        await cluster.stop_all()

    run_virtually(story())


def test_what_writes_nothing_what_is_refused_and_reads(tmp_path: Path, ways: list[Way]) -> None:
    async def story() -> None:
        cluster = Cluster(tmp_path, 1)
        await cluster.start_all()
        leader = cluster.members[await cluster.quiet()]
        assert await asked(leader, "touch_nothing", b"a") == b"?"
        assert isinstance(await asked(leader, "put", b"forbidden=1"), ModelRefused)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leader.read_nowait(lambda error: settle_future(future, error), FLOW)
        await future
        assert [steps(it) for it in ways] == [
            ["queued", "run", "wrote nothing", "applied", "answered"],
            ["queued", "answered"],
            ["waits for a round", "answered"],
        ]
        assert ways[1].steps[-1].facts == {"outcome": "refused: that key is forbidden"}
        ways.clear()
        # Nothing is noted of a request without an id, and nothing is left behind.
        assert await asked(leader, "put", b"a=1", Flow("10.0.0.1", 7)) == b""
        assert ways == []
        assert await asked(leader, "put", b"a=2") == b"1"
        assert steps(ways[0]) == LED
        await cluster.stop_all()

    run_virtually(story())


class Run:
    """As much of a transaction as is looked at."""

    size_bytes = 7


def begun(traces: Traces, number: int, told: list[Outcome]) -> Done:
    """A request that has run; what it is answered by."""
    flow = Traced.of(FLOW, f"id-{number}")
    run, answered = traces.lead(flow, "put", lambda _txn, body: body, told.append)
    assert not isinstance(run, Changing | Light)
    assert run(cast("Txn", Run()), b"x") == b"x"
    return answered


def test_those_of_an_entry_are_told_in_any_order_and_nothing_is_left(ways: list[Way]) -> None:
    traces, told = Traces("m1"), list[Outcome]()
    answers = [begun(traces, number, told) for number in range(3)]
    traces.on_proposed(5, 2, 3)
    answers.append(begun(traces, 3, told))  # runs while the first entry is on its way
    traces.on_nothing_written()
    traces.on_committed(5, {0xA: 5, 0xB: 4})
    for it in reversed(answers):
        it(b"done")
    assert [it.trace for it in ways] == ["id-3", "id-2", "id-1", "id-0"]
    assert ways[1].steps[-3].facts == {"others": "a"}
    assert told == [b"done"] * 4
    assert traces == Traces("m1")


def test_an_index_that_is_proposed_again_leaves_the_first_to_whoever_waits_for_it(
    ways: list[Way],
) -> None:
    traces, told = Traces("m1"), list[Outcome]()
    first = begun(traces, 1, told)
    traces.on_proposed(5, 2, 1)
    second = begun(traces, 2, told)
    traces.on_proposed(5, 4, 1)
    first(ModelRefused(9, "lost"))
    traces.on_committed(5, {})
    second(b"done")
    assert [steps(it)[2:] for it in ways] == [
        ["proposed", "answered"],
        ["proposed", "committed", "applied", "answered"],
    ]
    assert traces == Traces("m1")
