"""Long reads: one state, in bounded steps, whatever is written meanwhile (issue 14)."""

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from roost.etcd.model.ranges import Room
from roost.etcd.v3 import long_reads
from roost.etcd.v3.long_reads import LongReads
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from roost.store.held import HELD_S_MAX, STATES_MAX
from tests.etcd.replica import Answer
from tests.etcd.v3.readers import Server, SlowAnswer, make_all_long
from tests.steps import steps_of

ALL = pb.RangeRequest(key=b"\0", range_end=b"\0")
# Of one turn's part of long reads, in lines that run: about two milliseconds.
TURN_STEPS_MAX = 24_000


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()
    yield it
    it.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that has more than a few keys is long."""
    make_all_long(monkeypatch)


def drawn(chance: random.Random, revision: int) -> pb.RangeRequest:
    """Any range that the model can answer."""
    first, last = sorted((b"%02d" % chance.randrange(60), b"%02d" % chance.randrange(60)))
    request = pb.RangeRequest(
        key=first,
        range_end=chance.choice([b"\0", last + b"x", b""]),
        limit=chance.choice([0, 0, 1, 2, 5, 30]),
        sort_order=chance.choice(pb.RangeRequest.SortOrder.keys()),
        sort_target=chance.choice(pb.RangeRequest.SortTarget.keys()),
        keys_only=chance.random() < 0.3,
        count_only=chance.random() < 0.2,
        serializable=chance.random() < 0.5,
    )
    if chance.random() < 0.5:
        request.revision = chance.randint(1, revision)
    if chance.random() < 0.3:
        request.min_mod_revision = chance.randint(0, revision)
        request.max_mod_revision = chance.choice([0, chance.randint(1, revision)])
    if chance.random() < 0.2:
        request.min_create_revision = chance.randint(0, revision)
        request.max_create_revision = chance.choice([0, chance.randint(1, revision)])
    return request


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(12))
def test_a_long_read_is_of_one_state_while_everything_goes_on(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    asked: list[tuple[pb.RangeRequest, Answer]] = []

    def write() -> None:
        revision = len(server.model.states) - 1
        match chance.randrange(8):
            case 0:
                server.delete(b"%02d" % chance.randrange(60), b"%02d" % chance.randrange(60))
            case 1:
                server.compact(chance.randint(1, revision))
            case 2:
                server.store.flush()
            case 3:
                server.tick()
            case 4 if server.services._mvcc.key_counts.is_done is False:
                server.services._mvcc.key_counts.go_on()
            case _:
                keys = {b"%02d" % chance.randrange(60) for _ in range(chance.randint(1, 6))}
                server.put(
                    {it: b"%d" % chance.randrange(9) * chance.randrange(9) for it in sorted(keys)}
                )

    async def story() -> None:
        write_count = 0
        while write_count < 250 or server.reads.count:
            if write_count < 250:
                write_count += 1
                write()
                if chance.random() < 0.4:
                    request = drawn(chance, len(server.model.states) - 1)
                    asked.append((request, server.range(request, SlowAnswer())))
            await asyncio.sleep(0)

    run_virtually(story())
    assert len(asked) > 60
    for request, answer in asked:
        server.check(request, answer)
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_what_there_is_no_room_to_keep_is_read_again(server: Server) -> None:
    server.fill(300, 40)
    server.reads.room = Room(500)
    for request in (ALL, pb.RangeRequest(key=b"\0", range_end=b"\0", sort_order="DESCEND")):
        answer = SlowAnswer()

        async def story(request: pb.RangeRequest, answer: Answer) -> None:
            server.range(request, answer)
            server.delete(b"k", b"l")
            server.fill(300, 40)
            await until_idle()

        run_virtually(story(request, answer))
        assert len(answer.parts) > 50, "it was sent in parts"
        server.check(request, answer)
    assert server.is_idle()


@pytest.mark.slow
def test_no_step_of_a_large_range_is_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 14: a range of all of 300,000 keys held the loop for seconds."""
    server.fill_large(100_000)
    server.store.flush()
    server.put({b"k%07d" % number: b"new" for number in range(0, 100_000, 1000)})
    old = len(server.model.states) - 2
    run, turn = LongReads.run, LongReads._turn
    steps: list[int] = []
    turn_count = 0

    def counted(reads: LongReads) -> None:
        nonlocal turn_count
        turn_count += 1
        if turn_count % 16:  # counting takes long itself
            turn(reads)
        else:
            steps.append(steps_of(lambda: turn(reads)))

    monkeypatch.setattr(LongReads, "run", lambda *it: steps.append(steps_of(lambda: run(*it))))
    monkeypatch.setattr(LongReads, "_turn", counted)
    some = pb.RangeRequest(key=b"k00900", range_end=b"\0")
    requests = [ALL, *(pb.RangeRequest() for _ in range(4))]
    for request in requests[1:]:
        request.CopyFrom(some)
    requests[1].revision, requests[1].limit = old, 20
    requests[2].sort_target, requests[2].sort_order = pb.RangeRequest.MOD, pb.RangeRequest.DESCEND
    requests[3].count_only = True
    requests[4].keys_only, requests[4].min_mod_revision = True, 7
    for request in requests:
        answer = SlowAnswer()

        async def story(request: pb.RangeRequest, answer: Answer) -> None:
            server.range(request, answer)
            await until_idle()

        run_virtually(story(request, answer))
        server.check(request, answer)
        assert max(steps) < TURN_STEPS_MAX
        assert len(steps) > 2
        steps.clear()
    assert server.is_idle()


