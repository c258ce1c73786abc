"""Some ten thousand executions of every decoder and request validator (issue 5).

Whatever bytes come: the answer, or the error the docstring names, and nothing else.  For 200,000
of each: `ROOST_SAMPLES=5 python -m pytest tests/fuzz`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from crc32c import crc32c
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from roost import etcd
from roost.call import Stream, Unary
from roost.cli.settings import load_settings
from roost.errors import ModelRefused, PeerFault, RoostError
from roost.etcd import border
from roost.etcd.access.signing import sign
from roost.etcd.access.tokens import Identity
from roost.etcd.model import wire
from roost.etcd.v3.interface import JSON_PATHS
from roost.flow import OWN, Flow
from roost.journal import record
from roost.member.pipeline import forwarded
from roost.outcome import Waiting
from roost.peer import frame, framing
from roost.peer.greeting import CallBack
from roost.proto import election_pb2, lock_pb2, operations_pb2
from roost.proto import rpc_pb2 as pb
from roost.raft import Entry, EntryKind, codec
from roost.raft import Message as Message_
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    Heartbeat,
    PreVoteReply,
    VoteRequest,
)
from roost.server.h2 import PREFACE, Connection, ConnectionBroken
from roost.server.h2 import frames as h2
from roost.server.health import Health, HealthStream
from roost.server.json_request import build
from roost.server.json_text import BadJson, read_whole
from roost.server.methods import parse_timeout
from roost.server.reflection import ReflectionStream
from roost.settings import BadSetting
from roost.settings.durations import parse_duration
from roost.settings.urls import parse_initial_cluster
from roost.sim.members.loop import run_virtually, until_idle
from roost.store import MalformedWriteSet
from roost.store.write_set import decode as decode_write_set
from roost.store.write_set import encode_put
from tests.etcd.replica import Answer, LocalReplica
from tests.fuzz.mutation import EXECUTIONS, fuzz, mutations
from tests.peer import greetings

pytestmark = pytest.mark.slow

# One good request of each kind that has fields.
REQUESTS: dict[str, list[Message]] = {
    "KV/Range": [
        pb.RangeRequest(key=b"a", range_end=b"z", limit=3, revision=1, sort_order="ASCEND")
    ],
    "KV/Put": [pb.PutRequest(key=b"a", value=b"1"), pb.PutRequest(key=b"a", lease=5, prev_kv=True)],
    "KV/DeleteRange": [pb.DeleteRangeRequest(key=b"a", range_end=b"b", prev_kv=True)],
    "KV/Txn": [
        pb.TxnRequest(
            compare=[pb.Compare(key=b"a", range_end=b"b", target="CREATE", create_revision=2)],
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=b"b")),
                pb.RequestOp(
                    request_txn=pb.TxnRequest(
                        failure=[pb.RequestOp(request_range=pb.RangeRequest(key=b"c"))]
                    )
                ),
            ],
            failure=[pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d"))],
        )
    ],
    "KV/Compact": [pb.CompactionRequest(revision=1, physical=True)],
    "Lease/LeaseGrant": [pb.LeaseGrantRequest(TTL=10, ID=5)],
    "Lease/LeaseRevoke": [pb.LeaseRevokeRequest(ID=5)],
    "Lease/LeaseTimeToLive": [pb.LeaseTimeToLiveRequest(ID=5, keys=True)],
    "Auth/UserAdd": [pb.AuthUserAddRequest(name="u", options={"no_password": True})],
    "Auth/UserGet": [pb.AuthUserGetRequest(name="u")],
    "Auth/UserGrantRole": [pb.AuthUserGrantRoleRequest(user="u", role="r")],
    "Auth/RoleAdd": [pb.AuthRoleAddRequest(name="r")],
    "Auth/RoleGrantPermission": [
        pb.AuthRoleGrantPermissionRequest(name="r", perm={"permType": 2, "key": b"k"})
    ],
    "Auth/RoleRevokePermission": [pb.AuthRoleRevokePermissionRequest(role="r", key=b"k")],
    "Cluster/MemberAdd": [pb.MemberAddRequest(peerURLs=["http://x:1"], isLearner=True)],
    "Cluster/MemberUpdate": [pb.MemberUpdateRequest(ID=1, peerURLs=["http://x:1"])],
    "Maintenance/Alarm": [pb.AlarmRequest(action="ACTIVATE", memberID=1, alarm="NOSPACE")],
    "Maintenance/HashKV": [pb.HashKVRequest(revision=1)],
    "Maintenance/MoveLeader": [pb.MoveLeaderRequest(targetID=5)],
    "Maintenance/Downgrade": [pb.DowngradeRequest(action="ENABLE", version="3.4.0")],
    "Lock/Unlock": [lock_pb2.UnlockRequest(key=b"k")],
    "Election/Proclaim": [
        election_pb2.ProclaimRequest(leader={"name": b"e", "key": b"e/1", "rev": 3}, value=b"v")
    ],
    "Election/Leader": [election_pb2.LeaderRequest(name=b"e")],
}
# bcrypt and the disk would take all the time; they see no more of the bytes than the others.
SLOW = {
    "Auth/Authenticate",
    "Auth/UserAdd",
    "Auth/UserChangePassword",
    "Maintenance/HashKV",
    "Maintenance/Hash",
}


class Once(LocalReplica):
    """Runs operations and keeps nothing of them, so that every request sees the same state."""

    def transact_nowait(
        self,
        name: str,
        body: bytes,
        done: Any,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        del flow, waiting
        if name not in self._operations:
            done(ModelRefused(12, f"{name} is an operation of a real member"))
            return
        try:
            result = self._operations[name](self.store.begin(), body)
        except RoostError as error:
            done(error)
        else:
            done(result)


@pytest.fixture
def services() -> Iterator[etcd.Services]:
    replica = LocalReplica()
    made = etcd.Services(replica, replica.store)
    for operation, request in (
        ("etcd.put", pb.PutRequest(key=b"a", value=b"1")),
        ("etcd.put", pb.PutRequest(key=b"b", value=b"1")),
        ("etcd.user_add", pb.AuthUserAddRequest(name="u")),
        ("etcd.role_add", pb.AuthRoleAddRequest(name="r")),
        ("etcd.lease_grant", pb.LeaseGrantRequest(TTL=10, ID=5)),
    ):
        replica.transact_nowait(operation, request.SerializeToString(), lambda *_: None)
    replica.__class__ = Once
    yield made
    replica.close()


@pytest.mark.parametrize("service", ["KV", "Lease", "Auth", "Cluster", "Maintenance", "Lock"])
def test_no_request_is_too_strange_for_a_service(services: etcd.Services, service: str) -> None:
    group = ("Lock", "Election") if service == "Lock" else (service,)
    handlers = []
    corpus = [b""]
    for path, route in sorted(services.routes().items()):
        name = path.decode().rpartition(".")[2]
        if name.partition("/")[0] in group and isinstance(route, Unary) and name not in SLOW:
            handlers.append(route.handle)
            corpus += [it.SerializeToString() for it in REQUESTS.get(name, [])]

    async def ask_all() -> None:
        for number, body in enumerate(mutations(corpus)):
            answer = Answer()
            handlers[number % len(handlers)](answer, body)
            if answer.message is None and answer.error is None:
                await until_idle()  # reads beyond a turn's budget take another one
            assert answer.message is not None or answer.error is not None, body.hex()
            # An operation that breaks is answered, and its bug is ours.
            assert answer.error is None or "internal error" not in answer.error[1], body.hex()

    run_virtually(ask_all())


class Sink:
    """A stream whose client never reads."""

    token = certificate_name = address = ""
    flow = OWN
    on_drain: Callable[[], None] | None = None
    pending_bytes = 0
    is_over = False

    def send(self, message: bytes) -> None:
        pass

    def send_all(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.send(message)

    def finish(self, code: int, text: str) -> None:
        self.is_over = True


def test_no_message_is_too_strange_for_a_stream(services: etcd.Services) -> None:
    create = pb.WatchCreateRequest(
        key=b"a",
        range_end=b"b",
        start_revision=1,
        filters=["NOPUT", "NODELETE"],
        prev_kv=True,
        watch_id=3,
    )
    corpus = [
        pb.WatchRequest(create_request=create).SerializeToString(),
        pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=3)).SerializeToString(),
        pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString(),
        pb.LeaseKeepAliveRequest(ID=5).SerializeToString(),
        b"",
    ]
    names = (b"/etcdserverpb.Watch/Watch", b"/etcdserverpb.Lease/LeaseKeepAlive")
    routes = [services.routes()[it] for it in names]

    async def run() -> None:
        handlers: list[Any] = [None, None]
        sinks = [Sink(), Sink()]
        for number, body in enumerate(mutations(corpus)):
            which = number % 2
            route = routes[which]
            assert isinstance(route, Stream)
            if handlers[which] is None or sinks[which].is_over or number % 1000 < 2:
                if handlers[which] is not None:
                    handlers[which].on_cancel()
                sinks[which] = Sink()
                handlers[which] = route.open(sinks[which])
            handlers[which].on_message(body)
        for handler in handlers:
            handler.on_cancel()
        await until_idle()
        assert services.watches.count == 0

    run_virtually(run())


def test_no_body_is_too_strange_for_the_gateway() -> None:
    methods = []
    corpus = [b"{}", b""]
    schemas = {
        "etcdserverpb": pb,
        "v3lockpb": lock_pb2,
        "v3electionpb": election_pb2,
        "roost": operations_pb2,
    }
    for full in sorted(set(JSON_PATHS.values())):
        package, _, rest = full.partition(".")
        service, _, method = rest.partition("/")
        row = schemas[package].DESCRIPTOR.services_by_name[service].methods_by_name[method]
        methods.append(GetMessageClass(row.input_type))
        corpus += [
            json_format.MessageToJson(request, indent=None).encode()
            for request in REQUESTS.get(rest, [])
        ]
    corpus.append(json.dumps({"key": "!!!", "value": 5, "lease": "x"}).encode())
    turn = iter(range(EXECUTIONS + 1))

    def parse(body: bytes) -> None:
        build(methods[next(turn) % len(methods)], read_whole(body.decode(errors="replace")))

    assert fuzz(parse, corpus, BadJson) > 1000


def test_no_signature_is_too_strange_for_the_border(services: etcd.Services) -> None:
    """It comes from a member; one that has gone wrong must not take the leader with it."""
    put = pb.PutRequest(key=b"a").SerializeToString()
    corpus = [
        sign("etcd.put", Identity("u"), put),
        sign("etcd.txn", Identity("u", bytes(32), 5), put),
        b"",
    ]
    replica: Any = services._replica
    run = replica._operations[border.AS]
    for body in mutations(corpus):
        try:
            run(replica.store.begin(), body)
        except Exception:  # noqa: BLE001 - the executor answers any of them, and goes on
            continue


def test_hot_readers_agree_with_the_generated_class() -> None:
    corpus = [it.SerializeToString() for it in (*REQUESTS["KV/Put"], *REQUESTS["KV/Range"])]
    corpus += [pb.PutRequest(key=b"k" * 200, value=b"v" * 300).SerializeToString()]

    def read(body: bytes) -> None:
        plain = wire.read_put(body)
        if plain is not None:
            said = pb.PutRequest.FromString(body)
            assert (said.key, said.value) == plain
        key = wire.read_key(body)
        if key is not None:
            assert pb.RangeRequest.FromString(body) == pb.RangeRequest(key=key)
        here = wire.read_key_here(body)
        if here is not None:
            said_here = pb.RangeRequest(key=here, serializable=True)
            assert pb.RangeRequest.FromString(body) == said_here

    assert fuzz(read, corpus) == EXECUTIONS


def test_frames_of_peers() -> None:
    corpus = [
        b"".join(framing.encode(kind, [body]))
        for kind, body in ((1, b"hello"), (2, b""), (244, b"x" * 300))
    ]

    def read(data: bytes) -> None:
        framing.FrameReader(1 << 16).feed(data)

    assert fuzz(read, corpus, PeerFault) > 1000


def sealed(data: bytes) -> bytes:
    """Bytes whose checksums match, as far as they are frames."""
    whole, offset, size = bytearray(data), 0, framing.HEAD.size
    while len(whole) - offset >= size:
        body = offset + size
        length = int.from_bytes(whole[offset + 4 : offset + 8], "big")
        whole[offset + 8 : offset + 12] = crc32c(whole[body : body + length]).to_bytes(4, "big")
        whole[offset + 12 : body] = crc32c(whole[offset : offset + 12]).to_bytes(4, "big")
        offset = body + length
    return bytes(whole)


def test_frames_of_peers_whose_checksums_match() -> None:
    """Whoever lies on purpose counts them, too: they must not be all that keeps it out."""
    corpus = [
        b"".join(part for kind, body in frames for part in framing.encode(kind, [body]))
        for frames in ([(1, b"hello")], [(2, b""), (3, b"more")], [(244, b"x" * 300)])
    ]
    delivered = 0

    def read(data: bytes) -> None:
        nonlocal delivered
        delivered += len(framing.FrameReader(1 << 16).feed(sealed(data)))

    fuzz(read, corpus, PeerFault)
    assert delivered > EXECUTIONS // 3


def test_no_greeting_is_too_strange() -> None:
    """All that somebody may say who has proven nothing, in any order, to whoever was dialled."""
    hello, join = (msgspec.msgpack.encode(it) for it in (greetings.hello(), greetings.joining()))
    said: list[tuple[int, bytes]] = [
        (frame.HELLO, hello),
        (frame.JOIN, join),
        (frame.PROOF, msgspec.msgpack.encode(frame.Proof())),
        (frame.CONFIRM, msgspec.msgpack.encode(frame.Confirm(target_id=1, nonce=greetings.ONE))),
        (frame.REFUSAL, msgspec.msgpack.encode(frame.Refusal(kind="WrongMember", text="no"))),
    ]
    house, turn, steps = greetings.House(), iter(range(EXECUTIONS + 1)), Counter[str]()

    def greet(data: bytes) -> None:
        kind, body = data[0] if data else 0, data[1:]
        far = greetings.acceptor(house)
        if kind == frame.PROOF:  # which comes second
            far.feed(*said[next(turn) % 2])
        step = far.feed(kind, body)
        steps[type(step).__name__] += 1
        if isinstance(step, CallBack):
            far.answered("it was not me")

    fuzz(greet, [bytes([kind]) + body for kind, body in said], PeerFault)
    assert min(steps[it] for it in ("Say", "Told", "CallBack")) > EXECUTIONS / 2000, steps
    assert not house.lives.directory_of(2), "nothing that was not proven is kept"


def test_messages_of_consensus() -> None:
    entries = (Entry(4, 3, EntryKind.NORMAL, b"payload"), Entry(5, 3, EntryKind.EMPTY, b""))
    messages: list[Message_] = [
        AppendEntries(3, 1, 3, 2, 3, entries),
        AppendAccepted(3, 1, 5),
        Heartbeat(3, 1, 3, 7),
        VoteRequest(3, 1, 3, 2, False, 0, 0),
        PreVoteReply(3, 1, True, 0, 0),
    ]
    corpus = [b"".join(codec.encode(it)) for it in messages]
    assert fuzz(codec.decode, corpus, PeerFault) > 1000


def test_write_sets() -> None:
    corpus = [encode_put(5, b"key", b"value") * 2, encode_put(1, b"", b"")]
    assert fuzz(decode_write_set, corpus, MalformedWriteSet) > 1000


def test_records_of_the_journal() -> None:
    head = record.encode_frame((1, 7, 3, 5, 99, 8, 512, 1), 4)
    slot = record.encode_slot((7, 3, 512, 5, 99, 1, 1), 4)
    corpus = [head + b"12345" + bytes(3) + slot, head, slot, b""]

    def read(data: bytes) -> None:
        record.decode_frame(data, 0, 4)
        record.decode_slot(data, len(data) - len(slot), 4)
        record.decode_slot(data, 0, 4)
        record.read_whole(data, 0, len(data) - len(slot), 512, 4)

    assert fuzz(read, corpus) == EXECUTIONS


def test_forwarded_requests_and_answers() -> None:
    requests = b"".join(forwarded.encode_request(7, "etcd.put", b"body") * 2)
    answer = forwarded.encode_answer(7, b"result")
    answers = b"".join([forwarded.encode_applied(5), *answer])
    for read, good in (
        (forwarded.decode_requests, requests),
        (forwarded.decode_answers, answers),
    ):
        assert 1000 < fuzz(read, [good], PeerFault) < EXECUTIONS


class Owner:
    """Takes whatever HTTP/2 says."""

    def make_head(self, fields: object) -> object:
        return fields

    def make_large_head(self) -> object:
        return []

    def on_headers(self, stream: Any, head: object) -> None:
        pass

    def on_request(self, stream: Any, head: object, data: bytes) -> None:
        pass

    def on_data(self, stream: Any, data: bytes) -> None:
        pass

    def on_reset(self, stream: Any) -> None:
        pass

    def on_drain(self, stream: Any) -> None:
        pass


def test_http2() -> None:
    block = b"\x82\x84\x86\x41\x01x\x40\x03abc\x03def"
    corpus = [
        PREFACE
        + h2.head(0, h2.SETTINGS, 0, 0)
        + h2.head(len(block), h2.HEADERS, h2.END_HEADERS, 1)
        + block
        + h2.head(5, h2.DATA, h2.END_STREAM, 1)
        + b"hello",
        PREFACE + h2.head(6, h2.SETTINGS, 0, 0) + b"\0\x04\0\1\0\0",
    ]

    def read(data: bytes) -> None:
        Connection(Owner()).receive(data)

    assert fuzz(read, corpus, ConnectionBroken) > 1000


def test_deadlines_durations_and_settings() -> None:
    assert fuzz(parse_timeout, [b"5S", b"100m", b"99999999n", b""]) == EXECUTIONS

    def durations(data: bytes) -> None:
        text = data.decode(errors="replace")
        parse_duration("x", text)

    def settings(data: bytes) -> None:
        text = data.decode(errors="replace")
        parse_initial_cluster(text)

    for read, good in (
        (durations, [b"1h30m", b"0", b".5s", b"100ms"]),
        (settings, [b"a=http://x:1,b=http://y:2"]),
    ):
        assert 1000 < fuzz(read, good, BadSetting) < EXECUTIONS
    for value in ("-1", "", "x", "1e9", "\0"):
        with pytest.raises(BadSetting):
            load_settings({"max-txn-ops": value, "name": value}, {})


def test_health_and_reflection() -> None:
    corpus = [b"\x0a\x00", b"\x0a\x0fetcdserverpb.KV", b"\x22\x0fetcdserverpb.KV", b"\x3a\x01*"]
    health = Health(["etcdserverpb.KV"])
    files = {"etcdserverpb.KV": pb.DESCRIPTOR}

    def read(data: bytes) -> None:
        health.check(Answer(), data)
        stream = HealthStream(health, Sink())
        stream.on_message(data)
        stream.on_cancel()
        ReflectionStream(files, Sink()).on_message(data)

    assert fuzz(read, corpus) == EXECUTIONS
