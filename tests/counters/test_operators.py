"""What operators ask: each act is noted, with who asked and what came of it."""

import logging
from pathlib import Path

import pytest

from roost.counters.errors import BadCounterRequest, PurgeRefused
from roost.database.events import CountersAdministered, Event
from roost.errors import RoostError
from tests.counters.cluster import CountingCluster, run_counting


def test_every_act_is_an_audit_line_and_an_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="roost.counters.operators")
    told: list[Event] = []

    async def story(cluster: CountingCluster) -> None:
        operators = cluster.operators(0)
        cluster.members[0].news.hear(told.append)
        with pytest.raises(PurgeRefused):
            await operators.administer("purge", who="root at 10.0.0.9")
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        assert (await operators.administer("prove", who="ada"))["proof"]
        assert cluster.at(0).known.facts.purge_number == 0
        await operators.administer("purge", is_forced=True, who="root at 10.0.0.9")
        with pytest.raises(BadCounterRequest, match="away for good"):
            await operators.administer("retire", who="root at 10.0.0.9")

    run_counting(tmp_path, story, size=1)
    acts = [it for it in told if isinstance(it, CountersAdministered)]
    assert [it.act for it in acts] == ["purge", "purge by force", "retire"]
    assert acts[0].outcome == "PurgeRefused: nobody has counted yet"
    assert acts[1] == CountersAdministered("purge by force", "root at 10.0.0.9", "done")
    lines = [it.getMessage() for it in caplog.records if it.name == "roost.counters.operators"]
    assert lines[1] == "audit: counters: purge by force, asked by root at 10.0.0.9: done"
    assert len(lines) == 3


def test_what_is_named_makes_no_line_of_the_audit_and_none_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="roost.counters.operators")

    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        for name in ("x\naudit: counters: purge, asked by root: done", "y" * 100_000):
            with pytest.raises(RoostError):
                await cluster.operators(0).administer("retire", name=name, who="eve\r\nat home")

    run_counting(tmp_path, story, size=1)
    lines = [it.getMessage() for it in caplog.records if it.name == "roost.counters.operators"]
    assert len(lines) == 2
    assert all(it.isprintable() for it in lines)
    assert lines[0].startswith("audit: counters: 'retire x\\naudit: counters: purge")
    assert max(map(len, lines)) < 1000


def test_what_nobody_can_ask_is_refused(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        with pytest.raises(BadCounterRequest, match="stats, links, topology"):
            cluster.operators(0).describe("everything")
        with pytest.raises(
            BadCounterRequest, match="one of ready, purge, prove, retire, link, unlink"
        ):
            await cluster.operators(0).administer("everything", who="a test")

    run_counting(tmp_path, story, size=1)