def test_what_begins_in_one_turn_shares_a_budget_and_the_rest_is_begun_later(
    server: Server,
) -> None:
    """256 ranges of 450 keys were begun in one turn, each with a budget of its own: 0.3 s."""
    server.fill(450, 20)
    server.store.flush()
    answers: list[Answer] = []
    turns: list[int] = []
    honest = LongReads._turn

    def counted(reads: LongReads) -> None:
        turns.append(steps_of(lambda: honest(reads)))

    async def story() -> None:
        turns.append(steps_of(lambda: answers.extend(server.range(ALL) for _ in range(100))))
        assert sum(it.message is not None for it in answers) <= 2
        assert server.reads.waiting_count >= 98
        assert server.store.held_views.count == 0, "who waits holds nothing"
        gone = server.range(ALL)
        gone.is_gone = True
        server.put({b"later": b"seen"})
        await until_idle()
        assert gone.message is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LongReads, "_turn", counted)
        run_virtually(story())
    for answer in answers:
        server.check(ALL, answer)
    assert answers[-1].message is not None
    assert b"later" in answers[-1].message, "it is no older than what was asked for"
    assert max(turns[1:]) < TURN_STEPS_MAX
    assert turns[0] < TURN_STEPS_MAX + 100 * 200, "and what each that waits costs"
    assert server.is_idle()


@pytest.mark.parametrize("how", ["plain", "serializable", "old"])
def test_many_large_values_are_answered_over_turns(server: Server, how: str) -> None:
    """Issue 14: 256 values of a megabyte, each asked for by its key, were answered in one turn."""
    server.put({b"large": b"v" * (1 << 20)})
    request = pb.RangeRequest(key=b"large", serializable=how == "serializable")
    if how == "old":
        request.revision = len(server.model.states) - 1
        server.put({b"large": b""})
    counts: list[int] = []

    async def story() -> None:
        answers = [server.range(request) for _ in range(40)]
        while not counts or counts[-1] < len(answers):
            counts.append(sum(it.message is not None for it in answers))
            await asyncio.sleep(0)
        for answer in answers:
            server.check(request, answer)

    run_virtually(story())
    steps = [after - before for before, after in pairwise([0, *counts])]
    assert max(steps) <= 5
    assert server.is_idle()


