"""Reading the base, held against a dict: short keys and long ones, both ways, as of one commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import Layer, StoreCorrupt, ValueCorrupt
from roost.store.base_reader import BaseReader
from roost.store.base_writer import BaseWriter
from roost.store.long_keys import LONG_KEY_BYTES

TREE, NEXT = 7, 8
PREFIX = b"p" * (LONG_KEY_BYTES - 1)
KEYS = [b"", b"a", b"ab", b"b", PREFIX, PREFIX + b"a", PREFIX + b"aa", PREFIX + b"ab",
        PREFIX + b"b", PREFIX + b"b" * 200, b"q", b"\xff" * 500]  # fmt: skip
STOPS = st.sampled_from([None, *KEYS])


class Base:
    """A writer and a reader of one base, and what it should hold."""

    def __init__(self, directory: Path) -> None:
        self.writer = BaseWriter(directory, is_synced=False)
        self.reader: BaseReader = self.writer.reader()
        self.model: dict[bytes, bytes] = {}
        self.index = 0

    def commit(self, layer: Layer) -> bytes:
        """Write a layer; return the digest."""
        self.index += 1
        self.reader.release()
        total = self.writer.commit(layer, self.index, 3)
        self.reader.refresh()
        return total

    def put(self, *keys: bytes, value: bytes = b"value") -> None:
        layer = Layer()
        for key in keys:
            layer.put(TREE, key, value)
            self.model[key] = value
        self.commit(layer)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    made = Base(tmp_path)
    yield made
    made.close()


WHAT = st.sampled_from(["put", "put", "delete", "range"])


@settings(max_examples=80, deadline=None)
@given(
    commits=st.lists(
        st.lists(st.tuples(WHAT, st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=6),
        max_size=5,
    ),
    first=st.sampled_from(KEYS),
    stop=STOPS,
    reverse=st.booleans(),
)
def test_the_base_is_a_dict_in_order(
    commits: list[list[tuple[str, bytes, bytes]]],
    first: bytes,
    stop: bytes | None,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    reverse: bool,
) -> None:
    base = Base(tmp_path_factory.mktemp("base"))
    model = base.model
    for number, writes in enumerate(commits):
        layer = Layer()
        for what, key, other in writes:
            if what == "put":
                model[key] = b"%d" % number
                layer.put(TREE, key, model[key])
            elif what == "delete":
                model.pop(key, None)
                layer.put(TREE, key, None)
            else:
                layer.delete_range(TREE, key, other)
                for held in [it for it in model if key <= it < other]:
                    del model[held]
        if number % 2:
            layer.put(NEXT, b"a", b"a neighbour's")
        base.commit(layer)
    for key in KEYS:
        assert base.reader.get(TREE, key) == model.get(key)
        assert base.reader.has(TREE, key) == (key in model)
    expected = sorted(
        it for it in model.items() if it[0] >= first and (stop is None or it[0] < stop)
    )
    if reverse:
        expected.reverse()
    assert list(base.reader.items(TREE, first, stop, reverse=reverse)) == expected
    keys = base.reader.items(TREE, first, stop, reverse=reverse, keys_only=True)
    assert [key for key, _ in keys] == [key for key, _ in expected]
    assert base.reader.applied() == (len(commits), 3 if commits else 0)
    base.close()


def test_a_reader_sees_one_commit_until_it_looks_again(base: Base) -> None:
    base.put(b"a", value=b"1")
    other = base.writer.reader()
    base.put(b"a", value=b"2")
    assert other.get(TREE, b"a") == b"1"
    assert list(other.items(TREE, b"", None, reverse=False)) == [(b"a", b"1")]
    other.refresh()
    assert (other.get(TREE, b"a"), other.applied()) == (b"2", (2, 3))
    other.release()


def test_a_pinned_state_stays_whatever_its_owner_goes_on_to_see(base: Base) -> None:
    base.put(b"a", value=b"1")
    with_pin = base.reader.pin()
    base.put(b"a", value=b"2")
    assert (with_pin.get(TREE, b"a"), base.reader.get(TREE, b"a")) == (b"1", b"2")
    with_pin.close()
    assert base.reader.get(TREE, b"a") == b"2", "a pin does not take the environment along"


@pytest.mark.parametrize("key", [b"short", PREFIX + b"long"])
def test_a_value_that_changed_on_the_disk_is_told_and_never_handed_out(
    base: Base, tmp_path: Path, key: bytes
) -> None:
    base.put(key, value=b"precious" * 10)
    base.close()
    path = tmp_path / "data.mdb"
    # Also in pages that are in use no more.
    path.write_bytes(path.read_bytes().replace(b"precious", b"Precious"))
    again = Base(tmp_path)
    told: list[StoreCorrupt] = []
    again.reader.on_corrupt = told.append
    with pytest.raises(ValueCorrupt):
        again.reader.get(TREE, key)
    with pytest.raises(ValueCorrupt):
        list(again.reader.items(TREE, b"", None, reverse=False))
    assert len(told) == 2
    again.close()


def test_who_goes_over_to_another_file_is_told_before_the_old_one_goes(
    base: Base, tmp_path: Path
) -> None:
    """Views read through one reader all their life; what is pinned of the old cannot stay."""
    base.put(b"a", value=b"old")
    why: list[str] = []
    base.reader.on_closing = why.append
    directory = tmp_path / "other"
    directory.mkdir()
    other = Base(directory)
    other.put(b"a", value=b"new")
    base.reader.become(other.reader)
    assert why == ["the file was replaced"]
    assert base.reader.get(TREE, b"a") == b"new"
    base.reader.close()
    other.writer.close()


def test_a_file_is_as_large_as_its_pages_and_what_is_in_use_no_larger(base: Base) -> None:
    base.put(*(b"%03d" % it for it in range(500)), value=bytes(500))
    size, used = base.reader.size_bytes()
    assert 500 * 500 < used <= size
    assert size % 4096 == 0
    layer = Layer()
    layer.delete_range(TREE, b"", None)
    base.commit(layer)
    assert base.reader.size_bytes()[1] < used / 2, "what is deleted is in use no more"
