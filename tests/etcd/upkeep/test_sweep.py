"""The removal of what was compacted: what sets it off, and what does not."""

from collections.abc import Iterator

import pytest

from roost import etcd
from roost.call import Unary
from roost.outcome import ReadDone
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import Answer, LocalFiles, LocalReplica


class CountingFiles(LocalFiles):
    """Counts how often everything was to be made durable."""

    def __init__(self) -> None:
        self.durable_count = 0

    def make_durable(self, done: ReadDone) -> None:
        self.durable_count += 1
        done(None)


@pytest.fixture
def replica() -> Iterator[LocalReplica]:
    replica = LocalReplica()
    replica.files = CountingFiles()
    yield replica
    replica.close()


def call(services: etcd.Services, name: str, body: bytes) -> None:
    answer = Answer()
    route = services.routes()[f"/etcdserverpb.KV/{name}".encode()]
    assert isinstance(route, Unary)
    route.handle(answer, body)
    assert answer.error is None, answer.error


def test_a_value_with_the_name_of_the_mark_in_it_is_no_compaction(replica: LocalReplica) -> None:
    """Each such put had everything written to the disk, as at the end of a removal."""
    services = etcd.Services(replica, replica.store)
    assert isinstance(replica.files, CountingFiles)
    request = pb.PutRequest(key=b"log", value=b"the database is compacting")
    call(services, "Put", request.SerializeToString())
    assert replica.files.durable_count == 0
    call(services, "Compact", pb.CompactionRequest(revision=2).SerializeToString())
    assert replica.files.durable_count == 1
