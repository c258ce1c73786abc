"""Watches: everything once, in order, from wherever they begin, however slow they are."""

import json
import tracemalloc

import pytest

from roost.errors import Overloaded
from roost.etcd.v2 import history, watch_hub, watchers
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.watchers import Watcher
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.v2.face import Face


def indexes(told: bytes) -> list[int]:
    return [json.loads(it)["node"]["modifiedIndex"] for it in told.splitlines()]


def told_to(watcher: Watcher) -> bytes:
    return b"".join(watcher.take_pieces())


def stream(face: Face, path: bytes = b"/", wait_index: int = 0) -> Watcher:
    return face.v2.hub.open(path, wait_index, is_recursive=True, is_stream=True)


async def put(face: Face, count: int, key: str = "/a") -> None:
    for number in range(count):
        await face.ask("PUT", key, value=number)


async def take_all(face: Face, watcher: Watcher) -> list[int]:
    """What a client hears that takes everything at once."""
    found: list[int] = []
    while True:
        await until_idle()
        told = told_to(watcher)
        found += indexes(told)
        if watcher.is_over:
            return found
        if not told and watcher.is_live:
            return found
        face.v2.hub.follow(watcher)


def test_who_begins_in_the_past_is_told_all_of_it_and_what_follows() -> None:
    """etcd's stream is told one event of the past, and nothing more for ever."""

    async def story() -> None:
        with Face() as face:
            await put(face, 300)
            watcher = stream(face, wait_index=20)
            assert await take_all(face, watcher) == [*range(20, 301)]
            await put(face, 5)
            assert await take_all(face, watcher) == [*range(301, 306)]
            face.v2.hub.close(watcher)
            assert (face.v2.hub.count, face.v2.hub.behind_count) == (0, 0)

    run_virtually(story())


def test_who_begins_in_the_future_hears_nothing_before() -> None:
    async def story() -> None:
        with Face() as face:
            watcher = stream(face, wait_index=4)
            await put(face, 5)
            assert await take_all(face, watcher) == [4, 5]

    run_virtually(story())


def test_one_event_is_all_that_is_told_without_stream() -> None:
    async def story() -> None:
        with Face() as face:
            await put(face, 3)
            late = face.v2.hub.open(b"/a", 2, is_recursive=False, is_stream=False)
            early = face.v2.hub.open(b"/a", 0, is_recursive=False, is_stream=False)
            await put(face, 3)
            assert await take_all(face, late) == [2]
            assert await take_all(face, early) == [4]

    run_virtually(story())


def test_who_takes_nothing_keeps_little_and_misses_nothing() -> None:
    async def story() -> None:
        with Face() as face:
            slow, quick = stream(face), stream(face)
            heard: list[int] = []
            for _ in range(50):
                await put(face, 10)
                await until_idle()
                heard += indexes(told_to(quick))
            assert heard == [*range(1, 501)]
            assert not slow.is_live
            assert face.v2.hub.behind_count == 1
            first = indexes(told_to(slow))
            assert first == [*range(1, watchers.PENDING_MAX + 1)]
            face.v2.hub.follow(slow)
            assert first + await take_all(face, slow) == [*range(1, 501)]

    run_virtually(story())


def test_large_events_fill_it_sooner() -> None:
    async def story() -> None:
        with Face() as face:
            slow = stream(face)
            for _ in range(8):
                await face.ask("PUT", "/a", value="v" * 100_000)
            await until_idle()
            assert len(told_to(slow)) < watchers.PENDING_BYTES_MAX + 300_000
            assert not slow.is_live

    run_virtually(story())


def test_what_is_kept_no_longer_is_said_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "COUNT_MIN", 10)
    monkeypatch.setattr(history, "BYTES_MIN", 100)

    async def story() -> None:
        with Face() as face:
            slow = stream(face)
            await put(face, watchers.PENDING_MAX + 30)
            with pytest.raises(Fault) as caught:
                stream(face, wait_index=5)
            assert caught.value.reason is Reason.EVENT_CLEARED
            assert caught.value.cause == b"the requested history has been cleared [121/5]"
            assert caught.value.index == watchers.PENDING_MAX + 30
            await until_idle()
            assert len(indexes(told_to(slow))) == watchers.PENDING_MAX
            assert await take_all(face, slow) == []
            assert slow.fault is not None
            assert slow.fault.cause == b"the requested history has been cleared [121/101]"

    run_virtually(story())


