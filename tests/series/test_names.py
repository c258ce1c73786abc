"""Names and tags: what they can be, one series each, and found by what they have."""

import pytest

from roost.database import Refused
from roost.series.effects import Deletion
from roost.series.errors import BAD_RECORD, BAD_SERIES, NO_SERIES, STALE, BadSeries
from roost.series.extra import np
from roost.series.names import (
    TAGS_MAX,
    TAGS_TREE,
    Info,
    Tag,
    check_name,
    labels,
    name_key,
    sids_of,
    tag,
    with_bit,
)
from roost.series.records import batch, encode_batch, encode_deletions
from roost.series.registry import (
    DECLARED_MAX,
    declare,
    delete_points,
    delete_series,
)
from roost.series.registry import tag as put_tags
from roost.series.staging import append
from tests.series.memory_trees import Member, now


async def tagged(member: Member, text: str) -> list[int]:
    reading = await member.reading()
    return [sid async for page in reading.tagged(tag(text)) for sid in page]


def one_point(sid: int) -> bytes:
    return encode_batch(batch(np.array([sid]), np.array([5]), np.array([1.0])))


def code_of(member: Member, operation: object, *given: object) -> str:
    with pytest.raises(Refused) as caught:
        member.run(operation, *given)  # type: ignore[arg-type]  # any operation
    return caught.value.code


def test_tags_are_written_in_two_ways() -> None:
    assert tag("temp:C") == Tag("temp", "C")
    assert tag("url=http://a") == Tag("url", "http://a")
    assert tag("a:b=c") == Tag("a", "b=c")
    for text in ("temp", "=C", "temp=", "", "a=\0", "a\n=b", f"a={'x' * 257}"):
        with pytest.raises(BadSeries):
            tag(text)


def test_names_are_text_of_a_line() -> None:
    assert check_name("sensor1.heat größer") == "sensor1.heat größer"
    for name in ("", "a\0", "a\x1f", "ä" * 257):
        with pytest.raises(BadSeries):
            check_name(name)
    with pytest.raises(BadSeries):
        labels([Tag("a", "1"), Tag("a", "2")])
    with pytest.raises(BadSeries):
        labels([Tag(str(it), "1") for it in range(TAGS_MAX + 1)])


def test_all_series_of_a_name_lie_together() -> None:
    keys = [
        name_key("cpu", labels([Tag("host", "b"), Tag("core", "0")])),
        name_key("cpu", []),
        name_key("cpu", labels([Tag("host", "a")])),
        name_key("cpu2", []),
        name_key("cp", []),
    ]
    assert [keys.index(it) for it in sorted(keys)] == [4, 1, 0, 2, 3]
    assert name_key("cpu", labels([Tag("b", "1"), Tag("a", "2")])) == b"cpu\0a\x012\0b\x011"


def test_a_series_that_is_declared_again_is_the_same() -> None:
    member = Member()
    first = member.run(declare, [Info("a"), Info("b", [Tag("host", "x")]), Info("a")])
    assert first.sids == [1, 2, 1]
    again = member.run(declare, [Info("b", [Tag("host", "x")]), Info("b")])
    assert again.sids == [2, 3]
    reading = now(member.reading())
    assert now(reading.sid(b"b")) == 3
    assert now(reading.sid(b"c")) is None
    assert now(reading.content(9)) is None
    for wrong in ([Info("")], [Info("a", [Tag("b", "1"), Tag("a", "1")])]):
        assert code_of(member, declare, wrong) == BAD_SERIES
    code_of(member, declare, [Info("a")] * (DECLARED_MAX + 1))


def test_series_are_found_by_labels_and_tags() -> None:
    member = Member()
    sids: list[int] = []
    for begin in range(0, 600, 50):
        infos = [Info(f"s{it}", [Tag("mod", str(it % 3))]) for it in range(begin, begin + 50)]
        sids += member.run(declare, infos).sids
    assert now(tagged(member, "mod=1")) == [sid for it, sid in enumerate(sids) if it % 3 == 1]
    # A row for 256 series.
    assert len(member.memory.rows[TAGS_TREE]) == 9
    assert code_of(member, put_tags, b"s7", [Tag("temp", "C")], []) == NO_SERIES
    key = Info("s7", [Tag("mod", "1")]).key
    told = member.run(put_tags, key, [Tag("temp", "C"), Tag("room", "2")], [])
    assert told.tags == [Tag("room", "2"), Tag("temp", "C")]
    assert now(tagged(member, "temp:C")) == [sids[7]]
    told = member.run(put_tags, key, [Tag("temp", "F")], [Tag("room", "2")])
    assert told.tags == [Tag("temp", "F")]
    assert now(tagged(member, "temp=C")) == now(tagged(member, "room=2")) == []
    assert now(tagged(member, "temp=F")) == [sids[7]]
    # What is both a label and a tag is found as long as it is one of them.
    member.run(put_tags, key, [Tag("mod", "1")], [])
    member.run(put_tags, key, [], [Tag("mod", "1")])
    assert sids[7] in now(tagged(member, "mod=1"))
    many = [Tag(str(it), "1") for it in range(TAGS_MAX)]
    assert code_of(member, put_tags, key, [*many, Tag("x", "")], []) == BAD_SERIES


def test_a_deleted_series_is_gone_and_numbers_of_before_are_refused() -> None:
    member = Member()
    told = member.run(declare, [Info("a", [Tag("k", "v")]), Info("b")])
    member.run(append, told.epoch, one_point(1))
    member.run(delete_series, name_key("a", [Tag("k", "v")]))
    assert now(tagged(member, "k=v")) == []
    assert code_of(member, delete_series, b"a") == NO_SERIES
    assert code_of(member, put_tags, b"a", [], []) == NO_SERIES
    assert code_of(member, append, told.epoch, one_point(2)) == STALE
    again = member.run(declare, [Info("a", [Tag("k", "v")])])
    assert again.sids == [3]
    member.run(append, again.epoch, one_point(2))
    now(member.seal())
    assert now(now(member.reading()).content(1)) is None
    assert set(member.memory.rows["series.states"]) == {(2).to_bytes(4, "big")}


def test_a_record_that_is_none_is_refused() -> None:
    member = Member()
    told = member.run(declare, [Info("a")])
    for record in (b"", b"\1\1", encode_deletions([Deletion(1, 0, 5)]), one_point(2)):
        assert code_of(member, append, told.epoch, record) == BAD_RECORD
    assert member.run(append, told.epoch, one_point(1)) == 1
    assert member.run(delete_points, [1], 0, 5) == 2
    for sids, start, stop in (([], 0, 5), ([1], 5, 5), ([1] * 1001, 0, 5)):
        assert code_of(member, delete_points, sids, start, stop) == BAD_RECORD


def test_a_row_of_a_tag_that_has_nobody_is_none() -> None:
    row = with_bit(with_bit(None, 256, is_set=True), 511, is_set=True)
    assert row is not None
    assert sids_of(b"k\1v\0\0\0\0\1", row) == [256, 511]
    assert with_bit(with_bit(row, 256, is_set=False), 511, is_set=False) is None
