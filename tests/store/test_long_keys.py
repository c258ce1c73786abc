"""Keys of many pieces, against a sorted list; and what one costs, however many begin alike."""

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import Layer, long_keys
from roost.store.base_reader import BaseReader
from roost.store.base_writer import BaseWriter
from roost.store.long_keys import LONG_KEY_BYTES, PIECES, is_stem, name_of, names_of
from roost.store.view import View
from roost.store.walk import Walk
from tests.steps import steps_of
from tests.store.stacks import VALUES, Write, in_range, stacked

TREE = 7
A, B, FF = (it * LONG_KEY_BYTES for it in (b"a", b"b", b"\xff"))
# Of no piece to four, at their bounds and beside them; the first and the last that can be.
KEYS = [b"", b"a", A[:-1], A, A + b"\0", A + A[:-1], A + A, A + A + b"x", A + A + A + b"y", A + B,
        A + B[:-1] + b"c", A + FF + FF, A + FF + b"\xff", B[:-1] + b"a", B, B + A + B + A, B + FF,
        FF, FF + FF, FF + FF + b"\xff"]  # fmt: skip
STOPS = [None, *KEYS, b"b", A + b"b", A + A + b"b", FF + b"b"]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[BaseWriter]:
    made = BaseWriter(tmp_path, is_synced=False)
    yield made
    made.close()


def names(writer: BaseWriter) -> list[bytes]:
    """The records that are not what the base says of itself."""
    env: lmdb.Environment = writer._env
    with env.begin() as txn, txn.cursor() as cursor:
        return [bytes(name) for name, _ in cursor if name[:2] != b"\0\1"]


