"""Locks and leaders of etcd 0.3: in the order of coming, waking one, given back by whoever goes."""

import asyncio
from typing import Any

import pytest

from roost.etcd.v2.faults import Reason
from roost.etcd.v2.values import Kind
from roost.exchange import Answer, Streaming
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from roost.tasks import Tasks
from tests.etcd.v2.face import Face, Leaver, json_of

KEY = "/mod/v2/lock/a/b"
PLACES = "/_etcd/mod/lock/a/b"


class Locks:
    """Clients of the modules of one member."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.tasks = Tasks()

    async def ask(
        self, method: str, path: str = KEY, leaver: Leaver | None = None, **form: Any
    ) -> Answer:
        answer = await self.face.module(method, path, leaver, **form)
        assert not isinstance(answer, Streaming)
        return answer

    async def text(self, method: str, path: str = KEY, **form: Any) -> str:
        answer = await self.ask(method, path, **form)
        assert answer.status == 200, answer
        return answer.body.decode()

    def begin(self, leaver: Leaver | None = None, **form: Any) -> asyncio.Task[Answer]:
        """Wait for the lock."""
        return self.tasks.start(self.ask("POST", leaver=leaver, **{"ttl": 100, **form}))

    async def places(self) -> list[str]:
        return list(await self.face.tree(PLACES))


def test_a_lock_is_held_in_the_order_of_coming_with_growing_indexes() -> None:
    async def story() -> None:
        with Face() as face:
            locks = Locks(face)
            waiting = [locks.begin() for _ in range(5)]
            await until_idle()
            held: list[int] = []
            for task in waiting:
                assert [it.done() for it in waiting] == [True] * (len(held) + 1) + [False] * (
                    len(waiting) - len(held) - 1
                )
                held.append(int((await task).body))
                assert await locks.text("GET", field="index") == str(held[-1])
                await locks.text("DELETE", index=held[-1])
                await until_idle()
            assert held == sorted(set(held))
            assert await locks.text("GET") == ""

    run_virtually(story())


def test_one_that_goes_wakes_one_and_renewals_wake_nobody() -> None:
    async def story() -> None:
        with Face() as face:
            locks = Locks(face)
            count = 50
            waiting = [locks.begin(ttl=10) for _ in range(count)]
            await until_idle()
            first = int((await waiting[0]).body)
            reads = face.v2.reads
            looks = reads.awaited_count
            for _ in range(10):  # each waiter renews its own place, and the holder the first
                await pass_time(5)
                await locks.text("PUT", ttl=10, index=first)
            assert reads.awaited_count - looks == 10, "the holder's own ten, and nobody else's"
            looks = reads.awaited_count
            await locks.text("DELETE", index=first)
            await until_idle()
            assert reads.awaited_count - looks <= 2, "that one, and the one behind it"
            assert [it.done() for it in waiting].count(True) == 2
            await locks.tasks.close()
            await until_idle()

    run_virtually(story())


@pytest.mark.parametrize("how", ["leaves", "is late", "is late at once", "holds on"])
def test_who_waits_no_more_gives_its_place_back(how: str) -> None:
    async def story() -> None:
        with Face() as face:
            locks, leaver = Locks(face), Leaver()
            await locks.text("POST", ttl=100)
            timeout = {"is late": {"timeout": 7}, "is late at once": {"timeout": 0}}.get(how, {})
            loop = asyncio.get_running_loop()
            begun_s = loop.time()
            waiting = locks.begin(leaver, **timeout)
            behind = locks.begin()
            await until_idle()
            if how == "leaves":
                leaver.leave()
                await until_idle()
            elif timeout:
                answer = await waiting
                assert json_of(answer)["errorCode"] == Reason.INTERNAL
                assert loop.time() - begun_s == pytest.approx(timeout["timeout"], abs=0.1)
            await until_idle()
            assert len(await locks.places()) == (3 if how == "holds on" else 2)
            assert not behind.done(), "the first one still holds it"
            await locks.tasks.close()
            await until_idle()

    run_virtually(story())


def test_a_place_that_was_taken_for_somebody_who_has_gone_is_given_back() -> None:
    async def story() -> None:
        with Face() as face:
            locks, leaver = Locks(face), Leaver()
            await face.ask("PUT", PLACES, dir="true")
            transact, asked = face.replica.transact_nowait, list[tuple[Any, ...]]()

            def held_back(*its: Any) -> None:
                asked.append(its)

            face.replica.transact_nowait = held_back  # type: ignore[method-assign,assignment]  # late
            locks.begin(leaver)
            await until_idle()
            leaver.leave()  # before the leader has said anything
            await until_idle()
            face.replica.transact_nowait = transact  # type: ignore[method-assign]  # as it was
            [its] = asked
            transact(*its)
            await until_idle()
            assert await locks.places() == []
            assert face.v2.operations.succeeded[Kind.COMPARE_DELETE] == 1

    run_virtually(story())


def test_a_holder_that_says_nothing_loses_it_and_a_waiter_that_lives_does_not() -> None:
    async def story() -> None:
        with Face() as face:
            locks = Locks(face)
            await locks.text("POST", ttl=10)
            waiting = locks.begin(ttl=4)
            await face.pass_time(9)
            assert not waiting.done()
            assert len(await locks.places()) == 2, "the one that waits has renewed its place"
            await face.pass_time(2)
            await waiting
            assert len(await locks.places()) == 1

    run_virtually(story())


def test_a_value_has_one_place_and_all_who_say_it_are_answered() -> None:
    async def story() -> None:
        with Face() as face:
            locks = Locks(face)
            held = await locks.text("POST", ttl=100, value="x")
            same = [locks.begin(value="y") for _ in range(3)]
            await until_idle()
            assert len(await locks.places()) == 2
            assert await locks.text("POST", ttl=100, value="x") == held, "it is renewed"
            await locks.text("DELETE", value="x")
            answers = {(await it).body for it in same}
            assert len(answers) == 1
            assert await locks.text("GET") == "y"
            # Whoever is named as nobody is not shared.
            mine = locks.begin()
            other = locks.begin()
            await until_idle()
            assert len(await locks.places()) == 3
            assert not (mine.done() or other.done())
            await locks.tasks.close()
            await until_idle()

    run_virtually(story())


def test_who_joined_a_place_that_is_given_back_takes_one_of_its_own() -> None:
    async def story() -> None:
        with Face() as face:
            locks, leaver = Locks(face), Leaver()
            await locks.text("POST", ttl=100, value="x")
            locks.begin(leaver, value="y")
            await until_idle()
            joined = locks.begin(value="y")
            await until_idle()
            leaver.leave()
            await until_idle()
            await locks.text("DELETE", value="x")
            index = (await joined).body
            assert await locks.text("GET", field="index") == index.decode()

    run_virtually(story())


def test_a_place_that_somebody_else_holds_is_not_given_back() -> None:
    """A client whose request got stuck asks another member under its value, and holds the lock."""

    async def story() -> None:
        with Face() as face:
            locks, leaver = Locks(face), Leaver()
            await face.ask("PUT", PLACES, dir="true")
            transact, stuck = face.replica.transact_nowait, list[tuple[Any, ...]]()
            count = 0

            def held_back(*its: Any) -> None:
                nonlocal count
                count += 1
                if count == 1:  # it takes its place, and then the leader is not reached any more
                    transact(*its)
                else:
                    stuck.append(its)

            face.replica.transact_nowait = held_back  # type: ignore[method-assign,assignment]  # stuck
            locks.begin(leaver, value="y")
            await until_idle()
            face.replica.transact_nowait = transact  # type: ignore[method-assign]  # as it was
            held = await locks.text("POST", ttl=100, value="y")
            leaver.leave()
            await until_idle()
            assert await locks.text("GET", field="index") == held, "its holder was told so"

    run_virtually(story())


def test_one_that_waits_notices_when_somebody_else_has_renewed_its_place() -> None:
    async def story() -> None:
        with Face() as face:
            locks, leaver = Locks(face), Leaver()
            await locks.text("POST", ttl=100, value="x")
            locks.begin(leaver, ttl=4, value="y")
            await until_idle()
            await face.pass_time(3)
            await locks.text("PUT", ttl=100, value="y")
            await face.pass_time(3)
            leaver.leave()
            await until_idle()
            assert len(await locks.places()) == 2, "whoever renewed it may believe to have it"

    run_virtually(story())


@pytest.mark.parametrize(
    ("method", "form", "code"),
    [
        ("POST", {}, 202),
        ("POST", {"ttl": "x"}, 202),
        ("POST", {"ttl": 1, "timeout": "x"}, 205),
        ("GET", {"field": "x"}, 209),
        ("PUT", {"index": 1}, 202),
        ("PUT", {"ttl": 1}, 207),
        ("PUT", {"ttl": 1, "index": 1, "value": "x"}, 208),
        ("PUT", {"ttl": 1, "index": 1}, 100),
        ("DELETE", {}, 207),
        ("DELETE", {"index": 1, "value": "x"}, 208),
        ("DELETE", {"value": "x"}, 100),
    ],
)
def test_what_cannot_be_is_said_by_a_code(method: str, form: dict[str, Any], code: int) -> None:
    async def story() -> None:
        with Face() as face:
            assert json_of(await Locks(face).ask(method, **form))["errorCode"] == code

    run_virtually(story())


def test_what_else_stands_in_a_queue_is_nobodys_place() -> None:
    async def story() -> None:
        with Face() as face:
            locks = Locks(face)
            await face.ask("PUT", PLACES + "/0", value="1")
            await face.ask("PUT", PLACES + "/" + "0" * 20, dir="true")
            index = await locks.text("POST", ttl=100, timeout=0)
            assert await locks.text("GET", field="index") == index

    run_virtually(story())


def test_a_leader_is_who_holds_the_lock_with_its_name() -> None:
    async def story() -> None:
        with Face() as face:
            locks, path = Locks(face), "/mod/v2/leader/a/b"
            for answer in (await locks.ask("PUT", path, ttl=1), await locks.ask("DELETE", path)):
                assert json_of(answer)["errorCode"] == 206
            assert await locks.text("GET", path) == ""
            index = await locks.text("PUT", path, name="x", ttl=100)
            assert await locks.text("PUT", path, name="x", ttl=100) == index, "it stays"
            assert (await locks.text("GET", path), await locks.text("GET")) == ("x", "x")
            other = locks.tasks.start(locks.text("PUT", path, name="y", ttl=100))
            await until_idle()
            assert not other.done()
            await locks.text("DELETE", path, name="x")
            assert int(await other) > int(index)
            assert await locks.text("GET", path) == "y"
            assert (await locks.ask("POST", path)).status == 405
            assert (await locks.ask("GET", "/mod/v2/lock/")).status == 404
            assert (await locks.ask("GET", "/mod/v2/other/x")).status == 404

    run_virtually(story())


def test_who_waits_on_a_member_that_stops_gives_its_place_back() -> None:
    async def story() -> None:
        with Face() as face:
            locks = Locks(face)
            await locks.text("POST", ttl=100)
            locks.begin()
            await until_idle()
            assert len(await locks.places()) == 2
            assert (await face.request("GET", "/v1/keys/a")) == Answer(
                410,
                b"/v1 is gone: ask /v2/keys, or /v3 for what is new\n",
                ((b"content-type", b"text/plain; charset=utf-8"),),
            )
            await face.v2.close()
            assert len(await locks.places()) == 1

    run_virtually(story())
