"""What each request needs of its sender: a table, whoever that may be (etcd: server/auth).

Whether somebody has what is needed is the judge's to say; here one writes down what it is asked.
"""

from collections.abc import Callable, Iterator

import pytest
from google.protobuf.message import Message

from roost import etcd
from roost.errors import Refused
from roost.etcd.access.judge import Check, First, Judge
from roost.etcd.errors import status_of
from roost.etcd.model.costs import Costs, at_once
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.v3 import rights
from roost.etcd.v3.rights import Rights
from roost.proto import rpc_pb2 as pb
from roost.store import View
from tests.etcd.replica import LocalReplica

DENIED = (7, "etcdserver: permission denied")
# The lease 5 is on the keys `a` and `b`, the lease 6 on none; nobody has granted 7.
LEASED, UNUSED, UNKNOWN = 5, 6, 7


class Clerk(Judge):
    """Permits everything, and writes down what it was asked."""

    def __init__(self, view: View, *roles: str) -> None:
        self.view, self.name, self.roles = view, "somebody", roles
        self.asked: list[str] = []

    def need_root(self) -> None:
        self.asked.append("root")

    def need_read(self, key: bytes, range_end: bytes = b"") -> Costs[None]:
        yield 1
        self.asked.append(f"read {_said(key, range_end)}")

    def need_write(self, key: bytes, range_end: bytes = b"") -> Costs[None]:
        yield 1
        self.asked.append(f"write {_said(key, range_end)}")

    def need_read_all(self, first: First) -> Costs[None]:
        return self._each(self.need_read, first)

    def need_write_all(self, first: First) -> Costs[None]:
        return self._each(self.need_write, first)

    def _each(self, need: Callable[[bytes], Costs[None]], first: First) -> Costs[None]:
        key = yield from first(b"")
        while key is not None:
            yield from need(key)
            key = yield from first(key + b"\0")


def _said(key: bytes, range_end: bytes) -> str:
    return f"{key.decode()}..{range_end.decode()}" if range_end else key.decode()


