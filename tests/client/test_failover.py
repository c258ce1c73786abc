"""Over several endpoints: who is asked, until when, and where a stream goes on."""

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from roost.client import Client, ClientError, Compacted, Credentials, Permission, Unreachable
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.testing.patience import wait_until
from tests.client.fakes import Context, Fake, Script, silent

RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
WATCH = "/etcdserverpb.Watch/Watch"
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"
GONE = grpc.StatusCode.UNAVAILABLE
HEADER = pb.ResponseHeader

CALLS: dict[str, Callable[[Client], Any]] = {
    "put": lambda it: it.put(b"k", b"v"),
    "get": lambda it: it.get(b"k"),
    "range": lambda it: it.range(b"k"),
    "count": lambda it: it.count(b"k"),
    "delete": lambda it: it.delete(b"k"),
    "txn": lambda it: it.txn(pb.TxnRequest()),
    "compact": lambda it: it.compact(1),
    "watch": lambda it: next(it.watch(b"k")),
    "alarms": lambda it: it.alarms(),
    "disarm": lambda it: it.disarm(1, "NOSPACE"),
    "defragment": lambda it: it.defragment(),
    "hash_kv": lambda it: it.hash_kv(),
    "snapshot": lambda it: next(it.snapshot()),
    "since": lambda it: next(it.since(1, 1)),
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


@pytest.mark.slow
@pytest.mark.parametrize("endpoint_count", [1, 2])
def test_no_call_waits_for_ever(endpoint_count: int) -> None:
    with ExitStack() as stack:
        fakes = [stack.enter_context(Fake({})) for _ in range(endpoint_count)]
        client = stack.enter_context(Client([it.endpoint for it in fakes], timeout_s=0.1))
        for name, call in CALLS.items():
            with pytest.raises(ClientError) as caught:
                call(client)
            assert caught.value.code == "DEADLINE_EXCEEDED", name
        assert all(isinstance(said, ClientError) for _, said in client.status())


def saying(*answers: Any) -> Script:
    def script(_request: bytes, _context: Context) -> Iterator[bytes]:
        yield from (it.SerializeToString() for it in answers)

    return script


def failing(code: grpc.StatusCode, text: str, *before: Any) -> Script:
    def script(_request: bytes, context: Context) -> Iterator[bytes]:
        yield from (it.SerializeToString() for it in before)
        context.fail(code, text)

    return script


@pytest.mark.slow
def test_a_read_is_asked_of_the_next_endpoint_when_one_is_slow_and_then_first() -> None:
    row = kv_pb2.KeyValue(key=b"k", value=b"v")
    with (
        Fake({}) as frozen,
        Fake({RANGE: saying(pb.RangeResponse(kvs=[row]))}) as well,
        Client([frozen.endpoint, well.endpoint], timeout_s=0.4) as client,
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
        Client([late.endpoint, other.endpoint], timeout_s=2) as client,
    ):
        assert client.count(b"k") == 1


@pytest.mark.slow
def test_a_write_is_not_made_twice() -> None:
    put = saying(pb.PutResponse(header=HEADER(revision=7)))
    with (
        Fake({}) as frozen,
        Fake({PUT: put}) as well,
        Client([frozen.endpoint, well.endpoint], timeout_s=0.3) as client,
    ):
        with pytest.raises(ClientError) as caught:
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
        with Client([*names, well.endpoint], timeout_s=3) as client:
            assert client.put(b"k", b"v") == 7


def test_an_answer_that_says_no_is_an_answer() -> None:
    refused = failing(grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied")
    with (
        Fake({RANGE: refused}) as first,
        Fake({RANGE: saying(pb.RangeResponse())}) as second,
        Client([first.endpoint, second.endpoint]) as client,
    ):
        with pytest.raises(ClientError) as caught:
            client.get(b"k")
        assert caught.value.text == "etcdserver: permission denied"
        assert not second.asked


def test_endpoints_that_nobody_serves_are_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        name = f"127.0.0.1:{held.getsockname()[1]}"
    with Client([name, name], timeout_s=5) as client:
        for call in (CALLS["get"], CALLS["put"], CALLS["watch"], CALLS["snapshot"]):
            with pytest.raises(Unreachable):
                call(client)


# --- watches -------------------------------------------------------------------------------------


def created(revision: int) -> pb.WatchResponse:
    return pb.WatchResponse(header=HEADER(revision=revision), created=True)


def told(*revisions: int) -> pb.WatchResponse:
    """Events of these revisions; the header is ahead, as a member's is that catches up."""
    events = [kv_pb2.Event(kv=kv_pb2.KeyValue(key=b"k", mod_revision=it)) for it in revisions]
    return pb.WatchResponse(header=HEADER(revision=100), events=events)


def progress(revision: int) -> pb.WatchResponse:
    return pb.WatchResponse(header=HEADER(revision=revision))


@pytest.mark.parametrize(
    ("asked", "said", "goes_on_at"),
    [
        (0, [], 0),
        (0, [created(10)], 11),
        (5, [created(10)], 5),
        (5, [created(10), told(6, 6, 8)], 9),
        (5, [created(10), told(6), progress(20)], 21),
        (30, [created(10), progress(20)], 30),
    ],
)
def test_a_watch_goes_on_behind_what_it_was_told_of(
    asked: int, said: list[pb.WatchResponse], goes_on_at: int
) -> None:
    with (
        Fake({WATCH: failing(GONE, "etcdserver: no leader", *said)}) as first,
        Fake({WATCH: failing(GONE, "etcdserver: no leader", created(50), told(60))}) as second,
        Client([first.endpoint, second.endpoint]) as client,
    ):
        changes = client.watch(b"k", start_revision=asked)
        count = sum(len(it.events) for it in said)
        seen = [it.item.mod_revision for it in itertools.islice(changes, count + 1)]
        assert seen[-1] == 60
        changes.close()  # type: ignore[attr-defined]  # it is a generator
        starts = [pb.WatchRequest.FromString(it).create_request for _, it in second.asked]
        assert starts[0].start_revision == goes_on_at
        assert starts[0].progress_notify


def test_a_watch_needs_a_leader_all_the_while() -> None:
    seen: list[dict[str, str]] = []

    def script(request: bytes, context: Context) -> Iterator[bytes]:
        seen.append(context.metadata)
        yield from saying(created(1), told(2))(request, context)

    with Fake({WATCH: script}) as fake, Client(fake.endpoint) as client:
        next(client.watch(b"k"))
    assert seen[0]["hasleader"] == "true"


def test_a_watch_whose_history_is_forgotten_says_where_it_begins() -> None:
    compacted = pb.WatchResponse(canceled=True, compact_revision=40)
    with (
        Fake({WATCH: failing(GONE, "", created(10), told(11))}) as first,
        Fake({WATCH: saying(created(50), compacted)}) as second,
        Client([first.endpoint, second.endpoint]) as client,
    ):
        changes = client.watch(b"k", start_revision=1)
        assert next(changes).item.mod_revision == 11
        with pytest.raises(Compacted) as caught:
            next(changes)
        assert caught.value.revision == 40


@pytest.mark.slow
def test_a_watch_that_has_begun_ends_when_nobody_answers_for_long() -> None:
    answers = iter([saying(created(1), told(2))])

    def once(request: bytes, context: Context) -> Iterator[bytes]:
        script = next(answers, None) or failing(GONE, "etcdserver: no leader")
        yield from script(request, context)

    with Fake({WATCH: once}) as fake, Client(fake.endpoint, patience_s=0.2) as client:
        changes = client.watch(b"k")
        assert next(changes).item.mod_revision == 2
        with pytest.raises(Unreachable, match=r"no endpoint has answered for 0\.2 s"):
            next(changes)


def test_a_watch_gets_a_new_token_when_its_own_has_run_out() -> None:
    denied = pb.WatchResponse(
        watch_id=-1, created=True, canceled=True,
        cancel_reason="rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
    )  # fmt: skip
    tokens = (pb.AuthenticateResponse(token=f"t{it}") for it in itertools.count())

    def authenticate(request: bytes, context: Context) -> Iterator[bytes]:
        yield from saying(next(tokens))(request, context)

    def script(request: bytes, context: Context) -> Iterator[bytes]:
        answers = (denied,) if context.metadata["token"] == "t0" else (created(1), told(2))
        yield from saying(*answers)(request, context)

    credentials = Credentials(user="root", password="secret")
    with (
        Fake({WATCH: script, AUTHENTICATE: authenticate}) as fake,
        Client(fake.endpoint, credentials=credentials) as client,
    ):
        assert next(client.watch(b"k")).item.mod_revision == 2


# --- files and leaders ---------------------------------------------------------------------------


def test_a_file_that_breaks_is_asked_of_the_next_endpoint() -> None:
    piece = pb.SnapshotResponse(blob=b"piece")
    with (
        Fake({SNAPSHOT: failing(GONE, "Socket closed")}) as gone,
        Fake({SNAPSHOT: failing(GONE, "Socket closed", piece)}) as broken,
        Fake({SNAPSHOT: saying(piece, piece)}) as well,
        Client([it.endpoint for it in (gone, broken, well)]) as client,
    ):
        blobs = client.snapshot()
        assert next(blobs) == b"piece"
        with pytest.raises(ClientError, match="Socket closed"):
            next(blobs)
        assert list(client.snapshot()) == [b"piece", b"piece"]
        assert [it.count(SNAPSHOT) for it in (gone, broken, well)] == [1, 1, 1]


def test_a_file_that_stands_still_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.client.blocking._SILENCE_S", 0.1)

    def script(request: bytes, context: Context) -> Iterator[bytes]:
        yield from saying(pb.SnapshotResponse(blob=b"piece"))(request, context)
        yield from silent(request, context)

    with Fake({SNAPSHOT: script}) as fake, Client(fake.endpoint) as client:
        blobs = client.snapshot()
        assert next(blobs) == b"piece"
        with pytest.raises(Unreachable, match="says nothing"):
            next(blobs)


def test_every_leader_is_observed_once_also_those_that_led_while_we_were_away() -> None:
    def key(name: bytes, created_at: int, value: bytes) -> kv_pb2.KeyValue:
        return kv_pb2.KeyValue(
            key=b"e/" + name, value=value, create_revision=created_at, mod_revision=created_at
        )

    def gone(name: bytes, revision: int) -> kv_pb2.Event:
        kv = kv_pb2.KeyValue(key=b"e/" + name, mod_revision=revision)
        return kv_pb2.Event(type=kv_pb2.Event.DELETE, kv=kv)

    line = pb.RangeResponse(
        header=HEADER(revision=5), kvs=[key(b"a", 2, b"A"), key(b"b", 3, b"B"), key(b"c", 4, b"C")]
    )
    missed = pb.WatchResponse(events=[gone(b"a", 6), gone(b"b", 7), gone(b"d", 8)])
    with (
        Fake({RANGE: saying(line), WATCH: failing(GONE, "", created(5))}) as first,
        Fake({WATCH: saying(created(9), missed)}) as second,
        Client([first.endpoint, second.endpoint]) as client,
    ):
        leaders = client.leases.observe(b"e")
        assert [next(leaders).value for _ in range(3)] == [b"A", b"B", b"C"]
        [(_, asked)] = second.asked[:1]
        assert pb.WatchRequest.FromString(asked).create_request.start_revision == 6
