"""Who feeds a new member, how far it is, and when it serves."""

from pathlib import Path

import pytest

from roost.counters.errors import NotReady
from roost.counters.joining import Phase
from roost.counters.ports import Options
from roost.counters.seeding import PATIENCE_S
from tests.counters.cluster import CountingCluster, run_counting


async def begin_anew(cluster: CountingCluster, options: Options) -> None:
    """m2 has lost its directory, and has to be fed."""
    await cluster.desk(0).increment([(f"n{it}", 1) for it in range(3000)])
    await cluster.until_known()
    await cluster.until_all_read({"n2999": 1})
    await cluster.stop(2)
    cluster.forget_directory(2, "another")
    cluster.options["m2"] = options


def test_the_operator_chooses_who_feeds_it(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await begin_anew(cluster, Options(seed="m1"))
        await cluster.start(2)
        await cluster.until(lambda: cluster.at(2).seeding.seed == "m1")
        exchange = cluster.at(2).exchange
        assert exchange is not None
        assert exchange.seed == cluster.members[1].member_id
        await cluster.until(lambda: cluster.read(2, ["n7"]) == [1])
        said = cluster.operators(2).describe("stats")
        assert (said["phase"], said["share"], said["left_s"]) == ("ready", 1.0, None)
        assert said["rows_fed"] >= 3000
        assert said["rows_fed_a_second"] > 0
        assert exchange.seed == 0

    run_counting(tmp_path, story)


def test_when_that_one_is_gone_another_one_goes_on(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await begin_anew(cluster, Options(seed="m1"))
        await cluster.start(2)
        await cluster.until(lambda: cluster.at(2).counts.rows_received > 0)
        began_s = cluster.at(2).around.clock_s()
        cluster.crash(1)
        await cluster.until(lambda: cluster.at(2).seeding.seed == "m0")
        assert cluster.at(2).around.clock_s() - began_s < 2 * PATIENCE_S
        await cluster.until(
            lambda: cluster.operators(2).describe("stats")["phase"] != Phase.FEEDING.value
        )
        # It has all pages, and waits until each link has been empty: also that of who is away.
        await cluster.start(1)
        await cluster.until(lambda: cluster.read(2, ["n7", "n2999"]) == [1, 1])

    run_counting(tmp_path, story)


def test_a_silent_member_is_fed_and_serves_when_somebody_says_so(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await begin_anew(cluster, Options(is_silent=True))
        await cluster.start(2)
        stats = cluster.operators(2).describe
        await cluster.until(lambda: stats("stats").get("phase") == Phase.SILENT.value)
        await cluster.desk(0).increment([("n7", 1)])
        with pytest.raises(NotReady):
            await cluster.desk(2).read(["n7"])
        nodes = {it["name"]: it for it in cluster.operators(0).describe("topology")["nodes"]}
        assert nodes["another"]["client_urls"] == []
        said = await cluster.operators(2).administer("ready", who="a test")
        assert said["phase"] == Phase.READY.value
        await cluster.until(lambda: cluster.read(2, ["n7"]) == [2])

    run_counting(tmp_path, story)


def test_a_member_alone_whose_directory_is_lost_is_fed_by_nobody(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        await cluster.stop(0)
        cluster.forget_directory(0, "another")
        await cluster.start(0)
        assert await cluster.desk(0).increment([("a", 2)]) == [2]

    run_counting(tmp_path, story, size=1)
