"""A clock that is set takes no time from anybody, and gives nobody hours."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from roost.etcd.v2 import nodes
from roost.etcd.v2.dates import SET_CLOCK, Dates
from roost.etcd.v2.expiry import EXPIRE
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.replica import LocalReplica
from tests.etcd.v2.face import NOON_S, Face

HOUR_S = 3600.0


async def look(face: Face) -> None:
    face.v2._expiry.look()
    await until_idle()


async def node_of(face: Face, key: str) -> dict[str, Any]:  # Any: as JSON has it
    answer = await face.ask("GET", key)
    found: dict[str, Any] = msgspec.json.decode(answer.body).get("node", {})
    return found


@pytest.mark.parametrize("jump_s", [3 * HOUR_S, -3 * HOUR_S, 60.0, -60.0, 70 * 365 * 24 * HOUR_S])
def test_a_clock_that_is_set_ends_nothing_early_and_nothing_hours_late(jump_s: float) -> None:
    """Set by hours, the clock of the leader ended all keys with a time to live, or kept them."""

    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", ttl=10)
            await face.ask("PUT", "/d/b", ttl=20)
            await face.ask("PUT", "/ever")
            face.set_s = jump_s
            await look(face)
            node = await node_of(face, "/a")
            shown = datetime.fromisoformat(node["expiration"])
            assert (node["ttl"], shown) == (10, datetime.fromtimestamp(NOON_S + jump_s + 10, UTC))
            await face.ask("PUT", "/new", ttl=10)
            face.now_s += 9.0
            await look(face)
            assert sorted(await face.tree()) == ["a", "d", "ever", "new"]
            face.now_s += 1.0
            await look(face)
            assert sorted(await face.tree()) == ["d", "ever"]
            face.now_s += 10.0
            await look(face)
            assert await node_of(face, "/d/b") == {}

    run_virtually(story())


def test_before_anybody_has_looked_the_old_date_goes_on() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", ttl=10)
            face.set_s = 3 * HOUR_S
            face.replica.transact_nowait(EXPIRE, b"", lambda _outcome: None)
            await until_idle()
            assert list(await face.tree()) == ["a"]
            assert (await node_of(face, "/a"))["ttl"] == 10

    run_virtually(story())


def test_many_nodes_are_moved_in_slices() -> None:
    async def story() -> None:
        with Face() as face:
            for number in range(300):
                await face.ask("PUT", f"/{number}", ttl=100)
            face.set_s = -HOUR_S
            await look(face)
            face.now_s += 99.0
            await look(face)
            assert len(await face.tree()) == 300
            for _ in range(4):
                face.now_s += 1.0
                await look(face)
            assert await face.tree() == {}

    run_virtually(story())


def test_a_clock_that_is_slowed_down_is_followed_and_nobody_is_asked() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", ttl=10)
            asked: list[str] = []
            transact = face.replica.transact_nowait

            def hear(name: str, *rest: Any) -> None:  # Any: as it is called
                asked.append(name)
                transact(name, *rest)

            face.replica.transact_nowait = hear  # type: ignore[method-assign,assignment]  # to listen
            for _ in range(10):
                face.set_s += 0.5
                await look(face)
            assert (asked, face.v2._expiry._dates.now_ns()) == ([], int((NOON_S + 5) * 1e9))
            face.set_s += HOUR_S
            face.replica.leader_id = 2  # who leads sees to it, by its own clock
            await look(face)
            assert asked == []
            assert not face.v2._expiry._dates.is_set

    run_virtually(story())


def test_dates_that_could_not_be_moved_are_what_they_were() -> None:
    replica = LocalReplica()
    now, set_by = [100.0], [0.0]
    dates = Dates(
        nodes.trees_of(replica.store), wall_s=lambda: now[0] + set_by[0], clock_s=lambda: now[0]
    )
    set_by[0] = HOUR_S
    assert (dates.is_set, dates.now_ns()) == (True, 100 * 10**9)
    assert dates.set_clock(replica.store.begin(), b"") == b""
    assert (dates.is_set, dates.now_ns()) == (False, 3700 * 10**9)
    dates.end_move(is_done=False)
    assert (dates.is_set, dates.now_ns()) == (True, 100 * 10**9)
    dates.set_clock(replica.store.begin(), b"")
    dates.end_move(is_done=True)
    dates.end_move(is_done=False)
    assert (dates.is_set, dates.now_ns()) == (False, 3700 * 10**9)
    set_by[0] = -1e6
    dates.follow()
    assert dates.now_ns() == 0, "there is none before 1970"
    replica.close()


def test_where_no_clock_was_set_nothing_is_moved() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", ttl=10)
            before = await node_of(face, "/a")
            face.replica.transact_nowait(SET_CLOCK, b"", lambda _outcome: None)
            await until_idle()
            assert await node_of(face, "/a") == before

    run_virtually(story())
