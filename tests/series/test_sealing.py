"""What is staged becomes blocks as large as they should be, and rows that reads then use."""

import pytest

from roost.database import Refused
from roost.series import head, levels
from roost.series.errors import OVERTAKEN, STAGING_FULL
from roost.series.extra import Floats, Ints, np
from roost.series.head import END, Mark
from roost.series.names import Info
from roost.series.records import batch, encode_batch
from roost.series.registry import declare, delete_points
from roost.series.sealing import ROWS_POINTS, SMALL_MAX
from roost.series.slicing import SLICE_BYTES
from roost.series.staging import Rewrite, append, freeze, put_blocks
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges
from tests.series.memory_trees import Member, now

SECOND = 10**9
MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
BEGIN = 1_700_006_400 * SECOND
assert BEGIN % DAY == 0


def stage(member: Member, sids: Ints, times: Ints, values: Floats) -> None:
    member.run(append, 0, encode_batch(batch(sids, times, values)))


def one(member: Member, times: Ints, sid: int = 1) -> None:
    for begin in range(0, len(times), 10_000):
        part = times[begin : begin + 10_000]
        values = np.round(20 + 5 * np.sin(part / (500 * SECOND)), 2)
        stage(member, np.full(len(part), sid), part, values)


def declared(count: int) -> Member:
    member = Member()
    for begin in range(0, count, 50):
        infos = [Info(f"s{it}") for it in range(begin, min(begin + 50, count))]
        member.run(declare, infos)
    return member


def bytes_of(member: Member, tree: str) -> int:
    return sum(len(key) + len(row) for key, row in member.memory.rows[tree].items())


def block_count(member: Member) -> int:
    return len(member.memory.rows[levels.POINTS_TREE])


def test_a_day_of_seconds_is_small_and_summed_up_from_few_rows() -> None:
    member = declared(1)
    count = 2 * 86_400
    one(member, np.arange(count) * SECOND + BEGIN)
    now(member.seal())
    assert bytes_of(member, levels.POINTS_TREE) < 1.0 * count
    assert bytes_of(member, levels.ROWS_TREE) < 0.2 * count
    # Staged, made blocks and rows: what goes through the log of a point.
    assert member.memory.written_bytes < 3 * count

    async def read() -> None:
        content = await (await member.reading()).content(1)
        assert content is not None
        days = np.array([BEGIN, BEGIN + DAY], np.int64)
        rows = await content.summed(Ranges(days, days + DAY))
        assert rows.columns[0].tolist() == [86_400, 86_400]
        # The first day is one row; the second one is open, and is 23 hours, three quarters and
        # the last quarter of an hour, of which no row is there.
        assert content.work.row_count <= 1 + 48 + 192
        assert content.work.point_count <= 2 * 8192

    now(read())


