"""Users and rights: who may do what, decided where it is done; default is no (security.md 4.1)."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from roost import etcd
from roost.call import Stream, Unary
from roost.errors import Refused
from roost.etcd import border
from roost.etcd.access.judge import covers
from roost.etcd.access.jwt_tokens import BadTokenOptions, jwt_options
from roost.etcd.access.tokens import ADD, Identity, digest_of
from roost.etcd.access.users import TOKENS_TREE
from roost.etcd.errors import status_of
from roost.etcd.v3.interface import JSON_PATHS
from roost.outcome import Outcome, ReadDone
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
        signed = border.sign(operation, Identity("root"), request.SerializeToString())
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


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.replica.close()


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


def test_every_method_has_a_row(world: World) -> None:
    assert {short(path) for path in world.routes} == set(WANTED)
    assert {short(f"/{full}".encode()) for full in JSON_PATHS.values()} <= set(WANTED)


@pytest.mark.parametrize("method", WANTED)
def test_every_method_is_refused_to_nobody_and_to_those_without_rights(
    world: World, method: str
) -> None:
    [path] = [it.decode() for it in world.routes if short(it) == method]
    wanted = WANTED[method]
    if wanted == "open" or method == "Auth/UserChangePassword":
        return  # the first is below; hashing needs a loop, `test_twins` has it
    world.run_as_root("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=5))
    world.run_as_root("etcd.put", pb.PutRequest(key=b"x", lease=5))
    request = REQUESTS.get(method, ANYTHING)
    refusals = {"nobody": NOBODY, "mallory": BAD_TOKEN, "nothing": DENIED, "reader": DENIED}
    for user, refusal in refusals.items():
        said = world.call(path, request, user)
        if method.startswith(("Lock/", "Election/")) and isinstance(said, tuple):
            # As with etcd, these pass refusals on without their codes.
            assert said == (2, refusal[1]), (user, said)
        elif method == "Watch/Watch":
            assert isinstance(said, bytes)
            answer = pb.WatchResponse.FromString(said)
            assert (answer.created, answer.canceled, answer.watch_id) == (True, True, -1)
            assert answer.cancel_reason.endswith(refusal[1])
        elif refusal != DENIED or wanted == "root":
            assert said == refusal, (user, said)
        else:
            assert isinstance(said, bytes), (user, said)
    said = world.call(path, request, "root")
    assert said not in (NOBODY, BAD_TOKEN, DENIED), said


def test_keys_are_permitted_by_range(world: World) -> None:
    for request, expected in (
        (pb.RangeRequest(key=b"r"), True),
        (pb.RangeRequest(key=b"r1", range_end=b"r9"), True),
        (pb.RangeRequest(key=b"r", range_end=b"s"), True),
        (pb.RangeRequest(key=b"r", range_end=b"s\0"), False),
        (pb.RangeRequest(key=b"r", range_end=b"\0"), False),
        (pb.RangeRequest(key=b"w"), False),
    ):
        said = world.call("/etcdserverpb.KV/Range", request, "reader")
        assert (said != DENIED) is expected, request
    for put, expected in (
        (pb.PutRequest(key=b"w"), True),
        (pb.PutRequest(key=b"w", prev_kv=True), False),
        (pb.PutRequest(key=b"w", ignore_value=True), False),
        (pb.PutRequest(key=b"r"), False),
    ):
        assert (world.call("/etcdserverpb.KV/Put", put, "reader") != DENIED) is expected, put
    delete = pb.DeleteRangeRequest(key=b"w", prev_kv=True)
    assert world.call("/etcdserverpb.KV/DeleteRange", delete, "reader") == DENIED


def test_a_lease_is_as_its_keys_are(world: World) -> None:
    """CVE-2023-32082, and the rest of the family."""
    world.run_as_root("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=5))
    world.run_as_root("etcd.put", pb.PutRequest(key=b"secret", lease=5))
    shown = pb.LeaseTimeToLiveRequest(ID=5, keys=True)
    assert world.call("/etcdserverpb.Lease/LeaseTimeToLive", shown, "reader") == DENIED
    hidden = pb.LeaseTimeToLiveRequest(ID=5)
    assert isinstance(world.call("/etcdserverpb.Lease/LeaseTimeToLive", hidden, "reader"), bytes)
    for path, request in (
        ("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=5)),
        ("/etcdserverpb.KV/Put", pb.PutRequest(key=b"w", lease=5)),
    ):
        assert world.call(path, request, "reader") == DENIED


def leaf(is_allowed: bool) -> pb.RequestOp:  # noqa: FBT001 - drawn
    key = b"r1" if is_allowed else b"q"
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


LEAVES = st.booleans().map(lambda it: (leaf(it), it))


def nested(
    inner: st.SearchStrategy[tuple[pb.RequestOp, bool]],
) -> st.SearchStrategy[tuple[pb.RequestOp, bool]]:
    def build(
        parts: tuple[list[tuple[pb.RequestOp, bool]], list[tuple[pb.RequestOp, bool]], bool],
    ) -> tuple[pb.RequestOp, bool]:
        success, failure, compares = parts
        txn = pb.TxnRequest(
            compare=[pb.Compare(key=b"r" if compares else b"q")],
            success=[it for it, _ in success],
            failure=[it for it, _ in failure],
        )
        allowed = compares and all(it for _, it in (*success, *failure))
        return pb.RequestOp(request_txn=txn), allowed

    branch = st.lists(inner, max_size=2)
    return st.tuples(branch, branch, st.booleans()).map(build)


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, nested, max_leaves=8))
def test_a_transaction_is_walked_to_its_ends(case: tuple[pb.RequestOp, bool]) -> None:
    operation, is_allowed = case
    said = SHARED.call("/etcdserverpb.KV/Txn", pb.TxnRequest(success=[operation]), "reader")
    assert (said != DENIED) is is_allowed


SHARED = World()
BYTES = [bytes(it) for size in range(3) for it in product(b"ab", repeat=size)]
EDGES = st.sampled_from([*BYTES, b"c"])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(EDGES, EDGES), max_size=4), EDGES, EDGES)
def test_ranges_are_covered_as_a_set_of_keys_is(
    rows: list[tuple[bytes, bytes]], first: bytes, stop: bytes
) -> None:
    """Against all keys of up to four letters: a range is covered when each of its keys is."""
    from roost.etcd.access.judge import _intervals

    role = auth_pb2.Role(keyPermission=[R(key=key, range_end=end) for key, end in rows])
    intervals = _intervals((role.SerializeToString(),), (R.READ,))
    keys = [bytes(it) for size in range(5) for it in product(b"\0abc", repeat=size)]

    def holds(key: bytes, begin: bytes, end: bytes) -> bool:
        return key == begin if not end else begin <= key < end

    wanted = [it for it in keys if holds(it, first, stop)]
    if not wanted:
        return  # an empty range is judged by its first key
    permitted = all(any(holds(it, *row) for row in rows) for it in wanted)
    assert covers(intervals, first, stop or first + b"\0") is permitted


def test_a_right_that_was_taken_away_is_gone_for_what_is_on_its_way(world: World) -> None:
    """etcd #14571: it is decided where the operation runs, not where it came in."""
    put = pb.PutRequest(key=b"w").SerializeToString()
    identity = Identity("reader", digest_of(world.tokens["reader"]))
    signed = border.sign("etcd.put", identity, put)
    world.transact(border.AS, signed)
    gone = pb.AuthUserRevokeRoleRequest(name="reader", role="reading")
    world.run_as_root("etcd.user_revoke", gone)
    said: list[Outcome] = []
    world.replica.transact_nowait(border.AS, signed, said.append)
    assert isinstance(said[0], Refused)
    assert status_of(said[0]) == DENIED


