"""Deletions of many series are jobs: counted, in steps, gone on with by any leader, cancelled."""

import json
from pathlib import Path

import pytest

from roost.database import Refused
from roost.series import deleting, jobs, writing
from roost.series.deleting import Deleting
from roost.series.driving import Driver
from roost.series.engine import Engine
from roost.series.errors import NO_JOB, OVERTAKEN, STAGING_FULL
from roost.series.intake import Intake
from roost.series.jobs import CANCELLED, DONE, JOBS_MAX, RUNNING, RUNNING_MAX, Job
from roost.series.names import Tag
from roost.sim.members.loop import pass_time
from roost.tasks import Tasks
from tests.database.databases import Databases, with_databases
from tests.series.memory_trees import Member
from tests.series.test_intake import held, points
from tests.series.test_interface import Asked, with_interface

pytestmark = pytest.mark.slow
NAMES = [f"s{it:02}" for it in range(20)]
TAG = Tag("temp", "C")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "STEP_SERIES", 3)
    monkeypatch.setattr(writing, "AT_ONCE_SERIES", 5)


async def filled(engine: Engine) -> Intake:
    """Twenty series of ten points each, all with a tag."""
    taking = Intake(engine)
    await taking.add(points([(name, it, 1.0) for name in NAMES for it in range(10)]))
    for name in NAMES:
        await engine.tag(name.encode(), [TAG], [])
    return taking


def job(**given: object) -> Job:
    fields = {"number": 0, "names": [], "tags": [TAG], "start": 2, "stop": 7, "begun_ns": 1,
              "series_count": 20, "point_count": 100, **given}  # fmt: skip
    return Job(**fields)  # type: ignore[arg-type]  # they are its fields


def test_another_leader_goes_on_and_each_step_is_made_once(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engines = {place: Engine(it) for place, it in cluster.databases.items()}
        leader = next(place for place, it in engines.items() if it.is_leader)
        taking = await filled(engines[leader])
        begun = await engines[leader].begin_job(job())
        mine = Deleting(engines[leader])
        for _ in range(2):
            assert await mine.step()
        await taking.close()
        await cluster.crash(leader)
        del engines[leader]
        await cluster.leader()
        tasks = Tasks()
        for it in engines.values():
            tasks.start(Driver(it).run())
        left = next(iter(engines.values()))
        while not (await left.jobs())[0].is_over:
            await pass_time(0.5)
        (found,) = await left.jobs()
        assert (found.number, found.state) == (begun.number, DONE)
        assert (found.done_count, found.deleted_count) == (20, 100)
        for name in NAMES:
            assert sorted(await held(left, name)) == [0, 1, 7, 8, 9]
        await tasks.close()

    with_databases(tmp_path, story)


def test_two_that_make_steps_cost_each_other_work_and_nothing_else(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = await filled(engine)
        await engine.begin_job(job(names=NAMES[:7], tags=[]))
        one, two = Deleting(engine), Deleting(engine)
        while await one.step():
            await two.step()
        assert not await two.step()
        (found,) = await engine.jobs()
        assert (found.state, found.done_count, found.deleted_count) == (DONE, 7, 35)
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_a_job_that_is_cancelled_leaves_what_it_has_not_reached(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking, steps = await filled(engine), Deleting(engine)
        begun = await engine.begin_job(job())
        await steps.step()
        assert (await engine.cancel_job(begun.number)).state == CANCELLED
        assert not await steps.step()
        assert [len(await held(engine, it)) for it in NAMES] == [5] * 3 + [10] * 17
        assert (await engine.cancel_job(begun.number)).done_count == 3
        with pytest.raises(Refused) as caught:
            await engine.cancel_job(99)
        assert caught.value.code == NO_JOB
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_of_few_series_points_go_at_once_and_of_many_by_a_job(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        lines = "\n".join(f"{name},room=1 f={it} {it}" for name in NAMES for it in range(4))
        await ask("POST", "/write", lines.encode())
        said = await ask("DELETE", "/series/points?name=s00.f&start=0&end=2")
        assert said == {"deleted": 2, "series": 1}
        target = "/series/points?tag=room=1&start=0&end=2"
        assert await ask("DELETE", f"{target}&dry_run=true") == {"would_delete": 38, "series": 20}
        status, body = await ask.raw("DELETE", target)
        assert status == 202
        begun = json.loads(body)
        assert (begun["state"], begun["points"], begun["series"]) == ("running", 38, 20)
        assert begun["tags"] == ["room=1"]
        assert (await ask("GET", "/series/jobs"))["jobs"] == [begun]
        steps = Deleting(ask.interface.engine)
        while await steps.step():
            continue
        (found,) = (await ask("GET", "/series/jobs"))["jobs"]
        assert (found["state"], found["series_done"], found["deleted"]) == ("done", 20, 38)
        assert await ask("DELETE", f"/series/jobs/{begun['job']}") == found
        assert (await ask("DELETE", "/series/jobs/77"))[0] == 404
        assert (await ask("DELETE", "/series/jobs/first"))[0] == 400
        assert (await ask.raw("POST", "/series/jobs"))[0] == 405

    with_interface(tmp_path, story)


def test_rows_of_jobs_are_bounded_and_steps_are_taken_in_their_order() -> None:
    member = Member()
    for number in range(1, RUNNING_MAX + 1):
        assert member.run(jobs.begin_job, job()).number == number
    with pytest.raises(Refused, match="under way"):
        member.run(jobs.begin_job, job())
    with pytest.raises(Refused) as caught:
        member.run(jobs.step_job, 1, 5, [6], 1)
    assert caught.value.code == OVERTAKEN
    assert member.run(jobs.step_job, 1, 0, [], 0).state == DONE
    for number in range(RUNNING_MAX + 1, JOBS_MAX + 10):
        assert member.run(jobs.begin_job, job()).number == number
        member.run(jobs.cancel_job, number)
    states = [jobs.decode_job(row).state for row in member.memory.rows[jobs.JOBS_TREE].values()]
    assert len(states) == JOBS_MAX
    assert states.count(RUNNING) == RUNNING_MAX - 1


def test_a_job_waits_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.series.head.GENERATION_RECORDS_MAX", 2)

    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking, steps = await filled(engine), Deleting(engine)
        await engine.begin_job(job())

        async def go_on() -> None:
            while True:
                await steps.step()

        with pytest.raises(Refused) as caught:
            await go_on()
        assert caught.value.code == STAGING_FULL
        tasks = Tasks()
        tasks.start(Driver(engine).run())
        while not (await engine.jobs())[0].is_over:
            await pass_time(0.5)
        assert [len(await held(engine, it)) for it in NAMES] == [5] * 20
        await tasks.close()
        await taking.close()

    with_databases(tmp_path, story, size=1)
