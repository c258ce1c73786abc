"""What is older than its rule goes, whoever's rule it is, and is not deleted again and again."""

import pytest

from roost.database import Refused
from roost.series.effects import Deletion
from roost.series.errors import BAD_POLICY
from roost.series.extra import np
from roost.series.names import Info, Tag, name_key
from roost.series.records import batch, encode_batch
from roost.series.registry import declare, delete_many
from roost.series.retention import (
    AHEAD_NS,
    POLICIES_MAX,
    Policy,
    keep,
    of_series,
    of_tag,
    too_old,
)
from roost.series.staging import append
from roost.series.tables import TIME_MIN
from tests.series.memory_trees import Member, now

HOUR = 3600 * 10**9
NOW = 1_700_006_400 * 10**9


async def old(member: Member, now_ns: int = NOW) -> list[Deletion]:
    found = too_old(member.trees, member.memory.tree("series.policies"), now_ns)
    return [it async for page in found for it in page]


def filled() -> Member:
    """Three series, a point each hour of the last hundred."""
    member = Member()
    infos = [Info("a"), Info("b", [Tag("k", "1"), Tag("m", "1")]), Info("c", [Tag("k", "1")])]
    told = member.run(declare, infos)
    times = np.tile(NOW - np.arange(100, 0, -1) * HOUR, 3)
    record = encode_batch(batch(np.repeat(np.array(told.sids), 100), times, np.ones(300)))
    member.run(append, told.epoch, record)
    now(member.seal())
    return member


def test_nothing_is_too_old_without_a_rule() -> None:
    assert now(old(filled())) == []


def test_a_series_own_rule_counts_and_else_the_longest_of_its_tags() -> None:
    member = filled()
    member.run(keep, of_tag(Tag("k", "1")), Policy(10 * HOUR))
    assert now(old(member)) == [
        Deletion(2, TIME_MIN, NOW - 10 * HOUR), Deletion(3, TIME_MIN, NOW - 10 * HOUR)
    ]  # fmt: skip
    member.run(keep, of_tag(Tag("m", "1")), Policy(50 * HOUR))
    member.run(keep, of_series(name_key("c", [Tag("k", "1")])), Policy(5 * HOUR))
    found = now(old(member))
    assert found == [
        Deletion(2, TIME_MIN, NOW - 50 * HOUR), Deletion(3, TIME_MIN, NOW - 5 * HOUR)
    ]  # fmt: skip
    member.run(keep, of_tag(Tag("k", "1")), None)
    member.run(keep, of_tag(Tag("m", "1")), None)
    assert [it.sid for it in now(old(member))] == [3]


def test_what_is_gone_is_not_deleted_again_until_much_is_too_old() -> None:
    member = filled()
    member.run(keep, of_series(b"a"), Policy(64 * HOUR))
    found = now(old(member))
    member.run(delete_many, found)
    now(member.seal())
    assert now(old(member)) == []
    assert now(old(member, NOW + 2 * HOUR)) == []
    assert now(old(member, NOW + 3 * HOUR)) == [Deletion(1, TIME_MIN, NOW - 61 * HOUR)]

    async def left() -> int:
        content = await (await member.reading()).content(1)
        assert content is not None
        return sum([len(it) async for it in content.points(0, NOW)])

    assert now(left()) == 64


@pytest.mark.parametrize("ahead", [2 * AHEAD_NS, 73 * 365 * 24 * HOUR])
def test_a_clock_that_is_far_ahead_of_all_points_deletes_a_days_worth_at_most(ahead: int) -> None:
    """A member that led with the date of 2099 deleted whatever had a rule, for good."""
    member = filled()
    member.run(keep, of_series(b"a"), Policy(64 * HOUR))
    horizon = NOW - HOUR + AHEAD_NS - 64 * HOUR
    assert now(old(member, NOW + ahead)) == [Deletion(1, TIME_MIN, horizon)]
    assert now(old(member, NOW + AHEAD_NS - HOUR)) == [Deletion(1, TIME_MIN, horizon)]
    member.run(keep, of_series(b"a"), Policy(200 * HOUR))
    assert now(old(member, NOW + ahead)) == []


def test_a_series_that_nobody_writes_to_goes_by_those_that_have_points() -> None:
    member = filled()
    told = member.run(declare, [Info("late")])
    record = encode_batch(batch(np.array(told.sids), np.array([NOW + 90 * HOUR]), np.ones(1)))
    member.run(append, told.epoch, record)
    now(member.seal())
    for it in (b"a", b"late"):
        member.run(keep, of_series(it), Policy(64 * HOUR))
    horizon = NOW + (100 - 64) * HOUR
    assert now(old(member, NOW + 100 * HOUR)) == [Deletion(1, TIME_MIN, horizon)]


def test_rules_that_cannot_be_are_refused() -> None:
    member = Member()
    for target, policy in ((of_series(b"a"), Policy(0)), (b"x", Policy(1)), (b"", Policy(1))):
        with pytest.raises(Refused) as caught:
            member.run(keep, target, policy)
        assert caught.value.code == BAD_POLICY
    for place in range(POLICIES_MAX):
        member.memory.put("series.policies", of_series(b"%d" % place), b"\x91\1")
    with pytest.raises(Refused):
        member.run(keep, of_series(b"one more"), Policy(1))
    member.run(keep, of_series(b"7"), Policy(2))
