"""The keeper in the calling process: it answers at once, and nobody reads what it moves away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.store import InlineKeeper, PageCorrupt, encode_put
from roost.store.base_reader import BaseReader
from roost.store.digest import DIGEST_BYTES

TREE = 7
EVERY = 4


class Kept:
    """A keeper, a reader of what it writes, and what it said."""

    def __init__(self, directory: Path) -> None:
        self.keeper = keeper = InlineKeeper(directory, is_synced=False, digest_entries=EVERY)
        self.reader: BaseReader = keeper.reader()
        self.said: list[tuple[str, object]] = []
        keeper.on_flushed = lambda index: self.said.append(("flushed", index))
        keeper.on_digest = lambda index, total: self.said.append(("digest", (index, len(total))))
        keeper.on_failed = lambda error: self.said.append(("failed", error))
        keeper.on_moved = lambda index, term: self.said.append(("moved", (index, term)))

    def put(self, index: int, value: bytes = b"value") -> None:
        self.keeper.add(index, 1, encode_put(TREE, b"key", value))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.keeper.close()


def test_a_flush_is_answered_before_it_returns(kept: Kept) -> None:
    kept.put(1)
    assert kept.said == []
    kept.keeper.flush(1, 1)
    assert kept.said == [("flushed", 1)]
    assert kept.keeper.wait(0)


def test_a_digest_is_told_where_it_is_due_though_nobody_flushes(kept: Kept) -> None:
    """And the reader sees what was committed for it."""
    for index in range(1, EVERY + 2):
        kept.put(index, b"%d" % index)
    assert kept.said == [("digest", (EVERY, DIGEST_BYTES))]
    assert kept.reader.get(TREE, b"key") == b"%d" % EVERY


@pytest.mark.parametrize("step", ["add", "flush"])
def test_a_failure_is_told_and_is_no_flush(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    error = PageCorrupt("a page")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(kept.keeper._engine, step, fail)
    kept.put(1)
    kept.keeper.flush(1, 1)
    assert ("failed", error) in kept.said
    assert [it for it, _ in kept.said].count("flushed") == (step == "add")


def test_nobody_reads_while_the_map_grows(kept: Kept) -> None:
    """LMDB moves it: whoever still read there would end the process."""
    value = bytes(1 << 20)
    for index in range(1, 80):
        kept.put(index, value)
        kept.keeper.add(index, 1, encode_put(TREE, b"key-%d" % index, value))
        if index % 20 == 0:
            assert kept.reader.applied()[0] <= index, "a transaction is open"
            kept.keeper.flush(index, 1)
            kept.reader.refresh()
            assert kept.reader.get(TREE, b"key-%d" % index) == value
    assert not [it for it, _ in kept.said if it == "failed"]


def test_who_reads_what_is_moved_away_hears_of_it_first(kept: Kept, tmp_path: Path) -> None:
    why: list[str] = []
    kept.reader.on_closing = why.append
    kept.put(1)
    kept.keeper.flush(1, 1)
    kept.keeper.move(tmp_path / "moved")
    assert why == ["the file was replaced"]
    assert kept.said[-1] == ("moved", (1, 1))
    after = kept.keeper.moved_reader()
    assert after.get(TREE, b"key") == b"value"


def test_a_copy_is_of_what_is_durable(kept: Kept, tmp_path: Path) -> None:
    kept.put(1)
    kept.keeper.flush(1, 1)
    kept.put(2)
    copy = kept.keeper.copy(tmp_path / "copy.mdb")
    assert (copy.index, copy.term) == (1, 1)


def test_what_it_may_be_asked_and_has_no_need_of_changes_nothing(kept: Kept) -> None:
    kept.put(1)
    kept.keeper.send_queued()
    assert kept.said == []
