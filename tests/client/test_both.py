"""The same program, by the blocking client, against Roost and against real etcd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roost import Client
from roost.client import (
    Compacted,
    Delete,
    Get,
    Key,
    LeaseNotFound,
    Permission,
    Put,
    RequestRefused,
    Stm,
    TooLarge,
    prefix_end,
)
from roost.testing.cluster import ROOST, Cluster
from roost.testing.etcd import etcd_command, etcd_reason

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(params=["roost", "etcd"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    if request.param == "etcd" and etcd_reason():
        pytest.skip(etcd_reason())
    command = etcd_command() if request.param == "etcd" else ROOST
    with Cluster(tmp_path, 1, command=command) as cluster:
        cluster.leader()
        with Client(cluster.endpoints, timeout_s=20) as made:
            yield made


def count_up(txn: Stm) -> int:
    number = int(txn.get("n") or 0) + 1
    txn.put("n", str(number))
    return number + len(txn.range("k/", prefix=True))


def test_both_are_spoken_to_alike(client: Client) -> None:
    client.put("a", "1")
    said = client.txn(
        when=[Key("a").value == "1", Key("none").version == 0],
        then=[Put("b", "2"), Get("a"), Delete("a")],
    )
    found = said.item(1)
    assert said.succeeded and found is not None and found.text == "1" and said.outcomes[2] == 1
    for number in range(25):
        client.put(f"k/{number:02}", str(number))
    assert [it.text for it in client.items("k/", prefix=True, page_keys=10)] == [
        str(number) for number in range(25)
    ]
    assert [client.stm(count_up) for _ in range(2)] == [26, 27]
    with client.lock("l", ttl_s=10) as lock:
        held = client.leases.leader("l")
        assert held is not None and (held.key, held.create_revision) == (lock.key, lock.token)
    part = client.prefixed("app/")
    election = part.election("e", ttl_s=10)
    with election.lead("me"):
        assert next(election.observe()).value == b"me"
        assert next(it.key for it in part.items(keys_only=True)).startswith(b"e/")
    followed = client.follow("k/", prefix=True)
    assert [next(followed).key for _ in range(2)] == [b"k/00", b"k/01"]
    followed.close()
    last = client.put("z", "1")
    client.compact(last)
    with pytest.raises(Compacted) as caught:
        next(client.watch("k/", prefix=True, since=1))
    assert caught.value.revision == last


def test_refusals_are_typed_alike(client: Client) -> None:
    with pytest.raises(LeaseNotFound):
        client.put("k", "v", lease=5)
    with pytest.raises(TooLarge):
        client.put("k", b"x" * (2 << 20))
    with pytest.raises(TooLarge):
        client.txn(then=[Put(f"k{it}", "1") for it in range(200)])
    with pytest.raises(RequestRefused, match="future revision"):
        client.get("k", revision=1000)
    with pytest.raises(RequestRefused, match=r"knows no operation|unknown service"):
        client.run("bank.transfer")
    assert client.count("k", prefix=True) == 0


def test_what_operators_ask_is_answered_alike(client: Client) -> None:
    [endpoint] = client.endpoints
    status = client.status(endpoint)
    assert status.is_leader and status.version.startswith("3.")
    [member] = client.members()
    assert member.id == status.member_id
    assert client.alarms() == []
    assert client.hash_kv().revision == status.revision
    client.defragment()
    assert sum(map(len, client.snapshot())) > 1000
    client.users.add_role("readers")
    permission = Permission("read", b"k/", prefix_end(b"k/"))
    client.users.grant_permission("readers", permission)
    assert client.users.permissions_of("readers") == [permission]
    granted = client.leases.grant(60)
    client.put("leased", "1", lease=granted.lease_id)
    assert client.leases.time_to_live(granted.lease_id, keys=True).keys == (b"leased",)
    client.leases.revoke(granted.lease_id)
    assert client.get("leased") is None
