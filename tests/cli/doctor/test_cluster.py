"""A running cluster, judged by what it says of itself."""

import dataclasses

import pytest

from roost.cli.doctor.asking import Answer, Seen, clock_off
from roost.cli.doctor.cluster import (
    cluster_rows,
    judge_clocks,
    judge_lag,
    judge_leader,
    judge_logins,
    judge_majority,
    judge_store,
    judge_versions,
)
from roost.cli.doctor.row import Row, State
from roost.client import Alarm, Member, Status

NAMES = {1: "m1", 2: "m2", 3: "m3"}
FIGURES = {"etcd_server_quota_backend_bytes": 1000.0, "roost_journal_sync_milliseconds": 0.5}


def status(member_id: int = 1, **changes: object) -> Status:
    held = Status(
        endpoint=f"127.0.0.1:{member_id}",
        member_id=member_id,
        leader_id=1,
        term=2,
        index=5000,
        applied_index=5000,
        revision=7,
        version="3.5.1",
        db_bytes=100,
        db_bytes_in_use=50,
        is_learner=False,
        errors=(),
    )
    return dataclasses.replace(held, **changes)  # type: ignore[arg-type]  # fields of it


def member(member_id: int, name: str = "", *, is_learner: bool = False) -> Member:
    url = f"http://127.0.0.1:{member_id}"
    return Member(member_id, name or NAMES.get(member_id, ""), (url,), (url,), is_learner)


def answer(member_id: int, **changes: object) -> Answer:
    endpoint = f"http://127.0.0.1:{member_id}"
    return Answer(
        endpoint=endpoint, status=status(member_id, **changes), figures=FIGURES, clock_off_s=0.0
    )


def seen(*answers: Answer, **changes: object) -> Seen:
    held = Seen(
        answers=answers,
        members=[member(it) for it in NAMES],
        alarms=[],
        has_logins=True,
    )
    return dataclasses.replace(held, **changes)  # type: ignore[arg-type]  # fields of it


def bad(found: Seen) -> list[Row]:
    return [it for it in cluster_rows(found) if it.state is not State.OK]


def test_a_cluster_that_is_well_has_nothing_to_do() -> None:
    assert bad(seen(answer(1), answer(2), answer(3))) == []


def test_a_member_that_is_down_is_named_and_what_its_loss_means() -> None:
    down = Answer(endpoint="http://127.0.0.1:3", trouble="nobody listens")
    found = bad(seen(answer(1), answer(2), down))
    assert [(it.check, it.state) for it in found] == [
        ("endpoint http://127.0.0.1:3", State.FAILED),
        ("majority", State.WARNED),
    ]
    assert "m3 does not answer" in found[0].found
    assert "no other may fail" in found[1].found


def test_a_member_that_wants_to_know_who_asks_need_not_be_started() -> None:
    asks = Answer(endpoint="http://127.0.0.1:1", trouble="who asks?", asks_who=True)
    [row] = cluster_rows(seen(asks, members=None))
    assert (row.state, row.found) == (State.FAILED, "who asks?")
    assert "--user" in row.to_do
    assert "start it" not in row.to_do


def test_nobody_who_answers_is_all_there_is_to_say() -> None:
    down = Answer(endpoint="http://127.0.0.1:3", trouble="nobody listens")
    [row] = cluster_rows(seen(down, members=None))
    assert row.state is State.FAILED


@pytest.mark.parametrize(
    ("there", "voters", "state"),
    [
        (1, 1, State.OK),
        (3, 3, State.OK),
        (2, 3, State.WARNED),
        (1, 3, State.FAILED),
        (4, 4, State.WARNED),
        (3, 5, State.WARNED),
        (2, 4, State.FAILED),
    ],
)
def test_a_majority_answers_and_some_may_fail(there: int, voters: int, state: State) -> None:
    assert judge_majority(there, voters).state is state


@pytest.mark.parametrize(
    ("leaders", "state", "words"),
    [
        ((1, 1, 1), State.OK, "m1 in term 2"),
        ((0, 0), State.FAILED, "nobody leads"),
        ((1, 0, 1), State.WARNED, "m2 knows none"),
        ((1, 2, 1), State.WARNED, "m1, m2"),
    ],
)
def test_all_know_one_leader(leaders: tuple[int, ...], state: State, words: str) -> None:
    said = [status(it, leader_id=leader) for it, leader in enumerate(leaders, 1)]
    row = judge_leader(said, NAMES)
    assert row.state is state
    assert words in row.found


def test_versions_that_differ_are_told() -> None:
    assert judge_versions([status(1), status(2)]).state is State.OK
    row = judge_versions([status(1), status(2, version="3.6.0")])
    assert (row.state, row.found) == (State.WARNED, "3.5.1, 3.6.0")


def test_who_is_behind_is_told_and_who_is_nearly_there_is_not() -> None:
    assert judge_lag([status(1), status(2, applied_index=4000)], NAMES).state is State.OK
    row = judge_lag([status(1), status(2, applied_index=3999)], NAMES)
    assert (row.state, row.found) == (State.WARNED, "m2 is 1001 entries behind")


def test_a_learner_is_told_with_how_far_it_has_come() -> None:
    learner = member(3, is_learner=True)
    members = [member(1), member(2), learner]
    found = list(
        cluster_rows(seen(answer(1), answer(2), answer(3, is_learner=True), members=members))
    )
    [row] = [it for it in found if it.check == "learner"]
    assert row.state is State.OK
    assert "roost member promote 3" in row.found
    late = answer(3, is_learner=True, applied_index=10)
    found = bad(seen(answer(1), answer(2), late, members=members))
    assert {it.check for it in found} == {"lag", "learner", "majority"}, "two voters are even"


