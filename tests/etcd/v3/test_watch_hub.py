"""A watcher's trouble is its own: the others hear all the same."""

from collections.abc import Callable
from typing import Any

import pytest

from roost.etcd.model.costs import Costs
from roost.etcd.v3 import watch
from roost.etcd.v3.watch_hub import WatchHub
from roost.etcd.v3.watch_rights import WatchRights
from roost.etcd.v3.watchers import Watcher
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from roost.store import Changes
from tests.etcd.v3.test_watch import FakeStream
from tests.etcd.v3.test_watch import World as WatchWorld
from tests.steps import steps_of

INTERNAL = 13


def _told(world: WatchWorld, story: Callable[[], None]) -> None:
    async def main() -> None:
        story()
        await until_idle()

    run_virtually(main())


def test_a_watch_from_before_the_beginning_begins_now() -> None:
    """As etcd; and it ended the catching up of every other watcher of the member."""
    world = WatchWorld()
    world.put(b"a")
    stream = FakeStream()
    other = watch.WatchStream(world.services.watches, stream)
    create = pb.WatchCreateRequest(key=b"a", start_revision=-1)

    def story() -> None:
        other.on_message(pb.WatchRequest(create_request=create).SerializeToString())
        world.watch(key=b"a", start_revision=2)

    _told(world, story)
    assert [it.kv.mod_revision for it in world.stream.events(0)] == [2]
    _told(world, lambda: world.put(b"a"))
    assert [it.kv.mod_revision for it in stream.events(0)] == [3]
    world.compact(3)
    _told(
        world,
        lambda: other.on_message(pb.WatchRequest(create_request=create).SerializeToString()),
    )
    assert stream.sent[-1].canceled
    assert stream.sent[-1].compact_revision == 3
    world.replica.close()