def test_rows_are_made_for_many_points_at_once_and_until_then_these_are_read() -> None:
    member = declared(1)
    minutes, part = 2 * ROWS_POINTS, 512
    made: list[int] = []

    async def read(count: int) -> int:
        content = await (await member.reading()).content(1)
        assert content is not None
        days = np.arange(BEGIN, BEGIN + (count + 1) * MINUTE, DAY)
        rows = await content.summed(Ranges(days, days + DAY))
        assert rows.columns[0].sum() == count
        return content.work.point_count

    for begin in range(0, minutes, part):
        one(member, np.arange(begin, begin + part) * MINUTE + BEGIN)
        now(member.seal())
        made.append(len(member.memory.rows.get(levels.ROWS_TREE, {})))
        assert now(read(begin + part)) <= 2 * ROWS_POINTS
    # Hours and days, some at a time; of quarters there are too few points.
    assert made == [0] * (ROWS_POINTS // part - 1) + [2] * (ROWS_POINTS // part) + [4]
    assert now(read(minutes)) < ROWS_POINTS


def test_weeks_of_minutes_are_made_of_days() -> None:
    """Requirement 181, a tenth of it: of 100,000 minutes fewer than 100 sums, and no points."""
    member = declared(1)
    weeks = 10
    one(member, np.arange(weeks * 7 * 1440) * MINUTE + BEGIN)
    now(member.seal())

    async def read() -> None:
        content = await (await member.reading()).content(1)
        assert content is not None
        starts = np.arange(weeks) * 7 * DAY + BEGIN
        rows = await content.summed(Ranges(starts, starts + 7 * DAY))
        assert rows.columns[0].tolist() == [7 * 1440] * weeks
        # But for the days at the end, of which there are no rows yet.
        assert content.work.row_count < 100 + 24 * 7
        assert content.work.point_count <= 2 * ROWS_POINTS
        whole = await (await member.reading()).content(1)
        assert whole is not None
        await whole.summed(Ranges(starts[:-1], starts[1:]))
        assert whole.work.row_count < 100
        assert whole.work.point_count == 0

    now(read())


def test_points_that_come_one_by_one_do_not_stay_small_blocks() -> None:
    member = declared(1)
    for place in range(3 * SMALL_MAX):
        one(member, np.array([BEGIN + place * 7 * SECOND]))
        now(member.seal())
    assert block_count(member) <= SMALL_MAX + 3


def test_late_points_rewrite_the_blocks_that_have_their_time_only() -> None:
    member = declared(1)
    count = 40_000
    one(member, np.arange(count) * SECOND + BEGIN)
    now(member.seal())
    blocks_before = block_count(member)
    member.memory.written_bytes = 0
    one(member, np.array([BEGIN + 5000 * SECOND + 1, BEGIN + 35_000 * SECOND + 1]))
    now(member.seal())
    assert block_count(member) <= blocks_before + 2
    # Two blocks, rows of both in their blocks, and the record.
    assert member.memory.written_bytes < 2 * (2 * 4100) + 6 * 1500


def test_a_deleted_range_is_gone_in_few_steps_and_a_series_leaves_nothing() -> None:
    member = declared(2)
    one(member, np.arange(60_000) * SECOND + BEGIN)
    one(member, np.array([BEGIN]), sid=2)
    now(member.seal())
    member.run(delete_points, [1], BEGIN + 1000 * SECOND, BEGIN + 59_000 * SECOND)
    member.memory.written_bytes = 0
    now(member.seal())
    assert member.memory.written_bytes < 20_000

    async def read() -> int:
        content = await (await member.reading()).content(1)
        assert content is not None
        return sum([len(it) async for it in content.points(TIME_MIN, TIME_STOP)])

    assert now(read()) == 2000
    member.run(delete_points, [1], TIME_MIN, TIME_STOP)
    assert now(read()) == 0
    now(member.seal())
    assert now(read()) == 0
    assert block_count(member) == 1
    assert not member.memory.rows[levels.ROWS_TREE]
    assert not member.memory.rows[head.STAGED_TREE]


def test_the_first_and_the_last_moments_are_times_like_others() -> None:
    member = declared(1)
    ends = [TIME_MIN, TIME_MIN + 1, TIME_STOP - 2, TIME_STOP - 1]
    one(member, np.array(ends))
    now(member.seal())

    async def read(start: int, stop: int) -> list[int]:
        content = await (await member.reading()).content(1)
        assert content is not None
        rows = await content.summed(Ranges(np.array([start]), np.array([stop])))
        found = [it async for part in content.points(start, stop) for it in part.times.tolist()]
        assert rows.columns[0].tolist() == [len(found)]
        return found

    assert now(read(TIME_MIN, TIME_MIN + DAY)) == ends[:2]
    assert now(read(TIME_STOP - DAY, TIME_STOP)) == ends[2:]
    member.run(delete_points, [1], TIME_MIN, TIME_MIN + DAY)
    member.run(delete_points, [1], TIME_STOP - 1, TIME_STOP)
    now(member.seal())
    assert now(read(TIME_STOP - DAY, TIME_STOP)) == ends[2:3]


def test_slices_are_bounded_and_each_goes_on_from_the_last() -> None:
    member = declared(300)
    for begin in range(20):
        sids = np.arange(1, 301)
        times = np.full(300, BEGIN + begin * 60 * SECOND)
        stage(member, sids, times, np.random.default_rng(begin).normal(0, 1, 300))
    one(member, np.arange(30_000) * SECOND + BEGIN - DAY, sid=7)
    assert member.run(freeze)

    async def slices() -> list[Rewrite]:
        found = []
        while (it := await member.slice()) is not None:
            found.append(it)
        return found

    found = now(slices())
    assert [it.begun for it in found[1:]] == [it.done for it in found[:-1]]
    assert found[0].begun == Mark()
    assert found[-1].done == END
    assert any(it.done.sid == 7 and it.done.is_inserting for it in found)
    for it in found:
        written = sum(len(row) for edits in it.edits for _, row in edits.rows)
        assert written < SLICE_BYTES + 70_000
    assert not member.run(freeze)


def test_who_is_overtaken_is_refused_and_changes_nothing() -> None:
    member = declared(1)
    one(member, np.arange(100) * SECOND + BEGIN)
    member.run(freeze)
    found = now(member.slicing.slice())
    assert found is not None
    member.run(put_blocks, found)
    rows = dict(member.memory.rows[levels.POINTS_TREE])
    one(member, np.arange(100) * SECOND + BEGIN + DAY)
    member.run(freeze)
    with pytest.raises(Refused) as caught:
        member.run(put_blocks, found)
    assert caught.value.code == OVERTAKEN
    assert member.memory.rows[levels.POINTS_TREE] == rows


def test_sealing_writes_to_its_own_trees_only() -> None:
    member = declared(1)
    one(member, np.array([BEGIN]))
    member.run(freeze)
    found = now(member.slicing.slice())
    assert found is not None
    wrong = Rewrite(found.generation, found.begun, found.done, [type(found.edits[0])("x", [], [])])
    with pytest.raises(Refused):
        member.run(put_blocks, wrong)


def test_what_does_not_fit_waits_until_something_is_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "GENERATION_RECORDS_MAX", 3)
    member = declared(1)
    for place in range(6):
        one(member, np.array([BEGIN + place]))
    with pytest.raises(Refused) as caught:
        one(member, np.array([BEGIN + 6]))
    assert caught.value.code == STAGING_FULL
    assert now(member.slice()) is not None
    one(member, np.array([BEGIN + 6]))

    async def read() -> list[int]:
        content = await (await member.reading()).content(1)
        assert content is not None
        return [time async for it in content.points(0, TIME_STOP) for time in it.times.tolist()]

    assert now(read()) == [BEGIN + it for it in range(7)]


