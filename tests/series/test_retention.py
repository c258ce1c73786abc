"""What is older than its rule goes, whoever's rule it is, and is not deleted again and again.

That sums of what was thinned are exact shows test_exactness.py.
"""

from dataclasses import dataclass

import pytest

from roost.database import Refused
from roost.series import slicing
from roost.series.effects import Deletion, Thinning
from roost.series.errors import BAD_POLICY
from roost.series.extra import np
from roost.series.levels import ROWS_TREE
from roost.series.names import Info, Tag, name_key
from roost.series.records import batch, encode_batch
from roost.series.registry import declare, delete_many, delete_points, thin
from roost.series.retention import (
    AHEAD_NS,
    POLICIES_MAX,
    Policy,
    keep,
    longest,
    of_series,
    of_tag,
    too_old,
)
from roost.series.slicing import SLICE_BYTES
from roost.series.staging import append, freeze
from roost.series.summaries import COUNT
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges
from tests.series.memory_trees import Member, now

HOUR = 3600 * 10**9
MINUTE, DAY = HOUR // 60, 24 * HOUR
NOW = 1_700_006_400 * 10**9


async def old(member: Member, now_ns: int = NOW) -> list[Deletion | Thinning]:
    found = too_old(member.trees, member.memory.tree("series.policies"), now_ns)
    pages = [it async for it in found]
    rows: list[Deletion | Thinning] = []
    for page in pages:
        rows += [*page.deletions, *page.thinnings]
    return rows


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
    member.run(keep, of_series(b"a"), Policy(64 * HOUR, None))
    assert now(old(member, NOW + ahead)) == [Thinning(1, horizon // DAY * DAY)]
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


def test_sums_are_kept_for_longer_from_the_beginning_of_a_day_on() -> None:
    member = filled()
    member.run(keep, of_series(b"a"), Policy(30 * HOUR, None))
    assert NOW % DAY == 0
    horizon = NOW - 2 * DAY
    found = now(old(member, NOW + HOUR))
    assert found == [Thinning(1, horizon)]
    member.run(thin, found)
    now(member.seal())
    assert now(old(member, NOW + HOUR)) == []
    assert now(old(member, NOW + 7 * HOUR)) == [Thinning(1, horizon + DAY)]
    assert now(held_of(member, TIME_MIN, NOW)) == Held(48, 100)
    # Sums go at a day's beginning, too.
    member.run(keep, of_series(b"a"), Policy(30 * HOUR, 70 * HOUR))
    found = now(old(member, NOW + HOUR))
    assert found == [Deletion(1, TIME_MIN, NOW - 3 * DAY)]
    member.run(delete_many, found)
    now(member.seal())
    assert now(old(member, NOW + HOUR)) == []
    assert now(held_of(member, TIME_MIN, NOW)) == Held(48, 72)


@dataclass(frozen=True)
class Held:
    """How many points a range of the first series has, and how many numbers its sums."""

    points: int
    summed: float


async def held_of(member: Member, start: int, stop: int) -> Held:
    content = await (await member.reading()).content(1)
    assert content is not None
    rows = await content.summed(Ranges(np.array([start]), np.array([stop])))
    points = sum([len(it) async for it in content.points(start, stop)])
    return Held(points, float(rows.columns[COUNT].sum()))


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_was_thinned_is_there_by_whole_quarters_and_takes_nothing_more(
    is_sealed: bool,  # noqa: FBT001 - one of two
) -> None:
    member = filled()
    horizon = NOW - 2 * DAY

    def seal_if_wanted() -> None:
        if is_sealed:
            now(member.seal())

    member.run(thin, [Thinning(1, horizon)])
    seal_if_wanted()
    # A point of an hour is in its quarter, and no shorter window has any of it.
    first = NOW - 100 * HOUR
    assert now(held_of(member, first, first + HOUR)) == Held(0, 1)
    assert now(held_of(member, first + 1, first + HOUR)) == Held(0, 0)
    assert now(held_of(member, first, first + 10 * MINUTE)) == Held(0, 0)
    # What comes late is dropped before the horizon, and behind it is a point like others.
    late = np.array([first + 1, horizon - 1, horizon, horizon + 1])
    member.run(append, 0, encode_batch(batch(np.ones(4, np.int64), late, np.ones(4))))
    seal_if_wanted()
    assert now(held_of(member, TIME_MIN, NOW)) == Held(49, 101)
    # A deletion that cuts a quarter takes all of it there, and behind the horizon what it names.
    member.run(delete_points, [1], first + 5 * MINUTE, first + 6 * MINUTE)
    seal_if_wanted()
    assert now(held_of(member, TIME_MIN, NOW)) == Held(49, 100)
    member.run(delete_points, [1], horizon - HOUR + 1, horizon + 1)
    seal_if_wanted()
    assert now(held_of(member, TIME_MIN, NOW)) == Held(48, 98)
    # A horizon never goes back.
    member.run(thin, [Thinning(1, horizon - DAY)])
    seal_if_wanted()
    assert now(held_of(member, TIME_MIN, NOW)) == Held(48, 98)
    member.run(delete_points, [1], TIME_MIN, TIME_STOP)
    now(member.seal())
    assert now(held_of(member, TIME_MIN, NOW)) == Held(0, 0)
    sids = {int.from_bytes(key[2:6], "big") for key in member.memory.rows[ROWS_TREE]}
    assert 1 not in sids


def test_a_deletion_that_goes_by_steps_leaves_no_quarter_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step ended 39 hours and some minutes behind the first row, and the row there stayed."""
    monkeypatch.setattr(slicing, "STEP_PARTITIONS", 1)
    monkeypatch.setattr(slicing, "PARTITION_BITS", 47)
    assert 39 * HOUR < 1 << 47 < 39 * HOUR + 15 * MINUTE
    member = filled()
    member.run(thin, [Thinning(1, NOW - DAY)])
    now(member.seal())
    assert now(held_of(member, TIME_MIN, NOW)) == Held(24, 100)
    member.run(delete_points, [1], TIME_MIN, NOW - DAY)
    now(member.seal())
    assert now(held_of(member, TIME_MIN, NOW)) == Held(24, 24)


def test_a_year_is_thinned_in_slices_that_are_bounded() -> None:
    member = Member()
    told = member.run(declare, [Info("a")])
    count = 10_000
    times = NOW - np.arange(count, 0, -1) * HOUR
    values = np.random.default_rng(1).normal(20, 1, count)
    record = encode_batch(batch(np.full(count, told.sids[0]), times, values))
    member.run(append, told.epoch, record)
    now(member.seal())
    member.run(thin, [Thinning(1, NOW - DAY)])
    member.run(freeze)

    async def slices() -> list[int]:
        found = []
        while (it := await member.slice()) is not None:
            found.append(sum(len(row) for edits in it.edits for _, row in edits.rows))
        return found

    sizes = now(slices())
    assert len(sizes) > 1
    assert max(sizes) < SLICE_BYTES + 70_000
    assert now(held_of(member, TIME_MIN, NOW)) == Held(24, count)


def test_of_several_rules_points_and_sums_are_kept_for_the_longer_time() -> None:
    assert longest([]) is None
    assert longest([Policy(5), Policy(3)]) == Policy(5)
    assert longest([Policy(5), Policy(3, 10)]) == Policy(5, 10)
    assert longest([Policy(5, 7), Policy(3, None), Policy(4)]) == Policy(5, None)


def test_rules_that_cannot_be_are_refused() -> None:
    member = Member()
    for target, policy in (
        (of_series(b"a"), Policy(0)), (b"x", Policy(1)), (b"", Policy(1)),
        (of_series(b"a"), Policy(1, -1)),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            member.run(keep, target, policy)
        assert caught.value.code == BAD_POLICY
    for place in range(POLICIES_MAX):
        member.memory.put("series.policies", of_series(b"%d" % place), b"\x91\1")
    with pytest.raises(Refused):
        member.run(keep, of_series(b"one more"), Policy(1))
    member.run(keep, of_series(b"7"), Policy(2))