@pytest.mark.parametrize("start", [0, 2], ids=["synced", "behind"])
def test_a_watcher_that_cannot_be_served_ends_its_own_stream_only(
    monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    world = WatchWorld()
    world.put(b"a", b"1")
    broken = FakeStream()
    handler = watch.WatchStream(world.services.watches, broken)
    real = WatchHub.answers

    def answers(hub: WatchHub, watcher: Watcher, *rest: Any) -> list[bytes]:
        if watcher.stream is handler:
            raise ValueError("this one cannot be told")
        return real(hub, watcher, *rest)

    monkeypatch.setattr(WatchHub, "answers", answers)

    def story() -> None:
        for _ in range(2):
            create = pb.WatchCreateRequest(key=b"a", start_revision=start)
            handler.on_message(pb.WatchRequest(create_request=create).SerializeToString())
        world.watch(key=b"a", start_revision=start)
        world.put(b"a", b"2")

    _told(world, story)
    assert broken.finished == (INTERNAL, "internal error")
    assert world.stream.events(0)[-1].kv.value == b"2"
    hub = world.services.watches
    assert (hub.count, hub.stream_count, hub.behind_count) == (1, 1, 0)
    world.replica.close()


@pytest.mark.parametrize("start", [0, 2], ids=["synced", "behind"])
def test_a_stream_of_very_many_watches_ends_over_turns_and_hears_nothing_meanwhile(
    start: int,
) -> None:
    world, stream = WatchWorld(), FakeStream()
    hub = world.services.watches
    world.put(b"k0")

    async def main() -> None:
        handler = watch.WatchStream(hub, stream)
        for number in range(3000):
            create = pb.WatchCreateRequest(key=b"k%d" % (number % 7), start_revision=start)
            handler.on_message(pb.WatchRequest(create_request=create).SerializeToString())
        said = len(stream.sent)
        assert steps_of(handler.on_cancel) < 20_000
        assert hub.count > 2000, "most of them are still there"
        world.watch(key=b"k1", start_revision=start)
        world.put(b"k1")
        hub.note_progress()
        hub.on_rights_changed()
        await until_idle()
        assert len(stream.sent) == said
        assert (hub.count, hub.behind_count, hub.stream_count) == (1, 0, 1)
        assert [it.kv.key for it in world.stream.events(0)] == [b"k1"]

    run_virtually(main())
    world.replica.close()


MANY = 3000


def _watch_many(world: WatchWorld, **more: bool) -> None:
    for number in range(MANY):
        world.watch(key=b"k%d" % number, **more)
    world.stream.sent.clear()


def test_very_many_hear_of_progress_over_turns_and_once() -> None:
    """Issue 14: a hundred thousand watches of one member held its loop once an interval."""
    world = WatchWorld()
    hub = world.services.watches

    async def main() -> None:
        _watch_many(world, progress_notify=True)
        for _ in range(2):  # an interval brings nothing while the one before is under way
            assert steps_of(hub.note_progress) < 10_000
        assert 0 < len(world.stream.sent) < MANY
        await until_idle()
        assert sorted(it.watch_id for it in world.stream.sent) == list(range(MANY))
        assert not any(it.events or it.canceled for it in world.stream.sent)
        hub.note_progress()
        await until_idle()
        assert len(world.stream.sent) == 2 * MANY

    run_virtually(main())
    world.replica.close()


def test_who_asks_for_progress_again_has_its_watches_looked_through_once() -> None:
    """Issue 14: each of thousands of such requests looked at each of ten thousand watches."""
    world = WatchWorld()
    asked = pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString()

    def ask() -> int:
        return steps_of(lambda: world.handler.on_message(asked))

    async def main() -> None:
        _watch_many(world)
        assert ask() > 2 * MANY
        assert max(ask() for _ in range(10)) < 200
        world.put(b"none")
        assert ask() < 200
        assert len(world.stream.sent) == 12
        world.watch(key=b"none", start_revision=1)
        world.stream.sent.clear()
        assert ask() > MANY
        assert max(ask() for _ in range(10)) < 200
        assert world.stream.sent == [], "one is behind"
        await until_idle()
        world.stream.sent.clear()
        assert ask() > MANY
        assert max(ask() for _ in range(10)) < 200
        assert [it.header.revision for it in world.stream.sent] == [2] * 11

    run_virtually(main())
    world.replica.close()


def test_who_lost_its_rights_is_told_of_no_event_however_many_are_asked_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Issue 14: that many checks in one step held the loop; in steps, none may come too late."""
    world = WatchWorld()
    hub = world.services.watches
    lost = b"k%d" % (MANY - 1)

    def may(_rights: WatchRights, asked: Watcher) -> Costs[bool]:
        yield 1
        return asked.first != lost

    monkeypatch.setattr(WatchRights, "_may", may)

    async def main() -> None:
        _watch_many(world)
        assert steps_of(hub.on_rights_changed) < 10_000
        assert hub.count == MANY, "its turn has not come"
        world.put(lost)
        world.put(b"k0")
        await until_idle()
        assert world.stream.events(0)[0].kv.key == b"k0"
        assert not world.stream.events(MANY - 1)
        assert [it.watch_id for it in world.stream.sent if it.canceled] == [MANY - 1]
        assert hub.count == MANY - 1

    run_virtually(main())
    world.replica.close()


def test_an_entry_of_several_revisions_that_cannot_be_told_at_once_is_told_whole_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = WatchWorld()
    real = WatchHub._tell_synced
    fails = [True]

    def tell(hub: WatchHub, changes: Changes) -> None:
        if fails and fails.pop():
            raise MemoryError
        real(hub, changes)

    monkeypatch.setattr(WatchHub, "_tell_synced", tell)

    def story() -> None:
        world.watch(key=b"a", range_end=b"c")
        store, put = world.replica.store, world.replica._operations["etcd.put"]
        txn = store.begin()
        for key in (b"a", b"b"):
            put(txn, pb.PutRequest(key=key, value=b"1").SerializeToString())
        store.apply(store.applied_index + 1, txn.encode())
        world.put(b"b", b"2")

    _told(world, story)
    assert [it.kv.mod_revision for it in world.stream.events(0)] == [2, 3, 4]
    world.replica.close()


def test_when_a_snapshot_comes_very_many_are_behind_at_once_and_none_hears_twice() -> None:
    """Issue 14: each was looked at in the step in which the snapshot was put in place."""
    world = WatchWorld()
    hub = world.services.watches
    world.put(b"k1")

    async def main() -> None:
        _watch_many(world)
        after = hub._before_switch()
        world.put(b"k0")  # here by the snapshot, of which nobody is told as it is applied
        assert steps_of(after) < 5000
        assert hub.behind_count == MANY
        await until_idle()
        assert hub.behind_count == 0
        assert [it.kv.key for it in world.stream.events(0)] == [b"k0"]

    run_virtually(main())
    world.replica.close()
