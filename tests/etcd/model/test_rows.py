"""The keys of a range at any revision, part by part, held against a dict of each revision."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.etcd.model import rows as rows_module
from roost.etcd.model.rows import CurrentRows, OldRows, Rows
from roost.etcd.model.wire import decode_key_value
from tests.etcd.v3.test_watch import World

KEYS = [b"a", b"a\0", b"ab", b"b", b"\xff"]
STOPS = st.sampled_from([None, *KEYS])


def read(rows: Rows, count_max: int) -> list[tuple[bytes, bytes]]:
    """All keys and values, in the order in which they were taken."""
    found = []
    while not rows.is_done:
        part = rows.take(count_max)
        assert len(part) <= count_max
        for name, encoded in part:
            assert rows.find(name) == encoded
            kv = decode_key_value(encoded)
            found.append((kv.key, kv.value))
    assert rows.taken_count == len(found)
    return found


@settings(max_examples=80, deadline=None)
@given(
    writes=st.lists(st.tuples(st.booleans(), st.sampled_from(KEYS)), max_size=25),
    first=st.sampled_from([b"", *KEYS]),
    stop=STOPS,
    reverse=st.booleans(),
    part=st.integers(1, 4),
)
def test_every_revision_shows_what_was_there_then(
    writes: list[tuple[bool, bytes]],
    first: bytes,
    stop: bytes | None,
    part: int,
    *,
    reverse: bool,
) -> None:
    world = World()
    states: dict[int, dict[bytes, bytes]] = {1: {}}
    for number, (is_put, key) in enumerate(writes):
        state = dict(states[world.services.revision()])
        if is_put:
            world.put(key, b"%d" % number)
            state[key] = b"%d" % number
        else:
            world.delete(key)
            state.pop(key, None)
        states[world.services.revision()] = state
    mvcc, view = world.services.watches.mvcc, world.replica.view
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "ROWS_MAX", 3)
        for revision, state in states.items():
            keys = [it for it in state if it >= first and (stop is None or it < stop)]
            expected = [(it, state[it]) for it in sorted(keys, reverse=reverse)]
            old = OldRows(mvcc, view, first, stop, revision, reverse=reverse)
            assert read(old, part) == expected
        current = CurrentRows(mvcc, view, first, stop, reverse=reverse)
        assert read(current, part) == expected
    world.replica.close()


def test_who_only_counts_reads_no_values() -> None:
    world = World()
    for number in range(3):
        world.put(b"k%d" % number, b"value")
    world.replica.store.flush()  # what is in memory costs nothing
    mvcc, view = world.services.watches.mvcc, world.replica.view
    for rows in (CurrentRows(mvcc, view, b"", None), OldRows(mvcc, view, b"", None, 4)):
        rows.skip_values()
        assert [encoded for _, encoded in rows.take()] == [b""] * 3
    world.replica.close()


def test_a_part_ends_where_its_bytes_are_many() -> None:
    world = World()
    for number in range(8):
        world.put(b"k%d" % number, bytes(rows_module.BYTES_MAX // 3))
    mvcc, view = world.services.watches.mvcc, world.replica.view
    for rows in (CurrentRows(mvcc, view, b"", None), OldRows(mvcc, view, b"", None, 9)):
        lengths = []
        while not rows.is_done:
            lengths.append(len(rows.take()))
        assert sum(lengths) == 8
        assert max(lengths) <= 4
    world.replica.close()


def test_a_part_may_have_no_rows_though_more_follow() -> None:
    """A key that was written very often lies before the one that is to be found."""
    world = World()
    for _ in range(2 * rows_module.ROWS_MAX):
        world.put(b"a")
    world.delete(b"a")
    world.put(b"b", b"found")
    mvcc, view = world.services.watches.mvcc, world.replica.view
    rows = OldRows(mvcc, view, b"", None, world.services.revision())
    assert rows.take() == []
    assert not rows.is_done
    assert read(rows, 10) == [(b"b", b"found")]
    world.replica.close()