def test_a_point_of_many_series_takes_less_than_three_bytes_of_a_log() -> None:
    """Series that have a point each minute: the worst that is usual, for their blocks are small."""
    count, minutes = 100, 512
    member = declared(count)
    dice = np.random.default_rng(1)
    values = 20 + np.cumsum(dice.normal(0, 0.05, (count, 8 * minutes)), axis=1)
    for part in range(8):
        for begin in range(part * minutes, (part + 1) * minutes, 64):
            times = np.tile(np.arange(begin, begin + 64) * MINUTE + BEGIN, (count, 1))
            numbers = np.round(values[:, begin : begin + 64], 2)
            stage(member, np.repeat(np.arange(1, count + 1), 64), times.ravel(), numbers.ravel())
        now(member.seal())
    assert member.memory.written_bytes / values.size < 3.0


def test_a_long_read_takes_many_turns() -> None:
    """Spending is told of all that is read: whoever waits gets its turn."""
    member = declared(1)
    one(member, np.arange(30_000) * SECOND + BEGIN)
    now(member.seal())
    spent: list[int] = []

    async def spend(rows: int) -> None:
        spent.append(rows)

    async def read() -> None:
        drafts = member.trees.drafts(spend)
        found = await drafts[levels.POINTS_TREE].scan(b"", b"\xff" * 14, 1000)
        assert len(found) == block_count(member)

    now(read())
    assert sum(spent) > block_count(member)
