"""Whose turn it is, seen from outside: each leader once."""

from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from tests.client.fakes import (
    GONE,
    HEADER,
    RANGE,
    WATCH,
    Fake,
    asking_in_order,
    created,
    failing,
    saying,
)


def test_every_leader_is_observed_once_also_those_that_led_while_we_were_away() -> None:
    def key(name: bytes, created_at: int, value: bytes) -> kv_pb2.KeyValue:
        return kv_pb2.KeyValue(
            key=b"e/" + name,
            value=value,
            create_revision=created_at,
            mod_revision=created_at,
            lease=int(name, 16),
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
        asking_in_order([first.endpoint, second.endpoint]) as client,
    ):
        leaders = client.leases.observe(b"e")
        assert [next(leaders).value for _ in range(3)] == [b"A", b"B", b"C"]
        [(_, asked)] = second.asked[:1]
        assert pb.WatchRequest.FromString(asked).create_request.start_revision == 6