def test_a_watch_with_a_token_that_ran_out_says_so_as_etcd_does(world: World) -> None:
    """etcd >= 3.5.5; Go's client logs in again when it reads this, and gives up at other words."""
    watch = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"r", watch_id=7))
    said = world.call("/etcdserverpb.Watch/Watch", watch, "mallory")
    assert isinstance(said, bytes)
    answer = pb.WatchResponse.FromString(said)
    assert (answer.created, answer.canceled, answer.watch_id) == (True, True, -1)
    text = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"
    assert answer.cancel_reason == text


def test_anybody_may_list_alarms_and_only_root_changes_them(world: World) -> None:
    path = "/etcdserverpb.Maintenance/Alarm"
    assert isinstance(world.call(path, pb.AlarmRequest(), "nothing"), bytes)
    raised = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=1, alarm=pb.NOSPACE)
    assert world.call(path, raised, "nothing") == DENIED


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("etcd.user_delete", pb.AuthUserDeleteRequest(name="reader")),
        ("etcd.user_password", pb.AuthUserChangePasswordRequest(name="reader")),
    ],
    ids=["deleted", "another password"],
)
def test_tokens_go_with_their_user(world: World, operation: str, request_: Message) -> None:
    read = pb.RangeRequest(key=b"r")
    assert isinstance(world.call("/etcdserverpb.KV/Range", read, "reader"), bytes)
    world.run_as_root(operation, request_)
    assert world.call("/etcdserverpb.KV/Range", read, "reader") == BAD_TOKEN


