"""Counters by a client: a request stays with the member that may know it; lots in background."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from roost.client import Client
from roost.client.errors import Busy, CounterRefused, OutcomeUnknown
from roost.client.sticky import Retry
from roost.proto import counters_pb2 as pb
from tests.client.fakes import GONE, Context, Fake, Script, failing, silent

INCREMENT, READ = "/roost.Counters/Increment", "/roost.Counters/Read"
NOT_COUNTED = "counters: nothing was counted: NotReady: feeding"


def counting(*, losing: int = 0, by_key: dict[bytes, int] | None = None) -> Script:
    """A member that counts, and knows keys again; it loses its first answers."""
    known = {} if by_key is None else by_key
    lost = [losing]

    def script(request: bytes, context: Context) -> Iterator[bytes]:
        asked = pb.IncrementRequest.FromString(request)
        known[asked.key] = sum(it.change for it in asked.changes)
        if lost[0]:
            lost[0] -= 1
            context.fail(GONE, "Connection reset by peer")
        values = [pb.CounterValue(name=it.name, value=sum(known.values())) for it in asked.changes]
        yield pb.CountersResponse(values=values).SerializeToString()

    return script


def client_of(*fakes: Fake, **how: Any) -> Client:
    return Client([it.endpoint for it in fakes], spreads=False, **how)


def test_who_has_counted_nothing_is_left_for_another() -> None:
    with (
        Fake({INCREMENT: failing(GONE, NOT_COUNTED)}) as one,
        Fake({INCREMENT: counting()}) as two,
        client_of(one, two) as client,
    ):
        assert client.counters.increment("a", 5) == 5
        assert one.count(INCREMENT) == two.count(INCREMENT) == 1


def test_a_lost_answer_is_asked_for_again_where_it_was_sent() -> None:
    by_key: dict[bytes, int] = {}
    with (
        Fake({INCREMENT: counting(losing=2, by_key=by_key)}) as one,
        Fake({INCREMENT: counting()}) as two,
        client_of(one, two) as client,
    ):
        assert client.counters.increment("a", 5) == 5
        assert (one.count(INCREMENT), two.count(INCREMENT)) == (3, 0)
        assert list(by_key.values()) == [5]


def test_nobody_knows_when_the_member_does_not_come_back() -> None:
    with (
        Fake({INCREMENT: counting(losing=10_000)}) as one,
        Fake({INCREMENT: counting()}) as two,
        client_of(one, two, timeout_s=1.0) as client,
    ):
        with pytest.raises(OutcomeUnknown):
            client.counters.increment("a", 5)
        assert one.count(INCREMENT) > 1
        assert two.count(INCREMENT) == 0


def test_who_would_rather_count_twice_asks_another() -> None:
    with (
        Fake({INCREMENT: counting(losing=10_000)}) as one,
        Fake({INCREMENT: counting()}) as two,
        client_of(one, two) as client,
    ):
        assert client.counters.trying(Retry.AT_LEAST_ONCE).increment("a", 5) == 5
        assert (one.count(INCREMENT), two.count(INCREMENT)) == (1, 1)


def test_who_would_rather_lose_it_asks_nobody_again() -> None:
    with (
        Fake({INCREMENT: counting(losing=1)}) as one,
        Fake({INCREMENT: counting()}) as two,
        client_of(one, two) as client,
    ):
        with pytest.raises(OutcomeUnknown):
            client.counters.trying(Retry.AT_MOST_ONCE).increment("a", 5)
        assert (one.count(INCREMENT), two.count(INCREMENT)) == (1, 0)


def test_a_refusal_has_a_name() -> None:
    text = "CounterOverflow: the part would leave 64 bits"
    with (
        Fake({INCREMENT: failing(grpc.StatusCode.FAILED_PRECONDITION, text)}) as one,
        client_of(one) as client,
    ):
        with pytest.raises(CounterRefused) as refusal:
            client.counters.increment("a", 5)
        assert refusal.value.kind == "CounterOverflow"
        assert one.count(INCREMENT) == 1


def test_a_batch_is_one_request_when_its_block_ends() -> None:
    with Fake({INCREMENT: counting()}) as one, client_of(one) as client:
        with client.counters.batch() as batch:
            batch.increment("a")
            batch.increment("a", 4)
            batch.increment("b")
            assert one.asked == []
        assert batch.values == {"a": 6, "b": 6}
        lost = client.counters.batch()
        lost.__enter__().increment("a")
        lost.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        assert one.count(INCREMENT) == 1


def test_sums_beyond_64_bits_are_read() -> None:
    large = 1 << 70

    def script(_request: bytes, _context: Context) -> Iterator[bytes]:
        values = [
            pb.CounterValue(name="a", large=str(large)),
            pb.CounterValue(name="b", missing=True),
        ]
        yield pb.CountersResponse(values=values).SerializeToString()

    with Fake({READ: script}) as one, client_of(one) as client:
        assert client.counters.read("a", "b") == {"a": large, "b": None}


def test_what_is_counted_later_is_summed_up_and_sent_once() -> None:
    by_key: dict[bytes, int] = {}
    with (
        Fake({INCREMENT: counting(losing=1, by_key=by_key)}) as one,
        client_of(one) as client,
    ):
        later = client.counters.later(every_s=0.01)
        for _it in range(500):
            later.increment("a")
        later.flush()
        assert later.waiting_count == 0
        assert sum(by_key.values()) == 500
        assert len(by_key) < 50
        later.increment("b", 7)
        assert later.end() == {}
        assert sum(by_key.values()) == 507
        with pytest.raises(Busy):
            later.increment("a")


def test_what_could_not_be_counted_later_is_said_at_the_end() -> None:
    with Fake({INCREMENT: silent}) as one, client_of(one, timeout_s=0.5) as client:
        later = client.counters.later(every_s=0.01)
        later.increment("a", 2)
        later.increment("a", 3)
        assert later.end() == {"a": 5}
