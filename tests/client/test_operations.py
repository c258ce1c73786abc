"""Operations of an application, run by a process that is no member."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

import roost
from roost import Client, Operations, Refused, Transaction
from roost.client import OperationRefused, OutcomeUnknown
from roost.proto import rpc_pb2 as pb
from roost.testing.ports import free_ports
from tests.client.fakes import Fake, silent

bank = Operations("bank")
RUN = "/roost.Operations/Run"


@dataclass(frozen=True)
class Receipt:
    left: int
    to: str


@bank.operation
def transfer(txn: Transaction, source: str, target: str, amount: int) -> Receipt:
    accounts = txn.tree("accounts", key=str, value=int)
    left = accounts.get(source, 100) - amount
    if left < 0:
        raise Refused("not enough money", code="funds")
    accounts[source] = left
    accounts[target] = accounts.get(target, 0) + amount
    return Receipt(left, target)


@bank.operation
def total(txn: Transaction) -> int:
    return sum(txn.tree("accounts", key=str, value=int).values())


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    endpoint = f"127.0.0.1:{free_ports(1)[0]}"
    with roost.open(None, operations=[bank]) as db:
        db.serve([f"http://{endpoint}"])
        with Client(endpoint) as made:
            yield made


@pytest.mark.slow
def test_an_operation_runs_and_what_it_returns_comes_back(client: Client) -> None:
    said = client.run("bank.transfer", "ada", "bob", 5, result=Receipt)
    assert said == Receipt(95, "bob")
    assert client.run("bank.transfer", "ada", "bob", 5) == {"left": 90, "to": "bob"}
    assert client.run("bank.total", result=int) == 100


def test_what_it_refuses_is_typed_with_its_own_code(client: Client) -> None:
    with pytest.raises(OperationRefused) as caught:
        client.run("bank.transfer", "eve", "bob", 1000)
    assert (str(caught.value), caught.value.reason) == ("not enough money", "funds")
    assert caught.value.kind == "Refused"
    with pytest.raises(OperationRefused, match=r"knows no operation 'bank\.rob'") as caught:
        client.run("bank.rob")
    assert caught.value.kind == "UnknownOperation"
    with pytest.raises(OperationRefused, match="has other arguments"):
        client.run("bank.transfer", 1)


def test_asked_again_with_a_key_it_is_answered_as_before(client: Client) -> None:
    first = client.run("bank.transfer", "sam", "joe", 7, once="payment 1", result=Receipt)
    again = client.run("bank.transfer", "sam", "joe", 7, once="payment 1", result=Receipt)
    assert first == again == Receipt(93, "joe")


def test_what_can_not_travel_is_refused_where_it_is_asked(client: Client) -> None:
    with pytest.raises(TypeError, match="an argument cannot be sent"):
        client.run("bank.transfer", object())
    with pytest.raises(TypeError, match="an argument cannot be sent"):
        client.run("bank.transfer", "\udcff")
    with pytest.raises(OperationRefused, match="once= is a key of 1 to 256 bytes"):
        client.run("bank.transfer", "sam", "joe", 7, once="x" * 257)
    client.run("bank.transfer", "sam", "joe", 7, once=b"\xff", result=Receipt)
    with pytest.raises(OperationRefused, match="was used for another operation"):
        client.run("bank.transfer", "sam", "joe", 8, once=b"\xff", result=Receipt)
    with pytest.raises(TypeError, match="has returned something else"):
        client.run("bank.total", result=str)


@pytest.mark.slow
def test_a_refusal_behind_a_lost_answer_is_no_certain_no() -> None:
    refusal = msgspec.msgpack.encode(["Refused", "not enough money", "funds"])
    refused = pb.RunResponse(answer=b"\1" + refusal)
    asked: list[bytes] = []

    def script(request: bytes, context):  # type: ignore[no-untyped-def]  # a script of a fake
        asked.append(request)
        if len(asked) == 1:
            yield from silent(request, context)
        yield refused.SerializeToString()

    with Fake({RUN: script}) as fake, Client(fake.endpoint, timeout_s=0.4) as client:
        with pytest.raises(OutcomeUnknown, match="asked again it was refused: not enough money"):
            client.run("bank.transfer", "eve", "bob", 1, once="k")
        with pytest.raises(OperationRefused, match="not enough money"):
            client.run("bank.transfer", "eve", "bob", 1, once="k")
    assert len(asked) == 3


@pytest.mark.slow
def test_it_is_asked_again_only_with_a_key() -> None:
    answered = pb.RunResponse(answer=b"\0" + msgspec.msgpack.encode(7))
    dropped: list[bytes] = []

    def script(request: bytes, context):  # type: ignore[no-untyped-def]  # a script of a fake
        if not dropped:
            dropped.append(request)
            yield from silent(request, context)
        yield answered.SerializeToString()

    with Fake({RUN: script}) as fake, Client(fake.endpoint, timeout_s=0.3) as client:
        with pytest.raises(OutcomeUnknown):
            client.run("bank.total")
        assert fake.count(RUN) == 1
        assert client.run("bank.total", once="k") == 7
        asked = [pb.RunRequest.FromString(it) for _, it in fake.asked]
        assert [it.once for it in asked] == [b"", b"k"]