def test_tokens_end_with_authentication_and_when_nobody_uses_them(world: World) -> None:
    tree = world.replica.store.tree(TOKENS_TREE).id
    world.services._tokens.look()  # type: ignore[attr-defined]
    read = pb.RangeRequest(key=b"r")
    for _ in range(400):
        world.now_s += 1
        if world.now_s % 50 == 0:
            world.call("/etcdserverpb.KV/Range", read, "reader")
        world.services._tokens.look()  # type: ignore[attr-defined]
    assert [user for _, user in world.replica.view.iterate(tree)] == [b"reader"]
    world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
    assert world.replica.view.count(tree) == 0
    assert isinstance(world.call("/etcdserverpb.KV/Range", read, "nobody"), bytes)


def test_no_token_and_no_password_is_ever_written_down(world: World) -> None:
    """CVE-2021-28235: what is in the store lends nobody's rights."""
    for tree in ("auth", "users", "roles", "tokens"):
        rows = world.replica.view.iterate(world.replica.store.tree(tree).id)
        said = b"".join(key + value for key, value in rows)
        for token in world.tokens.values():
            assert not token or token.encode() not in said


def test_a_watch_ends_when_its_user_may_no_longer_see_the_keys(world: World) -> None:
    async def run() -> None:
        stream = StreamAnswer(world.tokens["reader"])
        route = world.routes[b"/etcdserverpb.Watch/Watch"]
        assert isinstance(route, Stream)
        handler = route.open(stream)
        create = pb.WatchCreateRequest(key=b"r")
        handler.on_message(pb.WatchRequest(create_request=create).SerializeToString())
        world.run_as_root("etcd.put", pb.PutRequest(key=b"r"))
        gone = pb.AuthRoleRevokePermissionRequest(role="reading", key=b"r", range_end=b"s")
        world.run_as_root("etcd.role_revoke", gone)
        world.run_as_root("etcd.put", pb.PutRequest(key=b"r"))
        created, event, canceled = (pb.WatchResponse.FromString(it) for it in stream.sent)
        assert created.created
        assert len(event.events) == 1
        assert canceled.canceled
        assert "permission denied" in canceled.cancel_reason

    asyncio.run(run())


# --- JWT ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = root / "private.pem", root / "public.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture
def jwt_world(keys: tuple[Path, Path]) -> Iterator[World]:
    private, public = keys
    options = {"sign-method": "RS256", "priv-key": str(private), "pub-key": str(public)}
    made = World(etcd.AuthOptions(jwt=jwt_options(options, lambda _: 60.0)))
    yield made
    made.replica.close()


def _issued(world: World, user: str) -> str:
    """A token that a member made for a user."""
    said: list[Outcome] = []
    world.services._tokens.issue(user, b"", said.append)
    [token] = said
    assert isinstance(token, bytes), token
    return token.decode()


def test_a_jwt_is_somebody_until_users_or_roles_change(jwt_world: World) -> None:
    jwt_world.tokens["signed"] = _issued(jwt_world, "reader")
    read = pb.RangeRequest(key=b"r")
    assert isinstance(jwt_world.call("/etcdserverpb.KV/Range", read, "signed"), bytes)
    assert jwt_world.call("/etcdserverpb.KV/Range", pb.RangeRequest(key=b"q"), "signed") == DENIED
    jwt_world.run_as_root("etcd.role_add", pb.AuthRoleAddRequest(name="more"))
    old = (3, "etcdserver: revision of auth store is old")
    assert jwt_world.call("/etcdserverpb.KV/Range", read, "signed") == old


# JSON of any library but Go's holds these.
NO_NUMBERS: tuple[object, ...] = (
    float("nan"),
    float("inf"),
    -float("inf"),
    -1,
    1e30,
    [1],
    {},
    "1e3",
    False,
)


def test_a_jwt_that_is_not_ours_is_refused(jwt_world: World, keys: tuple[Path, Path]) -> None:
    """CVE-2025-30204 and older: other algorithms, other keys, other claims, other types."""
    private, public = (it.read_text() for it in keys)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    good = {"username": "root", "revision": 99, "exp": now + 60}
    header = {"alg": "HS256", "typ": "JWT"}
    encode = msgspec.json.encode
    import base64
    import hashlib
    import hmac

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    # The public key as the secret of an HS algorithm, by hand: the library refuses to make it.
    signed = f"{part(encode(header))}.{part(encode(good))}"
    confused = hmac.new(public.encode(), signed.encode(), hashlib.sha256).digest()
    bad = [
        f"{signed}.{part(confused)}",
        jwt.encode(good, "", algorithm="none"),
        jwt.encode(good, other, algorithm="RS256"),
        jwt.encode(good, private, algorithm="RS512"),
        jwt.encode({**good, "exp": now - 3600}, private, algorithm="RS256"),
        *(
            jwt.encode({k: v for k, v in good.items() if k != missing}, private, algorithm="RS256")
            for missing in good
        ),
        *(
            jwt.encode({**good, name: value}, private, algorithm="RS256")
            for name, value in (
                *(("username", 5), ("username", None), ("username", ""), ("username", ["root"])),
                *(("revision", "99"), ("revision", None), ("revision", True)),
                *((name, value) for name in ("revision", "exp") for value in NO_NUMBERS),
                ("username", "\ud800"),
            )
        ),
        "a.b.c",
        "",
        "\0",
        "." * 10_000,
    ]
    for number, token in enumerate(bad):
        jwt_world.tokens["bad"] = token
        said = jwt_world.call("/etcdserverpb.KV/Range", pb.RangeRequest(key=b"r"), "bad")
        assert said == (BAD_TOKEN if token else NOBODY), (number, token)