def test_who_has_heard_all_that_it_wants_is_not_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was told last may be gone for long: nothing that it wants came since."""
    monkeypatch.setattr(history, "COUNT_MIN", 10)
    monkeypatch.setattr(history, "BYTES_MIN", 100)

    async def story() -> None:
        with Face() as face:
            slow = stream(face, b"/mine")
            await put(face, watchers.PENDING_MAX, "/mine")
            await put(face, 100, "/others")
            await put(face, 1, "/mine")
            await until_idle()
            assert len(indexes(told_to(slow))) == watchers.PENDING_MAX
            assert await take_all(face, slow) == [watchers.PENDING_MAX + 101]

    run_virtually(story())


def test_an_event_that_many_want_is_told_a_part_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_hub, "TELL_STEPS", 10)

    async def story() -> None:
        with Face() as face:
            many = [stream(face) for _ in range(200)]
            await put(face, 1)
            assert 0 < sum(bool(told_to(it)) for it in many) < 100
            await put(face, 2)
            late = stream(face)
            await put(face, 1)
            await until_idle()
            heard = [indexes(told_to(it)) for it in many]
            assert {tuple(it[-3:]) for it in heard} == {(2, 3, 4)}
            assert indexes(told_to(late)) == [4]

    run_virtually(story())


def test_an_event_and_the_one_who_wants_it_are_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two they were: whoever waited again and again heard of a quarter of the changes."""
    monkeypatch.setattr(watch_hub, "TELL_STEPS", 10)

    async def story() -> None:
        with Face() as face:
            open_one = face.v2.hub.open
            many = [
                open_one(b"/%d" % it, 0, is_recursive=False, is_stream=False) for it in range(20)
            ]
            for number in range(20):
                await put(face, 1, f"/{number}")
            assert sum(it.is_over for it in many) == 10, "this turn has no time for more"
            await until_idle()
            assert all(it.is_over for it in many)

    run_virtually(story())


@pytest.mark.slow
def test_ten_thousand_streams_take_little_and_are_told_of_each_change_once() -> None:
    """What their connections take besides is measured by `python -m bench.v2`."""
    count = 10_000

    async def story() -> None:
        with Face() as face:
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                many = [stream(face) for _ in range(count)]
                await until_idle()
                opened, _ = tracemalloc.get_traced_memory()
                await put(face, 1)
                await put(face, 1, "/b")
                await until_idle()
                told, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            # A place of its own for each, and then a queue that shares its events with all others.
            assert (opened - before) / count < 2 << 10
            assert (told - opened) / count < 512
            assert {tuple(indexes(told_to(it))) for it in many} == {(1, 2)}
            for it in many:
                face.v2.hub.close(it)
            assert (face.v2.hub.count, face.v2.hub.behind_count) == (0, 0)

    run_virtually(story())


def test_a_snapshot_is_heard_as_what_has_changed_in_it() -> None:
    """Its events are in it, as in every state."""

    async def story() -> None:
        with Face() as face:
            watcher = stream(face)
            await put(face, 2)
            hub = face.v2.hub
            hub.on_changed()
            assert await take_all(face, watcher) == [1, 2]

    run_virtually(story())


def test_there_are_so_many_and_no_more() -> None:
    async def story() -> None:
        with Face(watchers_max=2) as face:
            first = stream(face)
            stream(face)
            with pytest.raises(Overloaded):
                stream(face)
            face.v2.hub.close(first)
            face.v2.hub.close(first)
            stream(face)

    run_virtually(story())


def test_when_rights_change_whoever_watches_is_told_to_come_again() -> None:
    async def story() -> None:
        with Face() as face:
            watcher = stream(face)
            face.v2.on_rights_changed()
            await until_idle()
            assert watcher.fault is not None
            assert watcher.fault.status == 401

    run_virtually(story())


def test_who_makes_a_change_is_told_what_watchers_are_made_json_once() -> None:
    async def story() -> None:
        with Face() as face:
            hub = face.v2.hub
            alone = await face.ask("PUT", "/a", value="1")
            assert hub.told(1) is None, "nobody watches"
            watcher = stream(face)
            answer = await face.ask("PUT", "/a", value="1")
            told = hub.told(2)
            assert told is not None
            assert answer.body is told.text
            assert told_to(watcher) == answer.body
            old = b',"prevNode":{"key":"/a","value":"1","modifiedIndex":1,"createdIndex":1}'
            shown = alone.body.replace(b'Index":1', b'Index":2')
            assert answer.body == shown.replace(b"}}\n", b"}" + old + b"}\n")
            await face.ask("PUT", "/a", value="v" * (watch_hub.RECENT_BYTES + 1))
            assert hub.told(3) is None, "what is long is kept by nobody"
            await face.ask("PUT", "/a", value="1")
            silent = await face.ask("PUT", "/a", value="2", noValueOnSuccess="true")
            assert silent.body == b'{"action":"set"}\n'
            assert hub.told(5) is not None
            stream(face, b"/b")  # the other is full soon, and told from history then
            await put(face, watch_hub.RECENT_MAX)
            await until_idle()
            assert hub.told(5) is None
            assert hub.told(5 + watch_hub.RECENT_MAX) is not None

    run_virtually(story())
