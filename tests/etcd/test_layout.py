"""What is written, and how, has a number: a directory of another one is refused, not misread.

A row of another length that is read by the new code is an internal error in every write.
"""

from roost import etcd
from roost.etcd.v2 import values
from roost.etcd.v2.changes import CHANGE
from roost.etcd.v2.values import Change, Kind
from roost.outcome import Outcome
from roost.proto import auth_pb2, rpc_pb2
from roost.store import STORAGE_VERSION
from tests.etcd.replica import LocalReplica

# When this fails and the change is meant: raise STORAGE_VERSION in `store/catalog.py`, and put the
# new number and digest here.
LAYOUT = (10, "27ecc8077309b1299555ddf63aa55b43")

PUT, DELETE = rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest
STORY = [
    ("etcd.put", PUT(key=b"a", value=b"1")),
    ("etcd.put", PUT(key=b"a", value=b"2")),
    ("etcd.lease_grant", rpc_pb2.LeaseGrantRequest(TTL=60, ID=7)),
    ("etcd.put", PUT(key=b"b", value=b"3", lease=7)),
    ("etcd.txn", rpc_pb2.TxnRequest(success=[
        rpc_pb2.RequestOp(request_put=PUT(key=b"c", value=b"4")),
        rpc_pb2.RequestOp(request_put=PUT(key=b"d", value=b"5")),
    ])),
    ("etcd.delete_range", DELETE(key=b"c")),
    ("etcd.compact", rpc_pb2.CompactionRequest(revision=3)),
    ("etcd.alarm", rpc_pb2.AlarmRequest(action="ACTIVATE", memberID=1, alarm=rpc_pb2.NOSPACE)),
    ("etcd.role_add", rpc_pb2.AuthRoleAddRequest(name="r")),
    ("etcd.role_grant", rpc_pb2.AuthRoleGrantPermissionRequest(
        name="r", perm=auth_pb2.Permission(key=b"a", range_end=b"b"))),
    ("etcd.user_add", rpc_pb2.AuthUserAddRequest(name="u", hashedPassword="$2b$04$x")),
    ("etcd.user_grant", rpc_pb2.AuthUserGrantRoleRequest(user="u", role="r")),
]  # fmt: skip

V2_STORY = [
    Change(Kind.SET, b"/a/b", value=b"1"),
    Change(Kind.SET, b"/a/c", value=b"2", ttl_s=60),
    Change(Kind.POST, b"/a", is_dir=True),
    Change(Kind.SWAP, b"/a/b", value=b"3", prev_value=b"1", ttl_s=5, is_refresh=True),
    Change(Kind.DELETE, b"/a", is_recursive=True),
    Change(Kind.CREATE, b"/d\0", value=b"4", ttl_s=7),
]


def test_a_changed_layout_has_a_new_number() -> None:
    replica = LocalReplica()
    etcd.Services(replica, replica.store, wall_s=lambda: 1e9, clock_s=lambda: 0.0)
    said: list[Outcome] = []
    for change in V2_STORY:
        replica.transact_nowait(CHANGE, values.encode(change), said.append)
    done = [values.decode_outcome(it) for it in said if isinstance(it, bytes)]
    assert all(isinstance(it, values.Done) for it in done)
    for name, request in STORY:
        body = request.SerializeToString()
        replica.transact_nowait(name, body, said.append)
    assert [it for it in said if not isinstance(it, bytes)] == []
    replica.store.flush()
    digest = replica.store.durable_digest().hex()
    replica.close()
    assert (STORAGE_VERSION, digest) == LAYOUT