def test_token_options_that_do_not_fit_are_refused(keys: tuple[Path, Path]) -> None:
    private, public = map(str, keys)
    for options in (
        {},
        {"sign-method": "none", "pub-key": public},
        {"sign-method": "RS256"},
        {"sign-method": "RS256", "pub-key": "/nowhere"},
        {"sign-method": "HS256", "pub-key": public},
        {"sign-method": "ES256", "pub-key": public, "priv-key": private},
    ):
        with pytest.raises(BadTokenOptions):
            jwt_options(options, lambda _: 60.0)
    with pytest.raises(BadTokenOptions):
        jwt_options({"sign-method": "RS256", "pub-key": public}, lambda _: 0.0)


def _self_signed(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("form", ["certificate", "PKIX", "PKCS#1", "none"])
def test_a_public_key_may_be_of_any_form_that_etcd_takes(
    keys: tuple[Path, Path], tmp_path: Path, form: str
) -> None:
    """A certificate was taken, and the first token that was checked ended the member."""
    loaded = serialization.load_pem_private_key(keys[0].read_bytes(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    private.write_bytes(loaded.private_bytes(encoding, traditional, plain))
    format_ = {
        "PKIX": serialization.PublicFormat.SubjectPublicKeyInfo,
        "PKCS#1": serialization.PublicFormat.PKCS1,
    }.get(form)
    options = {"sign-method": "PS256", "priv-key": str(private)}
    if form != "none":
        options["pub-key"] = str(public)
        public.write_bytes(
            loaded.public_key().public_bytes(encoding, format_) if format_ else _self_signed(loaded)
        )
    world = World(etcd.AuthOptions(jwt=jwt_options(options, lambda _: 60.0)))
    world.tokens["signed"] = _issued(world, "reader")
    read = pb.RangeRequest(key=b"r")
    assert isinstance(world.call("/etcdserverpb.KV/Range", read, "signed"), bytes)
    world.replica.close()


@pytest.mark.parametrize("content", [b"no key", b"\xff\xfe", b"", None])
def test_a_key_that_cannot_be_used_is_found_at_the_start(
    keys: tuple[Path, Path], tmp_path: Path, content: bytes | None
) -> None:
    other = tmp_path / "key.pem"
    if content is None:  # a good key, of somebody else
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        content = _self_signed(key)
    other.write_bytes(content)
    for options in (
        {"pub-key": str(other), "priv-key": str(keys[0])},
        {"pub-key": str(keys[1]), "priv-key": str(other)},
        *([{"pub-key": str(other)}] if b"BEGIN" not in content else []),
    ):
        with pytest.raises(BadTokenOptions):
            jwt_options({"sign-method": "RS256", **options}, lambda _: 60.0)


def test_a_member_with_the_public_key_only_checks_and_does_not_sign(
    keys: tuple[Path, Path],
) -> None:
    options = {"sign-method": "RS256", "pub-key": str(keys[1])}
    world = World(etcd.AuthOptions(jwt=jwt_options(options, lambda _: 60.0)))
    try:
        said: list[Outcome] = []
        world.services._tokens.issue("root", b"", said.append)
        assert isinstance(said[0], Refused)
    finally:
        world.replica.close()


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("reader", None),
        ("nobody", (3, "etcdserver: user name is empty")),
        ("mallory", (16, "etcdserver: invalid auth token")),
    ],
)
def test_who_reads_while_authentication_is_turned_on_is_asked_who_it_is(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    expected: tuple[int, str] | None,
) -> None:
    """A caller with a good token was told that its name is empty."""
    world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
    held: list[ReadDone] = []
    monkeypatch.setattr(world.replica, "read_nowait", held.append)
    answer = Answer(world.tokens[user])
    route = world.routes[b"/etcdserverpb.KV/Range"]
    assert isinstance(route, Unary)
    route.handle(answer, pb.RangeRequest(key=b"r").SerializeToString())
    world.run("etcd.auth_enable", pb.AuthEnableRequest())
    world.log_in("reader")
    while held:
        held.pop()(None)
    assert answer.error == expected
    assert (answer.message is None) == (expected is not None)
