"""Lists of keys under faults: each is of one state, and of none that is too old (issue 14)."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from roost.etcd.v3.desk import Desk
from roost.etcd.v3.long_reads import LongRead, LongReads
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.campaign import simulate
from roost.sim.members.chronicle import Result
from roost.sim.members.clients import Put
from roost.sim.members.judge import Violation
from roost.sim.members.listers import Listed
from roost.sim.members.swarm import Swarm
from tests.etcd.v3.readers import make_all_long
from tests.samples import SAMPLES

HISTORY = [Put(2, b"b", b"1"), Put(3, b"a", b"1"), Put(4, b"b", b"2"), Put(5, b"c", b"0")]


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every list of more than a few keys goes on over many turns."""
    make_all_long(monkeypatch)


def listing(seed: int) -> tuple[Result, list[str]]:
    drawn = Swarm.draw(random.Random(seed))
    return simulate(seed, replace(drawn, listers=4, clients=6))


@pytest.mark.slow
@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("first", range(0, 4 * SAMPLES, 2))
def test_every_list_is_of_one_state_whatever_fails(first: int) -> None:
    listed = 0
    for seed in range(first, first + 2):
        result, trace = listing(seed)
        assert result.violation == "", "\n".join(trace[-40:])
        listed += result.listed
    assert listed > 100


@pytest.mark.slow
@pytest.mark.usefixtures("long")
def test_a_list_that_does_not_hold_its_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = LongReads._step

    def loose(self: LongReads, read: LongRead) -> int | None:
        if not read.view.is_over:
            now = self._store.held_views.glimpse()
            read.view._layers, read.view._base = now._layers, now._base
        return honest(self, read)

    monkeypatch.setattr(LongReads, "_step", loose)
    assert any("a list of revision" in listing(seed)[0].violation for seed in range(10))


@pytest.mark.slow
def test_a_list_without_a_barrier_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Desk.read_long

    def careless(self: Desk, *given: object, is_local: bool = False) -> None:
        honest(self, *given, is_local=True)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Desk, "read_long", careless)
    assert any("was acknowledged" in listing(seed)[0].violation for seed in range(10))


def _answer(revision: int, rows: list[Put], count: int, *, more: bool = False) -> pb.RangeResponse:
    kvs = [kv_pb2.KeyValue(key=it.key, value=it.value, mod_revision=it.revision) for it in rows]
    header = pb.ResponseHeader(revision=revision)
    return pb.RangeResponse(header=header, kvs=kvs, count=count, more=more)


ALL = pb.RangeRequest(key=b"\0", range_end=b"\0")
NOW = [HISTORY[1], HISTORY[2], HISTORY[3]]
THEN = [HISTORY[1], HISTORY[0]]
RIGHT: dict[str, Listed] = {
    "now": Listed(ALL, _answer(5, NOW, 3), 5),
    "older than what was done since it was asked for": Listed(ALL, _answer(3, THEN, 2), 3),
    "as it was": Listed(pb.RangeRequest(key=b"\0", range_end=b"\0", revision=3),
                        _answer(5, THEN, 2), 5),
    "a page": Listed(pb.RangeRequest(key=b"b", range_end=b"\0", limit=1),
                     _answer(5, NOW[1:2], 2, more=True), 0),
    "by value": Listed(pb.RangeRequest(key=b"\0", range_end=b"\0",
                                       sort_order=pb.RangeRequest.DESCEND,
                                       sort_target=pb.RangeRequest.VALUE),
                       _answer(5, [HISTORY[2], HISTORY[1], HISTORY[3]], 3), 0),
}  # fmt: skip
WRONG: dict[str, Callable[[pb.RangeResponse], object]] = {
    "a key is missing": lambda it: it.kvs.pop(),
    "another order": lambda it: it.kvs.insert(0, it.kvs.pop()),
    "a value of another state": lambda it: setattr(it.kvs[0], "value", b"x"),
    "another count": lambda it: setattr(it, "count", it.count + 1),
    "more, or no more": lambda it: setattr(it, "more", not it.more),
}


@pytest.mark.parametrize("listed", RIGHT.values(), ids=RIGHT)
def test_a_right_list_passes(listed: Listed) -> None:
    listed.check(HISTORY)


@pytest.mark.parametrize("listed", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_a_wrong_list_does_not(listed: Listed, spoil: Callable[[pb.RangeResponse], object]) -> None:
    answer = pb.RangeResponse.FromString(listed.answer.SerializeToString())
    spoil(answer)
    if answer != listed.answer:  # the order of one row is what it was
        with pytest.raises(Violation, match="a list of revision"):
            replace(listed, answer=answer).check(HISTORY)


def test_a_list_that_is_too_old_does_not() -> None:
    with pytest.raises(Violation, match="5 was acknowledged"):
        Listed(ALL, _answer(3, THEN, 2), 5).check(HISTORY)
