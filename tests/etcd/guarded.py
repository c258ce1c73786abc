"""A replica with authentication on, and what each method wants of a caller."""

from collections.abc import Callable, Sequence

import msgspec
from google.protobuf.message import Message

from roost import etcd
from roost.call import Stream, Unary
from roost.etcd import border
from roost.etcd.access.signing import sign
from roost.etcd.access.tokens import ADD, Identity, digest_of
from roost.flow import OWN
from roost.outcome import Outcome
from roost.proto import auth_pb2, election_pb2, lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.replica import Answer, LocalReplica

R = auth_pb2.Permission


DENIED = (7, "etcdserver: permission denied")


NOBODY = (3, "etcdserver: user name is empty")


BAD_TOKEN = (16, "etcdserver: invalid auth token")


USERS = {"root": "root", "reader": "reading", "nothing": ""}


class StreamAnswer:
    """A stream that remembers what was said."""

    on_drain: Callable[[], None] | None = None
    pending_bytes = 0
    certificate_name = address = ""
    flow = OWN

    def __init__(self, token: str) -> None:
        self.token = token
        self.sent: list[bytes] = []
        self.finished: tuple[int, str] | None = None

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def send_all(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.send(message)

    def finish(self, code: int, text: str) -> None:
        self.finished = (code, text)


class World:
    """A replica with authentication on, and a token for each user."""

    def __init__(self, options: etcd.AuthOptions | None = None) -> None:
        self.replica = LocalReplica()
        self.now_s = 0.0
        self.services = etcd.Services(
            self.replica,
            self.replica.store,
            auth_options=options,
            clock_s=lambda: self.now_s,
        )
        self.routes = self.services.routes()
        self.tokens = {"nobody": "", "mallory": "made up"}
        self.run("etcd.role_add", pb.AuthRoleAddRequest(name="reading"))
        for permission in (R(key=b"r", range_end=b"s"), R(permType=R.WRITE, key=b"w")):
            asked = pb.AuthRoleGrantPermissionRequest(name="reading", perm=permission)
            self.run("etcd.role_grant", asked)
        for name, role in USERS.items():
            self.run("etcd.user_add", pb.AuthUserAddRequest(name=name, hashedPassword=f"#{name}"))
            if role:
                self.run("etcd.user_grant", pb.AuthUserGrantRoleRequest(user=name, role=role))
        self.run("etcd.auth_enable", pb.AuthEnableRequest())
        if options is None:
            for name in USERS:
                self.log_in(name)

    def log_in(self, name: str) -> None:
        token = f"token of {name}, as long as a real one"
        body = msgspec.msgpack.encode([digest_of(token), name, f"#{name}".encode()])
        self.transact(ADD, body)
        self.tokens[name] = token

    def run(self, operation: str, request: Message) -> None:
        """An operation of the cluster's own, as before authentication was on."""
        self.transact(operation, request.SerializeToString())

    def transact(self, operation: str, body: bytes) -> None:
        said: list[Outcome] = []
        self.replica.transact_nowait(operation, body, said.append)
        [outcome] = said
        assert isinstance(outcome, bytes), outcome

    def run_as_root(self, operation: str, request: Message) -> None:
        signed = sign(operation, Identity("root"), request.SerializeToString())
        self.transact(border.AS, signed)

    def call(self, path: str, request: Message, user: str = "root") -> tuple[int, str] | bytes:
        route = self.routes[path.encode()]
        body = request.SerializeToString()
        if isinstance(route, Unary):
            answer = Answer(self.tokens[user])
            run_virtually(_handle(route, answer, body))
            return answer.error or answer.message or b""
        stream = StreamAnswer(self.tokens[user])
        run_virtually(_talk(route, stream, body))
        return stream.finished or b"".join(stream.sent)


async def _handle(route: Unary, answer: Answer, body: bytes) -> None:
    route.handle(answer, body)


async def _talk(route: Stream, stream: StreamAnswer, body: bytes) -> None:
    handler = route.open(stream)
    handler.on_message(body)
    await until_idle()
    handler.on_cancel()
    await until_idle()


# What each method wants of a caller: "root", "somebody", or "open"; others look at their keys.
WANTED = {
    "Auth/AuthEnable": "somebody", "Auth/AuthDisable": "root", "Auth/AuthStatus": "root",
    "Auth/Authenticate": "open", "Auth/UserAdd": "root", "Auth/UserGet": "root",
    "Auth/UserList": "root", "Auth/UserDelete": "root", "Auth/UserChangePassword": "root",
    "Auth/UserGrantRole": "root", "Auth/UserRevokeRole": "root", "Auth/RoleAdd": "root",
    "Auth/RoleGet": "root", "Auth/RoleList": "root", "Auth/RoleDelete": "root",
    "Auth/RoleGrantPermission": "root", "Auth/RoleRevokePermission": "root",
    "KV/Range": "root", "KV/Put": "root", "KV/DeleteRange": "root", "KV/Txn": "root",
    "KV/Compact": "root", "Watch/Watch": "root",
    "Lease/LeaseGrant": "somebody", "Lease/LeaseRevoke": "root", "Lease/LeaseKeepAlive": "root",
    "Lease/LeaseTimeToLive": "root", "Lease/LeaseLeases": "somebody",
    "Cluster/MemberAdd": "root", "Cluster/MemberRemove": "root", "Cluster/MemberUpdate": "root",
    "Cluster/MemberPromote": "root", "Cluster/MemberList": "somebody",
    "Cluster/MemberReplace": "root",
    "Maintenance/Alarm": "somebody", "Maintenance/Status": "somebody",
    "Maintenance/Defragment": "root", "Maintenance/Hash": "root", "Maintenance/HashKV": "root",
    "Maintenance/Snapshot": "root", "Maintenance/MoveLeader": "root",
    "Maintenance/Downgrade": "root", "Maintenance/Since": "root",
    "Lock/Lock": "root", "Lock/Unlock": "root",
    "Election/Campaign": "root", "Election/Proclaim": "root", "Election/Leader": "root",
    "Election/Observe": "root", "Election/Resign": "root",
    "Operations/Run": "root",
}  # fmt: skip


KEY = election_pb2.LeaderKey(name=b"x", key=b"x/1", rev=1, lease=1)


REQUESTS: dict[str, Message] = {
    "KV/Range": pb.RangeRequest(key=b"x"),
    "KV/Put": pb.PutRequest(key=b"x", value=b"1", prev_kv=True),
    "KV/DeleteRange": pb.DeleteRangeRequest(key=b"x"),
    "KV/Txn": pb.TxnRequest(compare=[pb.Compare(key=b"x")]),
    "KV/Compact": pb.CompactionRequest(revision=1),
    "Watch/Watch": pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"x")),
    "Lease/LeaseGrant": pb.LeaseGrantRequest(TTL=10),
    "Lease/LeaseRevoke": pb.LeaseRevokeRequest(ID=5),
    "Lease/LeaseKeepAlive": pb.LeaseKeepAliveRequest(ID=5),
    "Lease/LeaseTimeToLive": pb.LeaseTimeToLiveRequest(ID=5, keys=True),
    "Auth/UserGet": pb.AuthUserGetRequest(name="root"),
    "Auth/RoleGet": pb.AuthRoleGetRequest(role="root"),
    "Auth/UserAdd": pb.AuthUserAddRequest(
        name="new", options=auth_pb2.UserAddOptions(no_password=True)
    ),
    "Auth/RoleAdd": pb.AuthRoleAddRequest(name="new"),
    "Auth/UserChangePassword": pb.AuthUserChangePasswordRequest(name="root", password="p"),
    "Auth/RoleGrantPermission": pb.AuthRoleGrantPermissionRequest(name="reading", perm=R()),
    "Lock/Lock": lock_pb2.LockRequest(name=b"x", lease=5),
    "Lock/Unlock": lock_pb2.UnlockRequest(key=b"x"),
    "Election/Campaign": election_pb2.CampaignRequest(name=b"x", lease=5),
    "Election/Proclaim": election_pb2.ProclaimRequest(leader=KEY),
    "Election/Leader": election_pb2.LeaderRequest(name=b"x"),
    "Election/Observe": election_pb2.LeaderRequest(name=b"x"),
    "Election/Resign": election_pb2.ResignRequest(leader=KEY),
}


ANYTHING = pb.AuthEnableRequest()


def short(path: bytes) -> str:
    """`/etcdserverpb.KV/Put` as `KV/Put`."""
    return path.decode().rpartition(".")[2]
