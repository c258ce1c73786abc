"""Clients that wait for an answer before they ask again get each, whatever a connection takes."""

import pytest
from bench.conversations import Ask, CallFailed, Conversation, converse
from bench.growing import key_of, loading
from bench.workloads import transfer

from roost.testing.local import LocalMember

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def port_of(server: LocalMember) -> int:
    return int(server.endpoint.rpartition(":")[2])


def test_transactions_of_clients_that_race_succeed_as_often_as_each_wants(
    roost_server: LocalMember,
) -> None:
    clients = [transfer(it % 3, 20) for it in range(12)]
    calls = converse(port_of(roost_server), clients, connections=3)
    assert calls >= 2 * 12 * 20, "a get and a transaction for each, and those that lost again"
    with roost_server.client() as client:
        held = client.range("stm-", prefix=True)
    assert sum(it.version for it in held) == 12 * 20


def test_more_than_a_connection_takes_at_once_gets_through_in_parts(
    roost_server: LocalMember,
) -> None:
    loaders = [loading(100 * it, 6000, 12) for it in range(12)]
    assert converse(port_of(roost_server), loaders, connections=1) == 60
    with roost_server.client() as client:
        held = [client.get(key_of(it).decode()) for it in (0, 2999, 5999)]
    assert all(it is not None for it in held)


def test_a_call_that_is_refused_ends_it(roost_server: LocalMember) -> None:
    def ask() -> Conversation:
        yield Ask(b"/etcdserverpb.KV/Nothing", b"")

    with pytest.raises(CallFailed, match="12"):
        converse(port_of(roost_server), [ask()], connections=1)