class Office:
    """A state with leases, and the rights of requests by it."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        etcd.Services(self.replica, self.replica.store)
        self.rights = Rights(Mvcc(self.replica.store))
        self.run("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=LEASED))
        self.run("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=UNUSED))
        for key in (b"a", b"b"):
            self.run("etcd.put", pb.PutRequest(key=key, lease=LEASED))

    def run(self, name: str, request: Message) -> None:
        said: list[object] = []
        self.replica.transact_nowait(name, request.SerializeToString(), said.append)
        assert isinstance(said[0], bytes), said

    def needs(self, method: str, request: Message, *roles: str) -> list[str]:
        """What a request needs, in the order in which it is asked for."""
        clerk = Clerk(self.replica.view, *roles)
        check: Check = getattr(self.rights, method)
        steps = check(clerk, request.SerializeToString())
        if steps is not None:
            at_once(steps)
        return clerk.asked


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.replica.close()


def op(request: Message) -> pb.RequestOp:
    match request:
        case pb.RangeRequest():
            return pb.RequestOp(request_range=request)
        case pb.PutRequest():
            return pb.RequestOp(request_put=request)
        case pb.DeleteRangeRequest():
            return pb.RequestOp(request_delete_range=request)
        case pb.TxnRequest():
            return pb.RequestOp(request_txn=request)
        case _:
            raise AssertionError(request)


READ, WRITE = pb.RangeRequest(key=b"x"), pb.PutRequest(key=b"y")
DELETE = pb.DeleteRangeRequest(key=b"p", range_end=b"q")
COMPARE = pb.Compare(key=b"c", range_end=b"d")
INNER = pb.TxnRequest(compare=[pb.Compare(key=b"i")], success=[op(WRITE)], failure=[op(READ)])

NEEDS: list[tuple[str, Message, list[str]]] = [
    ("put", WRITE, ["write y"]),
    # What an answer would show of a key, its sender must be permitted to read.
    ("put", pb.PutRequest(key=b"y", prev_kv=True), ["write y", "read y"]),
    ("put", pb.PutRequest(key=b"y", ignore_value=True), ["write y", "read y"]),
    ("put", pb.PutRequest(key=b"y", ignore_lease=True), ["write y", "read y"]),
    # A key on a lease goes when that is revoked, and so do the others that are on it.
    ("put", pb.PutRequest(key=b"y", lease=LEASED), ["write y", "write a", "write b"]),
    ("put", pb.PutRequest(key=b"y", lease=UNUSED), ["write y"]),
    ("put", pb.PutRequest(key=b"y", lease=UNKNOWN), ["write y"]),
    ("delete_range", DELETE, ["write p..q"]),
    (
        "delete_range",
        pb.DeleteRangeRequest(key=b"p", range_end=b"q", prev_kv=True),
        ["write p..q", "read p..q"],
    ),
    ("txn", pb.TxnRequest(), []),
    ("txn", pb.TxnRequest(compare=[COMPARE]), ["read c..d"]),
    # Both branches, whichever is taken: else an answer would say what a compare may not.
    (
        "txn",
        pb.TxnRequest(compare=[COMPARE], success=[op(WRITE)], failure=[op(DELETE), op(READ)]),
        ["read c..d", "write y", "write p..q", "read x"],
    ),
    (
        "txn",
        pb.TxnRequest(success=[op(pb.PutRequest(key=b"y", lease=LEASED, prev_kv=True))]),
        ["write y", "read y", "write a", "write b"],
    ),
    # And those of every transaction in it, at any depth.
    ("txn", pb.TxnRequest(failure=[op(INNER)]), ["read i", "write y", "read x"]),
    (
        "txn",
        pb.TxnRequest(success=[op(pb.TxnRequest(failure=[op(INNER)])), op(DELETE)]),
        ["read i", "write y", "read x", "write p..q"],
    ),
    ("lease_revoke", pb.LeaseRevokeRequest(ID=LEASED), ["write a", "write b"]),
    ("lease_revoke", pb.LeaseRevokeRequest(ID=UNUSED), []),
    ("lease_renew", pb.LeaseKeepAliveRequest(ID=LEASED), ["write a", "write b"]),
    ("lease_renew", pb.LeaseKeepAliveRequest(ID=UNKNOWN), []),
    # CVE-2023-32082: the names of keys are keys.
    ("lease_time_to_live", pb.LeaseTimeToLiveRequest(ID=LEASED), []),
    ("lease_time_to_live", pb.LeaseTimeToLiveRequest(ID=LEASED, keys=True), ["read a", "read b"]),
    ("lease_time_to_live", pb.LeaseTimeToLiveRequest(ID=UNUSED, keys=True), []),
]


@pytest.mark.parametrize(("method", "request_", "needed"), NEEDS)
def test_a_request_needs_what_it_could_do_and_could_show(
    office: Office, method: str, request_: Message, needed: list[str]
) -> None:
    assert office.needs(method, request_) == needed


def test_a_range_needs_its_keys(office: Office) -> None:
    for request, needed in (
        (READ, "read x"),
        (pb.RangeRequest(key=b"p", range_end=b"q"), "read p..q"),
    ):
        clerk = Clerk(office.replica.view)
        at_once(office.rights.check_range(clerk, request))
        assert clerk.asked == [needed]


def test_every_check_of_an_operation_has_a_row() -> None:
    checks = {it for it in vars(Rights) if not it.startswith(("_", "check_"))}
    assert checks == {method for method, _, _ in NEEDS}


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_what_is_no_operation_is_denied_at_any_depth(office: Office, depth: int) -> None:
    request = pb.TxnRequest(failure=[pb.RequestOp()])
    for _ in range(depth):
        request = pb.TxnRequest(success=[op(request)])
    with pytest.raises(Refused) as caught:
        office.needs("txn", request)
    assert status_of(caught.value) == DENIED


def test_a_lease_that_was_put_on_a_key_is_looked_up_in_the_state_that_is_judged_by() -> None:
    office = Office()
    office.run("etcd.put", pb.PutRequest(key=b"a"))  # off the lease again
    assert office.needs("lease_revoke", pb.LeaseRevokeRequest(ID=LEASED)) == ["write b"]
    office.replica.close()


def test_users_may_see_themselves_and_the_roles_they_have(office: Office) -> None:
    for name, needed in (("somebody", []), ("another", ["root"]), ("", ["root"])):
        clerk = Clerk(office.replica.view)
        rights.get_user(clerk, pb.AuthUserGetRequest(name=name))
        assert clerk.asked == needed
    for role, needed in (("reading", []), ("writing", ["root"]), ("", ["root"])):
        clerk = Clerk(office.replica.view, "reading")
        rights.get_role(clerk, pb.AuthRoleGetRequest(role=role))
        assert clerk.asked == needed
