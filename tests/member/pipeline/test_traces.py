"""A request with an id is followed from the member that was asked through the leader, by steps."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost import tracing
from roost.errors import ModelRefused, RoostError
from roost.flow import Flow
from roost.member import Member
from roost.outcome import settle_future
from roost.sim.members.loop import run_virtually
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
