"""Alarms about counters: who lacks something for long, and who has something else."""

from pathlib import Path

from roost.counters.alarms import BEHIND, DIVERGE, Alarm
from roost.counters.changing import Steps
from roost.counters.ports import Options
from roost.counters.store import Answer, Store
from roost.database.events import AlarmCleared, AlarmRaised, Event
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting


def alarms_of(told: list[Event]) -> list[Event]:
    return [it for it in told if isinstance(it, AlarmRaised | AlarmCleared)]


def test_a_member_that_is_behind_for_long_is_an_alarm_until_it_has_everything(
    tmp_path: Path,
) -> None:
    async def story(cluster: CountingCluster) -> None:
        cluster.options["m0"] = Options(behind_s_max=5.0)
        await cluster.stop(0)
        await cluster.start(0)
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_all_read({"a": 1})
        told: list[Event] = []
        cluster.members[0].news.hear(told.append)
        away = cluster.members[2].member_id
        cluster.isolate(2)
        await cluster.desk(0).increment([("a", 1)])
        await pass_time(4.0)
        assert cluster.at(0).alarms.on == []
        await pass_time(3.0)
        assert cluster.at(0).alarms.on == [Alarm(BEHIND, away)]
        assert cluster.operators(0).describe("stats")["alarms"] == [
            {"alarm": BEHIND, "member": f"{away:x}"}
        ]
        # Nobody has set that here.
        assert cluster.at(1).alarms.on == []
        cluster.heal()
        await cluster.until(lambda: cluster.at(0).alarms.on == [])
        assert alarms_of(told) == [AlarmRaised(away, BEHIND), AlarmCleared(away, BEHIND)]

    run_counting(tmp_path, story)


def test_a_member_that_has_something_else_is_an_alarm_until_it_was_sent_all_again(
    tmp_path: Path,
) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1), ("b", 2)])
        await cluster.until_all_read({"a": 1, "b": 2})
        told: list[Event] = []
        cluster.members[1].news.hear(told.append)
        owner = cluster.members[0].member_id

        def damage(store: Store) -> Steps:
            yield
            source = cluster.at(0).store
            assert source is not None
            number = store.owners.numbers[source.epoch]
            store.stage_part(b"a", number, None, store.layers.parts(b"a"))
            return Answer([], store.step)

        cluster.at(1).work_nowait(damage, lambda _outcome: None)
        await cluster.until(lambda: cluster.read(1, ["a"]) == [None])
        exchange = cluster.at(0).exchange
        assert exchange is not None
        exchange.links[cluster.members[1].member_id].compare_soon()
        await cluster.until(lambda: cluster.read(1, ["a"]) == [1])
        await cluster.until(lambda: alarms_of(told) == [AlarmRaised(owner, DIVERGE)])
        exchange.links[cluster.members[1].member_id].compare_soon()
        await cluster.until(lambda: cluster.at(1).alarms.on == [])
        assert alarms_of(told)[-1] == AlarmCleared(owner, DIVERGE)

    run_counting(tmp_path, story, size=2)
