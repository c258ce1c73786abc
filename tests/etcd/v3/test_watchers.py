"""What a watcher wants, and an index that finds it: held against asking every one of them."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.access.judge import Judge
from roost.etcd.v3.watchers import Event, Watcher, WatcherIndex
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from tests.etcd.v3.test_fan_out import FakeListener

KEYS = [b"", b"\0", b"a", b"ab", b"abc", b"b", b"ba", b"\xff", b"\xff\xff"]
ENDS = [*KEYS, b"\0"]


def event(key: bytes, main: int = 5, *, is_delete: bool = False) -> Event:
    kv = kv_pb2.KeyValue(key=key, mod_revision=main, version=0 if is_delete else 1)
    return Event(main.to_bytes(8, "big") + bytes(8), kv.SerializeToString())


def watcher(key: bytes = b"a", range_end: bytes = b"", **fields: object) -> Watcher:
    request = pb.WatchCreateRequest(key=key, range_end=range_end, **fields)  # type: ignore[arg-type]  # a test's fields
    return Watcher(FakeListener(), request)


@pytest.mark.parametrize(
    ("key", "range_end", "wanted"),
    [
        (b"a", b"", [b"a"]),
        (b"a", b"b", [b"a", b"ab", b"abc"]),
        (b"ab", b"\0", [b"ab", b"abc", b"b", b"ba", b"\xff", b"\xff\xff"]),
        (b"", b"\0", KEYS[1:]),
        (b"b", b"a", []),
        (b"\xff", b"\0", [b"\xff", b"\xff\xff"]),
    ],
)
def test_a_range_is_a_key_a_prefix_what_follows_or_everything(
    key: bytes, range_end: bytes, wanted: list[bytes]
) -> None:
    """rpc.proto: WatchCreateRequest.key, range_end; an empty key is the smallest one."""
    one = watcher(key, range_end)
    assert [it for it in KEYS[1:] if one.wants(event(it))] == wanted


def test_what_is_filtered_or_was_told_already_is_not_wanted() -> None:
    put, delete = event(b"a"), event(b"a", is_delete=True)
    filters = pb.WatchCreateRequest.FilterType
    assert watcher().wants(put)
    assert watcher().wants(delete)
    no_puts = watcher(filters=[filters.NOPUT])
    assert (no_puts.wants(put), no_puts.wants(delete)) == (False, True)
    no_deletes = watcher(filters=[filters.NODELETE])
    assert (no_deletes.wants(put), no_deletes.wants(delete)) == (True, False)
    later = watcher()
    later.next_revision = 6
    assert not later.wants(event(b"a", 5))
    assert later.wants(event(b"a", 6))


def test_an_event_is_encoded_once_for_all_and_once_for_those_who_want_the_value_before() -> None:
    one = event(b"a", is_delete=True)
    assert one.wire() is one.wire()
    answer = pb.WatchResponse.FromString(one.wire())
    assert [(it.type, it.kv.key) for it in answer.events] == [(kv_pb2.Event.DELETE, b"a")]
    before = kv_pb2.KeyValue(key=b"a", value=b"old")
    looked: list[Event] = []

    def look(it: Event) -> bytes | None:
        looked.append(it)
        return before.SerializeToString()

    with_previous = one.wire_with_previous(look)
    answer = pb.WatchResponse.FromString(with_previous)
    assert answer.events[0].prev_kv == before
    assert one.wire_with_previous(look) is with_previous
    assert looked == [one]
    assert not pb.WatchResponse.FromString(one.wire()).events[0].HasField("prev_kv")


def test_who_watches_needs_the_right_to_read_all_of_its_range() -> None:
    asked: list[object] = []

    @dataclass
    class Asked:
        def need_read(self, first: bytes, range_end: bytes) -> None:
            asked.append((first, range_end))

    judge: Judge = Asked()  # type: ignore[assignment]  # it is asked for one thing
    watcher(b"a", b"c").check(judge)
    watcher(b"", b"\0").check(judge)
    assert asked == [(b"a", b"c"), (b"\0", b"\0")]


WHAT = st.sampled_from(["add", "discard"])


@given(st.lists(st.tuples(WHAT, st.sampled_from(KEYS), st.sampled_from(ENDS)), max_size=40))
def test_the_index_finds_whoever_would_say_yes_and_each_once(
    actions: list[tuple[str, bytes, bytes]],
) -> None:
    index, held = WatcherIndex(), list[Watcher]()
    for what, key, range_end in actions:
        if what == "add":
            held.append(watcher(key, range_end))
            index.add(held[-1])
        elif held:
            gone = held.pop(len(key) % len(held))
            index.discard(gone)
            index.discard(gone)  # it is there no more, and nobody else goes for it
        assert len(index) == len(held)
        assert set(index) == set(held)
        for asked in KEYS[1:]:
            found = list(index.candidates(asked))
            assert len(found) == len(set(found))
            assert set(found) == {it for it in held if it.wants(event(asked))}