def test_who_cannot_be_begun_is_refused_when_too_many_wait_and_told_when_services_stop(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fill(20, 20)
    reads = server.reads
    monkeypatch.setattr(reads._unbegun, "_count_max", 4)
    monkeypatch.setattr(reads._unbegun, "_roomy_count", 2.0)

    async def story() -> None:
        reads._left = 0
        reads._schedule()
        answers = [server.range(ALL) for _ in range(4)]
        assert [it.error for it in answers[2:]] == [(8, "etcdserver: too many requests")] * 2
        server.services.stop()
        assert [it.error for it in answers[:2]] == [(14, "etcdserver: server stopped")] * 2

    run_virtually(story())
    assert server.is_idle()


def test_a_short_read_holds_nothing_and_is_answered_at_once(server: Server) -> None:
    server.fill(450, 20)
    few = b"k0000100"
    requests = [
        ALL,
        pb.RangeRequest(key=b"k", range_end=b"l", limit=400),
        pb.RangeRequest(key=b"k", range_end=few, sort_target="VALUE", sort_order="DESCEND"),
        pb.RangeRequest(key=b"k", range_end=b"l", revision=4),
    ]

    async def story() -> None:
        for request in requests:
            server.check(request, begun(server, request))

    run_virtually(story())
    step = pb.RequestOp(request_range=pb.RangeRequest(key=b"k", range_end=few))
    assert server.call("KV/Txn", pb.TxnRequest(success=[step] * 3)).message
    assert server.is_idle()


def begun(server: Server, request: pb.RangeRequest) -> Answer:
    """As if nobody else had been begun in this turn."""
    server.reads._left = long_reads.INLINE_UNITS
    return server.range(request)


@pytest.mark.usefixtures("small")
def test_a_state_that_cannot_be_held_is_waited_for(server: Server) -> None:
    answers: list[Answer] = []

    async def story() -> None:
        for number in range(STATES_MAX + 3):
            server.put({b"%02d" % it: b"%d" % number for it in range(30)})
            answers.append(begun(server, ALL))
        assert server.store.held_views.count == STATES_MAX
        assert server.reads.waiting_count == 3
        await until_idle()

    run_virtually(story())
    for answer in answers:
        server.check(ALL, answer)
    assert server.is_idle()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("whole_bytes_max", [1, 1 << 20], ids=["in parts", "whole"])
def test_there_are_no_more_long_reads_than_may_be(
    server: Server, monkeypatch: pytest.MonkeyPatch, whole_bytes_max: int
) -> None:
    """One client has no more than there are places left, so a few heavy ones never fill all.

    Others of its own wait for one: of a thousand at once half were refused on a fast machine.
    """
    monkeypatch.setattr(long_reads, "READS_MAX", 6)
    monkeypatch.setattr(long_reads, "WHOLE_BYTES_MAX", whole_bytes_max)
    server.fill(30, 20)

    async def story() -> None:
        answers = [begun(server, ALL) for _ in range(9)]
        most = 0
        while server.reads.count:
            most = max(most, server.reads.count - server.reads.waiting_count)
            await asyncio.sleep(0)
        await until_idle()
        assert most == 3
        for answer in answers:
            server.check(ALL, answer)
        short = pb.RangeRequest(key=b"\0", range_end=b"k0000001")
        server.check(short, server.range(short))

    run_virtually(story())
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_a_client_that_takes_nothing_keeps_little_and_not_for_ever(server: Server) -> None:
    server.fill(100, 40)
    answer = SlowAnswer(takes=False)

    async def story() -> None:
        server.range(ALL, answer)
        await until_idle()
        assert 0 < answer.pending_bytes < 400
        assert server.reads.count == 1
        assert server.store.held_views.count == 0, "all is kept in memory, so no state is"
        for _ in range(3):
            answer.take()
            await until_idle()
        assert len(answer.parts) > 3
        await pass_time(long_reads.REST_S_MAX + 1)
        assert answer.error is not None
        assert answer.error[0] == 14
        assert "taken nothing" in answer.error[1]

    run_virtually(story())
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_a_client_that_takes_too_long_loses_its_state_and_is_told(server: Server) -> None:
    server.fill(100, 40)
    server.reads.room = Room(0)
    answer = SlowAnswer(takes=False)

    async def story() -> None:
        server.range(ALL, answer)
        await until_idle()
        server.store.flush_if_due(0.0)
        assert server.store.held_views.count == 1
        server.store.flush_if_due(HELD_S_MAX + 1)
        assert server.store.held_views.count == 0
        answer.take()
        await until_idle()
        assert answer.error is not None
        assert "more than 60 s" in answer.error[1]

    run_virtually(story())
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_a_client_that_goes_away_leaves_nothing(server: Server) -> None:
    server.fill(100, 40)
    resting, running = SlowAnswer(takes=False), SlowAnswer()

    async def story() -> None:
        server.range(ALL, resting)
        await until_idle()
        server.range(ALL, running)
        resting.leave()
        running.leave()
        await until_idle()

    run_virtually(story())
    assert resting.message is running.message is None
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_a_read_whose_state_is_lost_before_it_was_sent_begins_anew(server: Server) -> None:
    server.fill(60, 20)
    answer = Answer()

    async def story() -> None:
        server.range(ALL, answer)
        assert server.store.held_views.count == 1
        server.store.held_views.lose_all("the file was replaced")
        server.put({b"later": b"seen"})
        await until_idle()

    run_virtually(story())
    server.check(ALL, answer)
    assert answer.message is not None
    assert b"later" in answer.message


@pytest.mark.usefixtures("small")
def test_a_read_whose_state_is_lost_again_and_again_fails(server: Server) -> None:
    server.fill(60, 20)
    answer = Answer()

    async def story() -> None:
        server.range(ALL, answer)
        while answer.error is None:
            server.store.held_views.lose_all("the file was replaced")
            await asyncio.sleep(0)
        assert answer.error[0] == 14

    run_virtually(story())
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_the_ranges_of_a_transaction_are_of_one_state(server: Server) -> None:
    server.put({b"%02d" % it: b"%d" % it for it in range(40)})
    first = pb.RangeRequest(key=b"\0", range_end=b"\0")
    last = pb.RangeRequest(key=b"2", range_end=b"3", sort_target="VALUE", sort_order="DESCEND")
    one = pb.RangeRequest(key=b"07", keys_only=True)
    inner = pb.TxnRequest(success=[pb.RequestOp(request_range=it) for it in (last, one)])
    steps = [pb.RequestOp(request_range=first), pb.RequestOp(request_txn=inner)]
    answer = SlowAnswer()

    async def story() -> None:
        server.call("KV/Txn", pb.TxnRequest(success=steps), answer)
        revision = len(server.model.states) - 1
        server.delete(b"0", b"4")
        await until_idle()
        assert answer.message is not None, answer.error
        said = pb.TxnResponse.FromString(answer.message)
        nested = said.responses[1].response_txn
        assert said.succeeded
        assert nested.succeeded
        found = [said.responses[0], *nested.responses]
        for request, it in zip((first, last, one), found, strict=True):
            it.response_range.ClearField("header")
            assert it.response_range == server.model.answer(request, revision)

    run_virtually(story())
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_the_hash_of_keys_is_of_one_state(server: Server) -> None:
    server.fill(40, 20)
    server.compact(1)
    hashes: list[int] = []

    async def story() -> None:
        for is_disturbed in (False, True):
            answer = server.call("Maintenance/HashKV", pb.HashKVRequest())
            if is_disturbed:
                server.delete(b"k0000003", b"k0000030")
                server.compact(len(server.model.states) - 1)
                server.store.flush()
            await until_idle()
            assert answer.message is not None, answer.error
            hashes.append(pb.HashKVResponse.FromString(answer.message).hash)

    run_virtually(story())
    assert hashes[0] == hashes[1]
    assert server.is_idle()


@pytest.mark.usefixtures("small")
def test_when_services_stop_no_read_is_left(server: Server) -> None:
    server.fill(60, 20)
    answer = Answer()

    async def story() -> None:
        server.range(ALL, answer)
        server.services.stop()
        await until_idle()

    run_virtually(story())
    assert answer.error == (14, "etcdserver: server stopped")
    assert server.is_idle()


def test_an_answer_that_no_message_holds_is_refused_as_etcd_does(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 4 GiB on its length cannot be said, which was an internal error with a traceback."""
    monkeypatch.setattr(long_reads, "MESSAGE_BYTES_MAX", 10_000)
    server.fill(100, 20)
    step = pb.RequestOp(request_range=ALL)
    answers: list[Answer] = []

    async def story() -> None:
        asked = (pb.TxnRequest(success=[step] * count) for count in (1, 10))
        answers.extend(server.call("KV/Txn", it) for it in asked)
        await until_idle()

    run_virtually(story())
    small, answer = answers
    assert small.message
    assert answer.error is not None
    code, text = answer.error
    assert code == 8
    assert "trying to send message larger than max" in text
    assert server.is_idle()
