"""Over several endpoints: who is asked, until when, and where a stream goes on."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from roost.client import (
    Alarm,
    Client,
    ClientError,
    OutcomeUnknown,
    Permission,
    Put,
    RequestRefused,
    Unreachable,
)
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.testing.patience import wait_until
from tests.client.fakes import (
    GONE,
    HEADER,
    PUT,
    RANGE,
    Context,
    Fake,
    asking_in_order,
    failing,
    saying,
)

CALLS: dict[str, Callable[[Client], Any]] = {
    "put": lambda it: it.put(b"k", b"v"),
    "get": lambda it: it.get(b"k"),
    "range": lambda it: it.range(b"k"),
    "count": lambda it: it.count(b"k"),
    "delete": lambda it: it.delete(b"k"),
    "txn": lambda it: it.txn(then=[Put("k", "v")]),
    "stm": lambda it: it.stm(lambda txn: txn.get("k")),
    "items": lambda it: next(it.items("k")),
    "follow": lambda it: next(it.follow("k")),
    "compact": lambda it: it.compact(1),
    "watch": lambda it: next(it.watch(b"k")),
    "alarms": lambda it: it.alarms(),
    "disarm": lambda it: it.disarm(Alarm(1, "NOSPACE")),
    "defragment": lambda it: it.defragment(),
    "hash_kv": lambda it: it.hash_kv(),
    "snapshot": lambda it: next(it.snapshot()),
    "since": lambda it: next(it.written_since(1, 1)),
    "members": lambda it: it.members(),
    "add_member": lambda it: it.add_member(["http://127.0.0.1:1"]),
    "replace_member": lambda it: it.replace_member(1, ["http://127.0.0.1:1"]),
    "remove_member": lambda it: it.remove_member(1),
    "update_member": lambda it: it.update_member(1, ["http://127.0.0.1:1"]),
    "promote_member": lambda it: it.promote_member(1),
    "grant": lambda it: it.leases.grant(60),
    "revoke": lambda it: it.leases.revoke(1),
    "renew": lambda it: it.leases.renew(1),
    "time_to_live": lambda it: it.leases.time_to_live(1),
    "leases": lambda it: it.leases.all(),
    "lock": lambda it: it.leases.lock(b"k", 1),
    "campaign": lambda it: it.leases.campaign(b"k", 1, b"v"),
    "observe": lambda it: next(it.leases.observe(b"k")),
    "users": lambda it: it.users.users(),
    "permit": lambda it: it.users.grant_permission("r", Permission("read", b"k", b"")),
}


CHANGES = {
    *("put", "delete", "txn", "compact", "disarm", "defragment", "grant", "add_member"),
    "replace_member",
    *("remove_member", "update_member", "promote_member", "revoke", "lock", "campaign", "permit"),
}


@pytest.mark.slow
@pytest.mark.parametrize("endpoint_count", [1, 2])
def test_no_call_waits_for_ever(endpoint_count: int) -> None:
    with ExitStack() as stack:
        fakes = [stack.enter_context(Fake({})) for _ in range(endpoint_count)]
        client = stack.enter_context(asking_in_order([it.endpoint for it in fakes], timeout_s=0.1))
        for name, call in CALLS.items():
            with pytest.raises(ClientError) as caught:
                call(client)
            assert caught.value.code == "DEADLINE_EXCEEDED", name
            # Whoever asks for a change is told that nobody knows; a question has changed nothing.
            assert isinstance(caught.value, OutcomeUnknown) == (name in CHANGES), name
        for it in fakes:
            with pytest.raises(Unreachable):
                client.status(it.endpoint)


@pytest.mark.slow
def test_a_read_is_asked_of_the_next_endpoint_when_one_is_slow_and_then_first() -> None:
    row = kv_pb2.KeyValue(key=b"k", value=b"v")
    with (
        Fake({}) as frozen,
        Fake({RANGE: saying(pb.RangeResponse(kvs=[row]))}) as well,
        asking_in_order([frozen.endpoint, well.endpoint], timeout_s=2) as client,
    ):
        for _ in range(3):
            found = client.get(b"k")
            assert found is not None
            assert found.value == b"v"
        assert (frozen.count(RANGE), well.count(RANGE)) == (1, 3)


@pytest.mark.slow
def test_a_slow_endpoint_that_answers_first_is_heard() -> None:
    answered = saying(pb.RangeResponse(count=1))

    def slow(request: bytes, context: Context) -> Iterator[bytes]:
        wait_until(lambda: bool(other.asked))
        yield from answered(request, context)

    with (
        Fake({RANGE: slow}) as late,
        Fake({}) as other,
        asking_in_order([late.endpoint, other.endpoint], timeout_s=2) as client,
    ):
        assert client.count(b"k") == 1


@pytest.mark.slow
def test_a_write_is_not_made_twice() -> None:
    put = saying(pb.PutResponse(header=HEADER(revision=7)))
    with (
        Fake({}) as frozen,
        Fake({PUT: put}) as well,
        asking_in_order([frozen.endpoint, well.endpoint], timeout_s=2) as client,
    ):
        with pytest.raises(OutcomeUnknown) as caught:
            client.put(b"k", b"v")
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert (frozen.count(PUT), well.count(PUT)) == (1, 0)
        # The one that said nothing is not asked first any more.
        assert client.put(b"k", b"v") == 7
        assert frozen.count(PUT) == 1


@pytest.mark.slow
def test_a_write_goes_on_past_endpoints_that_nothing_was_sent_to() -> None:
    put = saying(pb.PutResponse(header=HEADER(revision=7)))
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,  # it is connected to, and never speaks
        socket.create_server(("127.0.0.1", 0)) as shut,
        Fake({PUT: put}) as well,
    ):
        names = [f"127.0.0.1:{it.getsockname()[1]}" for it in (mute, shut)]
        shut.close()
        with asking_in_order([*names, well.endpoint], timeout_s=3) as client:
            assert client.put(b"k", b"v") == 7


@pytest.mark.parametrize("retries", [False, True])
def test_what_one_endpoint_may_have_done_another_cannot_say_was_not(*, retries: bool) -> None:
    count = 0

    def once_gone(request: bytes, context: Context) -> Iterator[bytes]:
        nonlocal count
        count += 1
        yield from failing(GONE, "" if count == 1 else "etcdserver: no leader")(request, context)

    with Fake({PUT: once_gone}) as fake, socket.create_server(("127.0.0.1", 0)) as shut:
        names = [fake.endpoint, f"127.0.0.1:{shut.getsockname()[1]}"]
        shut.close()
        for endpoints in (names, names[::-1]):
            count = 0
            with (
                Client(endpoints, retries=retries, spreads=False, timeout_s=0.5) as client,
                pytest.raises(OutcomeUnknown),
            ):
                client.put(b"k", b"v", is_repeatable=True)
            assert count >= 1


def test_an_answer_that_says_no_is_an_answer() -> None:
    refused = failing(grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied")
    with (
        Fake({RANGE: refused}) as first,
        Fake({RANGE: saying(pb.RangeResponse())}) as second,
        asking_in_order([first.endpoint, second.endpoint]) as client,
    ):
        with pytest.raises(RequestRefused) as caught:
            client.get(b"k")
        assert caught.value.text == "etcdserver: permission denied"
        assert not second.asked


def test_endpoints_that_nobody_serves_are_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        name = f"127.0.0.1:{held.getsockname()[1]}"
    with asking_in_order([name, name], timeout_s=5) as client:
        for call in (CALLS["get"], CALLS["put"], CALLS["watch"], CALLS["snapshot"]):
            with pytest.raises(Unreachable):
                call(client)
