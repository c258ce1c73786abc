"""A watch goes on where it was, whichever endpoint answers next."""

import itertools
from collections.abc import Iterator

import pytest

from roost.client import Compacted, Credentials, Unreachable
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from tests.client.fakes import (
    AUTHENTICATE,
    GONE,
    HEADER,
    WATCH,
    Context,
    Fake,
    asking_in_order,
    created,
    failing,
    saying,
)


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
        asking_in_order([first.endpoint, second.endpoint]) as client,
    ):
        changes = client.watch(b"k", since=asked)
        count = sum(len(it.events) for it in said)
        seen = [it.item.mod_revision for it in itertools.islice(changes, count + 1)]
        assert seen[-1] == 60
        changes.close()
        starts = [pb.WatchRequest.FromString(it).create_request for _, it in second.asked]
        assert starts[0].start_revision == goes_on_at
        assert starts[0].progress_notify


def test_a_watch_needs_a_leader_all_the_while() -> None:
    seen: list[dict[str, str]] = []

    def script(request: bytes, context: Context) -> Iterator[bytes]:
        seen.append(context.metadata)
        yield from saying(created(1), told(2))(request, context)

    with Fake({WATCH: script}) as fake, asking_in_order(fake.endpoint) as client:
        next(client.watch(b"k"))
    assert seen[0]["hasleader"] == "true"


def test_a_watch_whose_history_is_forgotten_says_where_it_begins() -> None:
    compacted = pb.WatchResponse(canceled=True, compact_revision=40)
    with (
        Fake({WATCH: failing(GONE, "", created(10), told(11))}) as first,
        Fake({WATCH: saying(created(50), compacted)}) as second,
        asking_in_order([first.endpoint, second.endpoint]) as client,
    ):
        changes = client.watch(b"k", since=1)
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

    with Fake({WATCH: once}) as fake, asking_in_order(fake.endpoint, patience_s=0.2) as client:
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
        asking_in_order(fake.endpoint, credentials=credentials) as client,
    ):
        assert next(client.watch(b"k")).item.mod_revision == 2