@settings(max_examples=150, deadline=None)
@given(
    commits=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["put", "put", "put", "delete", "range"]),
                st.sampled_from(KEYS),
                st.sampled_from(STOPS),
            ),
            max_size=12,
        ),
        max_size=4,
    ),
    ranges=st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from(STOPS)), min_size=1, max_size=4
    ),
)
def test_keys_of_many_pieces_are_a_dict_in_order(
    commits: list[list[tuple[str, bytes, bytes | None]]],
    ranges: list[tuple[bytes, bytes | None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    writer = BaseWriter(tmp_path_factory.mktemp("base"), is_synced=False)
    model: dict[bytes, bytes] = {}
    for index, writes in enumerate(commits, 1):
        layer = Layer()
        for what, key, stop in writes:
            if what == "put":
                model[key] = b"%d" % index
                layer.put(TREE, key, model[key])
            elif what == "delete":
                model.pop(key, None)
                layer.put(TREE, key, None)
            else:
                for gone, _ in in_range(model, key, stop, reverse=False):
                    del model[gone]
                layer.delete_range(TREE, key, stop)
        writer.commit(layer, index, 1)
    reader = writer.reader()
    for key in KEYS:
        assert reader.get(TREE, key) == model.get(key)
        assert reader.has(TREE, key) == (key in model)
    for first, stop in [*ranges, (b"", None)]:
        for reverse in (False, True):
            wanted = in_range(model, first, stop, reverse=reverse)
            assert walked([], reader, first, stop, reverse=reverse) == wanted
            assert list(reader.items(TREE, first, stop, reverse=reverse)) == list(wanted)
            keys = reader.items(TREE, first, stop, reverse=reverse, keys_only=True)
            assert [key for key, _ in keys] == [key for key, _ in wanted]
    for other in (TREE - 1, TREE + 1, 65534):
        assert list(reader.items(other, b"", None, reverse=False)) == []
    wanted_names = {it for key in model for it in _records_of(key)}
    assert names(writer) == sorted(wanted_names), "what stands there follows from the keys alone"
    reader.close()
    writer.close()


def walked(
    layers: list[Layer], reader: BaseReader, first: bytes, stop: bytes | None, *, reverse: bool
) -> list[tuple[bytes, bytes]]:
    """The rows of a walk that goes away at each second level: one that comes back takes one."""
    walk, rows, part_count = Walk(View(layers, reader), TREE, first, stop, reverse=reverse), [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_keys, "LEVELS_A_PART", 2)
        while not walk.is_done:
            rows += walk.take(3)
            part_count += 1
            assert part_count < 1000, "it gets on"
    return rows


def _records_of(key: bytes) -> list[bytes]:
    *stems, name = names_of(TREE, key)
    assert len(key) < LONG_KEY_BYTES or name == name_of(TREE, key)
    assert all(is_stem(it) for it in stems)
    assert not is_stem(name)
    assert all(len(it) <= 511 for it in (*stems, name)), "LMDB takes no longer ones"
    assert b"".join([it[-LONG_KEY_BYTES:] for it in stems]) == key[: len(stems) * LONG_KEY_BYTES]
    return [*stems, name]


@settings(max_examples=80, deadline=None)
@given(
    below=st.lists(st.sampled_from(KEYS), unique=True),
    stack=st.lists(st.lists(st.builds(Write, st.sampled_from(KEYS), VALUES, st.sampled_from(STOPS),
                                      of_range=st.booleans()), max_size=5), max_size=3),
    first=st.sampled_from(KEYS),
    stop=st.sampled_from(STOPS),
    reverse=st.booleans(),
)  # fmt: skip
def test_a_walk_that_goes_away_at_each_level_reads_all_there_is(
    below: list[bytes],
    stack: list[list[Write]],
    first: bytes,
    stop: bytes | None,
    reverse: bool,  # noqa: FBT001 - drawn
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Above the base there are layers, which hide some and have others."""
    base = dict.fromkeys(below, b"base")
    writer = BaseWriter(tmp_path_factory.mktemp("base"), is_synced=False)
    layer = Layer()
    for key, value in base.items():
        layer.put(TREE, key, value)
    writer.commit(layer, 1, 1)
    reader = writer.reader()
    rows, layers = stacked(base, stack)
    wanted = in_range(rows, first, stop, reverse=reverse)
    assert walked(layers, reader, first, stop, reverse=reverse) == wanted
    reader.close()
    writer.close()


@pytest.mark.parametrize(("byte", "reverse"), [(b"k", False), (b"\xff", True)])
def test_no_step_between_two_keys_of_many_pieces_is_long(
    writer: BaseWriter, byte: bytes, *, reverse: bool
) -> None:
    """Issue 14: with a megabyte the way from one to the other took 35 ms, and a get 6."""
    keys = [byte * 90_000 + b"x", byte * 1000 + b"y" + byte * 90_000]
    layer = Layer()
    for key in keys:
        layer.put(TREE, key, b"v")
    writer.commit(layer, 1, 1)
    reader: BaseReader = writer.reader()
    assert steps_of(lambda: reader.get(TREE, keys[0])) < 40
    walk = Walk(View([], reader), TREE, b"", None, reverse=reverse)
    steps, rows = list[int](), list[tuple[bytes, bytes]]()
    while not walk.is_done:
        steps.append(steps_of(lambda: rows.extend(walk.take(256))))
    assert [key for key, _ in rows] == sorted(keys, reverse=reverse)
    assert max(steps) < 40 * long_keys.LEVELS_A_PART
    # One of which there is nothing is not looked for further up than its range goes.
    none = reader.items(TREE, keys[0] + b"y", keys[0] + b"z", reverse=reverse)
    assert steps_of(lambda: rows.extend(none)) < 1000
    assert len(rows) == len(keys)
    reader.close()


def test_what_is_done_to_one_key_costs_the_same_however_many_begin_alike(
    writer: BaseWriter,
) -> None:
    """Issue 14: they were one record: 250 values of a megabyte were read for each, in 0.8 s."""
    layer = Layer()
    for number in range(3000):
        layer.put(TREE, A + A + b"%05d" % number, b"v" * 100)
    writer.commit(layer, 1, 1)
    reader: BaseReader = writer.reader()
    key = A + A + b"02000"
    assert steps_of(lambda: reader.get(TREE, key)) < 40
    rows: list[tuple[bytes, bytes]] = []
    items = reader.items(TREE, key, None, reverse=False)
    assert steps_of(lambda: rows.append(next(items))) < 100
    items.close()  # type: ignore[attr-defined]  # a generator
    assert rows == [(key, b"v" * 100)]
    reader.close()
    before = len(names(writer))
    one = Layer()
    one.put(TREE, key, None)
    assert steps_of(lambda: writer.commit(one, 2, 1)) < 160
    assert len(names(writer)) == before - 1


def test_a_key_of_thousands_of_pieces_stands_and_goes(writer: BaseWriter) -> None:
    long = bytes(range(1, 256)) * 3000
    layer = Layer()
    layer.put(TREE, long + b"x", b"1")
    layer.put(TREE, long[:-700] + b"\xff" * 800, b"2")
    writer.commit(layer, 1, 1)
    reader: BaseReader = writer.reader()
    assert [value for _, value in reader.items(TREE, b"", None, reverse=False)] == [b"1", b"2"]
    assert [value for _, value in reader.items(TREE, b"", None, reverse=True)] == [b"2", b"1"]
    assert [value for _, value in reader.items(TREE, long + b"z", None, reverse=False)] == [b"2"]
    reader.close()
    layer = Layer()
    layer.delete_range(TREE, b"", None)
    writer.commit(layer, 2, 1)
    assert names(writer) == []


def test_no_tree_has_the_id_of_pieces() -> None:
    assert int.from_bytes(PIECES, "big") == 65535
