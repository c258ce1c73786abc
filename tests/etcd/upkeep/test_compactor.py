"""Compaction by itself: what is kept is kept, and only the leader forgets."""

from collections.abc import Iterator

import pytest

from roost import etcd
from roost.call import Unary
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import Answer, LocalReplica


class World:
    def __init__(self, keeping: etcd.Keeping) -> None:
        self.replica = LocalReplica()
        self.now_s = 0.0
        self.keeping = keeping
        self.services = etcd.Services(
            self.replica, self.replica.store, keeping=keeping, clock_s=lambda: self.now_s
        )

    def put(self) -> None:
        answer = Answer()
        route = self.services.routes()[b"/etcdserverpb.KV/Put"]
        assert isinstance(route, Unary)
        route.handle(answer, pb.PutRequest(key=b"k").SerializeToString())

    def look(self) -> int:
        """Let the compactor look; the compacted revision."""
        assert self.services._compactor is not None
        self.services._compactor.look()
        return self.services.figures().compacted_revision


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.replica.close()


def test_a_number_of_revisions_is_kept(worlds: list[World]) -> None:
    world = World(etcd.KeepRevisions(10))
    worlds.append(world)
    for _ in range(8):
        world.put()
    assert world.look() == 0
    for _ in range(20):
        world.put()
    assert world.services.revision() == 29
    assert world.look() == 19
    assert world.look() == 19


def test_a_length_of_time_is_kept(worlds: list[World]) -> None:
    keeping = etcd.KeepTime(3600)
    world = World(keeping)
    worlds.append(world)
    revisions = []
    for _ in range(30):
        world.put()
        revisions.append(world.services.revision())
        compacted = world.look()
        # What was written within the hour is there; what is older than its next note is not.
        steps = round(3600 / keeping.look_s)
        expected = revisions[-1 - steps] if len(revisions) > steps else 0
        assert compacted == expected
        world.now_s += keeping.look_s


def test_a_follower_forgets_nothing_by_itself(worlds: list[World]) -> None:
    world = World(etcd.KeepRevisions(1))
    worlds.append(world)
    for _ in range(5):
        world.put()
    world.replica.leader_id = 99
    assert world.look() == 0
