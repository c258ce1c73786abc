"""What a keeper does: merge, commit with the position, and the digest of the same states as all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import PARTS_ID, Layer, MalformedWriteSet, encode_effect, encode_put
from roost.store.engine import Engine

TREE = 7
EVERY = 5


class Told(Engine):
    """An engine, and the digests that it told."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, is_synced=False, digest_entries=EVERY)
        self.digests: list[tuple[int, bytes]] = []
        self.on_digest = lambda index, total: self.digests.append((index, total))

    def put(self, index: int, key: bytes = b"key") -> None:
        self.add(index, 1, encode_put(TREE, key, b"%d" % index))

    def held(self, key: bytes = b"key") -> bytes | None:
        return self.writer.get(TREE, key)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path)
    yield made
    made.close()


def test_what_is_merged_is_durable_when_it_is_flushed_and_not_before(engine: Told) -> None:
    engine.put(1)
    engine.put(2)
    assert (engine.held(), engine.writer.applied()) == (None, (0, 0))
    engine.flush(2, 1)
    assert (engine.held(), engine.writer.applied()) == (b"2", (2, 1))
    engine.flush(4, 3)  # entries without a payload
    assert engine.writer.applied() == (4, 3)


def test_a_point_of_comparison_is_committed_by_itself(engine: Told) -> None:
    """At 5 and 10, wherever flushes fall: the digest must be of the state at that very entry."""
    for index in range(1, 8):
        engine.put(index)
    assert [index for index, _ in engine.digests] == [EVERY]
    assert (engine.held(), engine.writer.applied()) == (b"5", (5, 1))
    engine.flush(7, 1)
    assert engine.held() == b"7"
    engine.put(12)
    assert [index for index, _ in engine.digests] == [EVERY, 2 * EVERY]
    assert (engine.held(), engine.writer.applied()) == (b"7", (7, 1)), "10 is as 7"


@settings(max_examples=60, deadline=None)
@given(writes=st.lists(st.tuples(st.integers(1, 4), st.sampled_from([b"a", b"b"]), st.booleans())))
def test_digests_are_the_same_however_often_somebody_flushes(
    writes: list[tuple[int, bytes, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Members flush when their memory says so, and compare all the same."""
    often, seldom = (Told(tmp_path_factory.mktemp("engine")) for _ in range(2))
    index = 0
    for step, key, is_flushed in writes:
        index += step
        for engine in (often, seldom):
            engine.put(index, key)
        if is_flushed:
            index += step - 1  # what has no payload counts as well
            often.flush(index, 1)
    for engine in (often, seldom):
        engine.flush(index + EVERY, 1)
        engine.close()
    told, fewer = dict(often.digests), dict(seldom.digests)
    assert all(told[point] == digest for point, digest in fewer.items())
    assert {point % EVERY for point in told} == {0}
    assert len(told) == len(often.digests), "each once"
    assert fewer, "the last flush is behind a point"


def parts_of(values: list[bytes]) -> list[bytes]:
    """The entries that carry a long write's parts, each of which puts one value."""
    puts = [encode_put(TREE, b"key-" + it, it) for it in values]
    return [encode_put(PARTS_ID, n.to_bytes(4, "big"), put) for n, put in enumerate(puts)]


@pytest.mark.parametrize("flushed", [0, 1, 2], ids=["none", "one", "both"])
def test_the_parts_of_a_long_write_take_effect_wherever_they_are_by_then(
    engine: Told, flushed: int
) -> None:
    """Merged, in LMDB, or some here and some there; and they are gone afterwards."""
    for index, part in enumerate(parts_of([b"1", b"2"]), 1):
        engine.add(index, 1, part)
        if index <= flushed:
            engine.flush(index, 1)
    assert engine.held(b"key-1") is None
    engine.add(3, 1, encode_effect(1, 0, 2))
    engine.flush(3, 1)
    assert [engine.held(b"key-" + it) for it in (b"1", b"2")] == [b"1", b"2"]
    for number in range(2):
        assert engine.writer.get(PARTS_ID, number.to_bytes(4, "big")) is None


def test_what_is_deleted_here_is_not_looked_up_below(engine: Told) -> None:
    """A part that lies in LMDB and is deleted in memory is no part any more."""
    engine.add(1, 1, parts_of([b"1"])[0])
    engine.flush(1, 1)
    txn = Layer()
    txn.delete_range(PARTS_ID, b"", None)
    engine._layer.cover(txn)
    with pytest.raises(MalformedWriteSet):
        engine.add(2, 1, encode_effect(1, 0, 1))


def test_a_move_takes_what_was_flushed_and_goes_on_in_the_new_place(
    engine: Told, tmp_path: Path
) -> None:
    engine.put(1)
    engine.flush(1, 1)
    moved = tmp_path / "moved"
    assert engine.move(moved) == (1, 1)
    assert moved.stat().st_mode & 0o777 == 0o700
    engine.put(2)
    engine.flush(2, 1)
    engine.close()
    again = Told(moved)
    assert (again.held(), again.writer.applied()) == (b"2", (2, 1))
    again.close()
    engine.writer = Told(tmp_path).writer
    assert (engine.held(), engine.writer.applied()) == (b"1", (1, 1)), "the old one is as it was"


def test_the_next_life_tells_digests_from_where_it_begins(engine: Told, tmp_path: Path) -> None:
    for index in range(1, 8):
        engine.put(index)
    engine.flush(7, 1)
    engine.close()
    again = Told(tmp_path)
    again.put(8)
    again.flush(10, 1)
    assert [index for index, _ in again.digests] == [2 * EVERY]
    engine.writer = again.writer