def test_alarms_fail_and_say_what_to_do() -> None:
    raised = [Alarm(2, "NOSPACE"), Alarm(3, "CORRUPT")]
    found = bad(seen(answer(1), answer(2), answer(3), alarms=raised))
    assert [(it.state, it.found) for it in found] == [
        (State.FAILED, "NOSPACE at m2"),
        (State.FAILED, "CORRUPT at m3"),
    ]
    assert "roost defrag" in found[0].to_do


def test_who_was_added_and_never_started_or_is_of_another_cluster_is_told() -> None:
    new = dataclasses.replace(member(4), name="", client_urls=())
    members = [member(1), member(2), new]
    [added, foreign, majority] = bad(seen(answer(1), answer(2), answer(9), members=members))
    assert "never started" in added.found
    assert foreign.state is State.FAILED
    assert foreign.found.startswith("9 answers")
    assert majority.state is State.WARNED


def test_a_member_that_cannot_be_asked_is_not_passed_over() -> None:
    """It was: a member that ended before it had told its client URLs."""
    members = [member(1), member(2), dataclasses.replace(member(3), client_urls=())]
    [silent, majority] = bad(seen(answer(1), answer(2), members=members))
    assert silent.state is State.FAILED
    assert silent.found.startswith("m3 was not asked")
    assert majority.state is State.WARNED
    assert bad(seen(answer(1), answer(2), answer(3), members=members)) == []


def test_what_nobody_says_is_skipped_with_the_reason() -> None:
    found = bad(
        seen(
            answer(1),
            members=None,
            alarms=None,
            has_logins=None,
            troubles={"members": "a", "alarms": "b", "logins": "c"},
        )
    )
    assert [(it.check, it.found) for it in found] == [
        ("members", "a"),
        ("alarms", "b"),
        ("who clients are", "c"),
    ]
    assert {it.state for it in found} == {State.SKIPPED}
    silent = dataclasses.replace(answer(1), figures={}, clock_off_s=None, reticence="no page")
    found = bad(seen(silent, members=[member(1)]))
    assert [(it.check, it.found) for it in found] == [
        ("clocks of members", "no member tells the time"),
        ("store of http://127.0.0.1:1", "no page"),
    ]


def test_a_cluster_that_asks_nobody_who_he_is_is_told_where_others_reach_it() -> None:
    assert judge_logins(seen(has_logins=True)).state is State.OK
    assert judge_logins(seen(has_logins=False)).state is State.OK, "on this machine only"
    afar = dataclasses.replace(member(1), client_urls=("https://10.0.0.1:2379",))
    row = judge_logins(seen(has_logins=False, members=[member(2), afar]))
    assert row.state is State.WARNED
    assert "roost auth enable" in row.to_do


@pytest.mark.parametrize(
    ("db_bytes", "quota", "state"),
    [
        (799, 1000, State.OK),
        (800, 1000, State.WARNED),
        (1000, 1000, State.FAILED),
        (10**9, 0, State.OK),
    ],
)
def test_a_store_stays_below_its_quota(db_bytes: int, quota: int, state: State) -> None:
    assert judge_store("e", status(db_bytes=db_bytes), quota).state is state


def test_figures_of_members_are_looked_at() -> None:
    short = {**FIGURES, "roost_memory_is_short": 1.0, "roost_journal_sync_milliseconds": 11.0}
    short["roost_queue_refused_total"] = 1868.0
    held = dataclasses.replace(answer(1), figures=short)
    found = bad(seen(held, members=[member(1)]))
    assert [it.check.split(" of ")[0] for it in found] == ["memory", "queue", "disk syncs"]
    assert found[1].found.startswith("1,868 requests were refused")


@pytest.mark.parametrize(
    ("offs", "state", "words"),
    [
        ((0.0, 1.9), State.OK, "this machine's"),
        ((0.0, -3.0), State.WARNED, "3 s behind"),
        ((10.0, -3.0), State.WARNED, "10 s ahead of"),
        ((0.0, None), State.OK, "not told by http://127.0.0.1:2"),
    ],
)
def test_clocks_that_differ_are_told(
    offs: tuple[float | None, ...], state: State, words: str
) -> None:
    answers = [dataclasses.replace(answer(it), clock_off_s=off) for it, off in enumerate(offs, 1)]
    row = judge_clocks(answers)
    assert row.state is state
    assert words in row.found


DATE, DATE_S = "Thu, 26 Nov 2026 16:00:00 GMT", 1_795_708_800.0


@pytest.mark.parametrize(
    ("before_s", "after_s", "off_s"),
    [
        (DATE_S + 0.1, DATE_S + 0.2, 0.0),
        (DATE_S - 0.1, DATE_S + 0.1, 0.0),
        (DATE_S + 0.9, DATE_S + 1.5, 0.0),
        (DATE_S - 6.0, DATE_S - 5.0, 5.0),
        (DATE_S + 6.0, DATE_S + 7.0, -5.0),
    ],
)
def test_a_clock_is_off_by_what_a_date_cannot_explain(
    before_s: float, after_s: float, off_s: float
) -> None:
    assert clock_off(DATE, before_s, after_s) == pytest.approx(off_s)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_what_is_no_date_tells_no_time(date: str | None) -> None:
    assert clock_off(date, 0.0, 1.0) is None
