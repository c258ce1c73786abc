"""Bytes from outside are a message of a partner's, or malformed."""

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from roost.counters import messages, receiving, rows
from roost.counters.algebra import VALUE_MAX, VALUE_MIN, Part, Seen, Tombstone
from roost.counters.changing import increment
from roost.counters.errors import CounterStoreCorrupt, MalformedCounters, OwnerForked
from roost.counters.messages import Changes, Head, Page, Purpose
from roost.counters.rows import SEEN_TAKEN_MAX, PartRow, Rows, SeenRow, TombstoneRow
from tests.counters.stores import open_store

E, F = b"e" * 16, b"f" * 16
amounts = st.integers(3 * VALUE_MIN, 3 * VALUE_MAX)
versions = st.integers(1, 1 << 63)
parts = st.dictionaries(
    st.integers(1, 300), st.builds(Part, amounts, versions, versions), max_size=5
)
seen = st.dictionaries(st.integers(1, 300), st.builds(Seen, amounts, versions), max_size=4)
tombstones = st.dictionaries(st.integers(1, 9), st.builds(Tombstone, versions, seen), max_size=3)


@given(parts, tombstones)
def test_registers_come_back_from_the_store(
    found: dict[int, Part], deleted: dict[int, Tombstone]
) -> None:
    assert rows.decode_parts(rows.encode_parts(found)) == found
    assert rows.decode_tombstones(rows.encode_tombstones(deleted)) == deleted


@given(parts, tombstones)
def test_registers_come_back_from_a_message(
    found: dict[int, Part], deleted: dict[int, Tombstone]
) -> None:
    made = Rows({it: it.to_bytes(16, "big") for it in range(301)})
    for owner, part in found.items():
        made.add_part(b"k", owner, part)
    for deleter, tombstone in deleted.items():
        made.add_tombstone(b"k", deleter, tombstone)
    numbers = [int.from_bytes(it, "big") for it in made.epochs]
    assert {numbers[row.owner]: part for row, part in rows.parts_of(made.parts)} == found
    told = {numbers[it.deleter]: rows.tombstone_of(it, numbers) for it in made.tombstones}
    assert told == deleted


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    for data in (body, crc32c(body).to_bytes(4, "little") + body):
        with pytest.raises(MalformedCounters):
            messages.decode(data)
    try:
        rows.decode_parts(body)
        rows.decode_tombstones(body)
    except CounterStoreCorrupt:
        pass  # and nothing else is raised


def changes(**other: object) -> Changes:
    fields = {"epoch": E, "first": 0, "last": 9, "epochs": [E, F]} | other
    return Changes(**fields)  # type: ignore[arg-type] # a test's fields are of any type


def page(**other: object) -> Page:
    fields = {
        "purpose": Purpose.SEED, "after": b"a", "until": b"m", "heads": [], "epochs": [E, F],
    }  # fmt: skip
    return Page(**(fields | other))  # type: ignore[arg-type] # likewise


ROW = PartRow(b"k", 0, 1, 5, 0)
TOMB = TombstoneRow(b"k", 0, 5, [SeenRow(1, 2, 3)])


def test_what_is_right_comes_back() -> None:
    for message in (
        changes(parts=[ROW], tombstones=[TOMB]),
        page(parts=[ROW], tombstones=[TOMB], heads=[Head(E, 4)]),
    ):
        assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        changes(first=9),
        changes(first=-1),
        changes(epoch=b"short"),
        changes(epochs=[b"short"]),
        changes(epochs=[E] * 9000),
        changes(parts=[PartRow(b"k", 0, 1, 10, 0)]),
        changes(parts=[PartRow(b"k", 0, 1, 0, 0)]),
        changes(parts=[PartRow(b"k", 1, 1, 5, 0)]),
        changes(parts=[PartRow(b"k", 2, 1, 5, 0)]),
        changes(parts=[PartRow(b"k", -1, 1, 5, 0)]),
        changes(parts=[PartRow(b"k", 0, 1, 5, 6)]),
        changes(parts=[PartRow(b"", 0, 1, 5, 0)]),
        changes(tombstones=[TombstoneRow(b"k", 1, 5, [])]),
        changes(tombstones=[TombstoneRow(b"k", 0, 5, [SeenRow(7, 1, 1)])]),
        changes(tombstones=[TombstoneRow(b"k", 0, 5, [SeenRow(0, 1, 0)])]),
        page(parts=[PartRow(b"a", 0, 1, 5, 0)]),
        page(parts=[PartRow(b"n", 0, 1, 5, 0)]),
        page(epoch=b"short"),
        page(epoch=E),
        page(purpose=Purpose.UNION),
        page(purpose=Purpose.REPLACE),
        page(parts=[ROW] * (messages.PAGE_ROWS_TAKEN_MAX + 1)),
        page(tombstones=[TOMB] * (messages.PAGE_ROWS_TAKEN_MAX + 1)),
        changes(parts=[ROW] * (messages.CHANGES_TAKEN_MAX + 1)),
        changes(tombstones=[TOMB] * (messages.CHANGES_TAKEN_MAX + 1)),
        changes(tombstones=[TombstoneRow(b"k", 0, 5, [SeenRow(1, 2, 3)] * (SEEN_TAKEN_MAX + 1))]),
        page(heads=[Head(b"short", 1)]),
        page(heads=[Head(E, -1)]),
        messages.Heard(b"short", 1),
    ],
    ids=lambda it: repr(it)[:300],
)
def test_what_no_partner_says_is_malformed(message: messages.Message) -> None:
    with pytest.raises(MalformedCounters):
        messages.decode(messages.encode(message))


def test_a_message_has_a_bound_and_a_checksum() -> None:
    data = messages.encode(changes())
    with pytest.raises(MalformedCounters, match="checksum"):
        messages.decode(data[:-1] + b"x")
    with pytest.raises(MalformedCounters, match="bytes in one"):
        messages.decode(bytes(messages.MESSAGE_BYTES_MAX + 1))


def test_a_page_is_held_against_why_it_is_sent() -> None:
    store = open_store()
    own = PartRow(b"k", 0, 1, 5, 0)
    for wrong in (
        page(epoch=E),
        page(purpose=Purpose.UNION),
        page(purpose=Purpose.REPLACE, epoch=store.epoch),
        page(parts=[PartRow(b"\x80k", 0, 1, 5, 0)], until=b""),
    ):
        with pytest.raises(MalformedCounters):
            receiving.receive_page(store, wrong)
    with pytest.raises(OwnerForked):
        receiving.receive_page(store, page(epochs=[store.epoch], parts=[own]))
    increment(store, [("k", it) for it in range(5)])
    receiving.receive_page(store, page(epochs=[store.epoch], parts=[own]))
    assert store.layers.parts(b"k")[store.own].value == 10
