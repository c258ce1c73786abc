"""Time series in a cluster: appended at one member, sealed by another, the same at all."""

import asyncio
from pathlib import Path

import pytest

from roost.database import Refused
from roost.series import (
    COUNT,
    OVERTAKEN,
    Engine,
    Info,
    Ranges,
    Table,
    Tag,
    batch,
    encode_batch,
    tag,
)
from roost.series.extra import np
from roost.series.operations import PUT_BLOCKS
from roost.series.staging import Rewrite
from tests.database.databases import Databases, with_databases

SECOND = 10**9
HOUR = 3600 * SECOND
BEGIN = 1_700_006_400 * SECOND
HOURS = np.arange(3, dtype=np.int64) * HOUR + BEGIN


async def sums(engine: Engine, sid: int) -> Table:
    async with engine.reading() as reading:
        content = await reading.content(sid)
        assert content is not None
        return await content.summed(Ranges(HOURS, HOURS + HOUR))


async def seal(engine: Engine) -> None:
    while await engine.freeze():
        while await engine.seal_slice():
            continue


@pytest.mark.slow
def test_what_is_appended_at_one_member_is_sealed_by_another_and_read_at_all(
    tmp_path: Path,
) -> None:
    async def story(cluster: Databases) -> None:
        engines = [Engine(it) for it in cluster.databases.values()]
        one, two, three = engines
        told = await one.declare([Info("heat", [Tag("room", "1")]), Info("cold")])
        count = 6000
        for begin in range(0, count, 1500):
            seconds = np.arange(begin, begin + 1500, dtype=np.int64)
            sids = np.full(1500, told.sids[0])
            values = np.round(np.sin(seconds * (1 / 300)), 2)
            await two.append(
                told.epoch, encode_batch(batch(sids, seconds * SECOND + BEGIN, values))
            )
        staged = await sums(three, told.sids[0])
        assert staged.columns[COUNT].tolist() == [3600, 2400]
        # Two seal at once: one of them is overtaken, and nothing is done twice.
        await asyncio.gather(seal(two), seal(three))
        for engine in engines:
            rows = await sums(engine, told.sids[0])
            assert np.allclose(rows.columns, staged.columns, rtol=1e-9)
            assert (await engine.head()).frozen is None
        await three.delete_points([told.sids[0]], BEGIN, BEGIN + 600 * SECOND)
        assert (await sums(one, told.sids[0])).columns[COUNT].tolist() == [3000, 2400]
        await seal(one)
        assert (await sums(two, told.sids[0])).columns[COUNT].tolist() == [3000, 2400]
        async with one.reading() as reading:
            found = [sid async for page in reading.tagged(tag("room=1")) for sid in page]
            assert found == told.sids[:1]
        head = await one.head()
        late = Rewrite(head.active.number, head.mark, head.mark.behind(), [])
        with pytest.raises(Refused) as caught:
            await cluster.databases[0].run(PUT_BLOCKS, late)
        assert caught.value.code == OVERTAKEN

    with_databases(tmp_path, story)
