"""Every gauge is moved by something: a row that reads what nobody writes would stay where it is."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roost.call import Stream
from roost.etcd import figures as of_etcd
from roost.figures import Figure, Source, Value
from roost.flow import OWN
from roost.member import figures as of_member
from roost.proto import lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.server import ClientPort, ServerConfig
from roost.server.figures import PORT_FIGURES, HealthCounts, Now
from roost.server.loop_watch import LoopWatch
from roost.sim.members.loop import run_virtually, until_idle
from roost.sim.members.machines import Machine
from roost.sim.members.simulation import Simulation
from tests.etcd.upkeep.test_lessor import World
from tests.member.members import Cluster, run_cluster

# A simulated cluster with kills, cuts, changes of members and slow disks.
SEED = 2
BY_A_RUN = {
    *("etcd_server_has_leader", "etcd_server_is_leader", "etcd_server_is_learner"),
    *("etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total"),
    *("etcd_server_proposals_pending", "etcd_network_active_peers"),
    *("etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes"),
    *("roost_journal_queue", "roost_store_durable_index"),
    *("roost_disk_free_bytes", "roost_uncommitted_bytes", "roost_snapshot_transfers"),
}
BY_REQUESTS = {it.name for it in of_etcd.FIGURES if it.kind == "gauge"}
BY_REAL_TIME = {"roost_journal_sync_milliseconds"}
# What only damage, loss or a burst within one turn moves: the row reads a field of the status, and
# who is named here moves the field.
BY_THE_STATUS: dict[str, tuple[dict[str, Any], str]] = {
    "roost_member_is_fenced": ({"is_fenced": True}, "raft/test_fence.py"),
    "roost_members_lost_entries": ({"lost_entries": {2: 9}}, "raft/test_fence.py"),
    "roost_journal_damaged_entries": ({"damaged_entry_count": 3}, "member/custody/test_repair.py"),
    "roost_peer_send_queue_bytes": ({"send_queue_bytes": 7}, "member/test_member.py"),
    "roost_unapplied_bytes": ({"unapplied_bytes": 5}, "raft/test_core.py"),
}
BY_THE_STORE = {"roost_store_poison_entries"}
BY_THE_PORT = {
    *("roost_client_connections", "roost_client_connections_in_line", "os_fd_used"),
}
# They say what this process is, and stay so.
CONSTANT = {
    *("etcd_server_id", "etcd_server_version", "etcd_cluster_version"),
    *("etcd_server_quota_backend_bytes", "os_fd_limit"),
}


class Seen:
    """The values that each gauge had, of each member by itself."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, object, object], set[Value]] = defaultdict(set)

    def note(self, rows: Sequence[Figure[Source]], source: Source, whose: object = None) -> None:
        for row in rows:
            if row.kind == "gauge":
                for sample in row.samples(source):
                    self._values[row.name, whose, sample.labels].add(sample.value)

    def moved(self) -> set[str]:
        return {name for (name, _, _), values in self._values.items() if len(values) > 1}


def test_every_gauge_is_moved_by_somebody() -> None:
    shown = [
        *(BY_A_RUN, BY_REQUESTS, BY_REAL_TIME, BY_THE_STATUS, BY_THE_STORE, BY_THE_PORT, CONSTANT),
    ]
    gauges = [
        *(it.name for it in of_member.FIGURES if it.kind == "gauge"),
        *(it.name for it in of_etcd.FIGURES if it.kind == "gauge"),
        *(it.name for it in PORT_FIGURES if it.kind == "gauge"),
    ]
    assert sorted(name for names in shown for name in names) == sorted(gauges)
    for _, path in BY_THE_STATUS.values():
        assert (Path(__file__).parent.parent / path).exists()


@pytest.mark.slow
def test_a_run_with_faults_moves_what_a_member_shows(tmp_path: Path) -> None:
    seen = Seen()

    class Watched(Simulation):
        look_count = 0

        def _look(self, machine: Machine) -> None:
            super()._look(machine)
            self.look_count += 1
            if machine.member is not None and self.look_count % 5 == 0:
                now = of_member.MemberNow(machine.member, machine.member.status())
                seen.note(of_member.FIGURES, now, machine.number)

    # What a seed does changes when the simulator learns something new; a few of them do it all.
    for seed in range(SEED, SEED + 4):
        root = tmp_path / str(seed)
        root.mkdir()
        Watched(seed, root).run()
        if seen.moved() >= BY_A_RUN:
            break
    assert seen.moved() >= BY_A_RUN


class Listener:
    """A client of a stream that reads nothing of it."""

    on_drain: Callable[[], None] | None = None
    token = certificate_name = address = ""
    flow = OWN
    pending_bytes = 1 << 30

    def send(self, message: bytes) -> None:
        pass

    def send_all(self, messages: Sequence[bytes]) -> None:
        pass

    def finish(self, code: int, text: str) -> None:
        pass


def test_requests_move_what_the_services_show() -> None:
    world, seen = World(), Seen()

    def look() -> None:
        now = of_etcd.EtcdNow(world.services, world.services.figures())
        seen.note(of_etcd.FIGURES, now)

    def talk(path: bytes, body: bytes) -> None:
        route = world.services.routes()[path]
        assert isinstance(route, Stream)
        route.open(Listener()).on_message(body)

    async def story() -> None:
        look()
        for lease_id in (1, 2):
            world.grant(60, lease_id)
            world.put(b"k%d" % lease_id, lease_id)
            look()
        wanted = pb.WatchCreateRequest(key=b"k", range_end=b"l", start_revision=1)
        request = pb.WatchRequest(create_request=wanted)
        talk(b"/etcdserverpb.Watch/Watch", request.SerializeToString())
        look()
        for lease_id in (1, 2):
            turn = lock_pb2.LockRequest(name=b"one", lease=lease_id)
            talk(b"/v3lockpb.Lock/Lock", turn.SerializeToString())
            await until_idle()
            look()
        world.call("KV/Compact", pb.CompactionRequest(revision=2))
        look()
        await world.services.close()

    run_virtually(story())
    world.replica.close()
    assert seen.moved() == BY_REQUESTS


@pytest.mark.slow
def test_real_time_moves_what_is_measured(tmp_path: Path) -> None:
    seen = Seen()

    async def story(cluster: Cluster) -> None:
        member = cluster.members[0]
        for turn in range(5):
            await cluster.put(0, b"k", b"%d" % turn)
            seen.note(of_member.FIGURES, of_member.MemberNow(member, member.status()))

    run_cluster(tmp_path, 1, story, on_loopback=True)
    assert seen.moved() >= BY_REAL_TIME


def test_what_only_damage_moves_is_read_from_where_it_is_kept(tmp_path: Path) -> None:
    seen = Seen()

    async def story(cluster: Cluster) -> None:
        member = cluster.members[0]
        status = member.status()
        seen.note(of_member.FIGURES, of_member.MemberNow(member, status))
        for changes, _ in BY_THE_STATUS.values():
            changed = of_member.MemberNow(member, replace(status, **changes))
            seen.note(of_member.FIGURES, changed)
        # tests/sim/test_poison.py has entries that are no write sets.
        member.store.poison_count += 1
        seen.note(of_member.FIGURES, of_member.MemberNow(member, status))

    run_cluster(tmp_path, 1, story)
    # The disk is real, and others write to it.
    assert seen.moved() >= {*BY_THE_STATUS, *BY_THE_STORE}


def test_the_port_moves_what_it_shows() -> None:
    class Reader:
        def read_on(self, budget: int) -> None:
            pass

    app: Any = None
    port, seen = ClientPort(routes={}, app=app, config=ServerConfig()), Seen()

    def look() -> None:
        seen.note(PORT_FIGURES, Now(port, 0, HealthCounts(), LoopWatch()))

    async def story() -> None:
        look()
        assert port.admit() == ""
        port.grpc.intake.note(Reader(), 1, has_more=True)
        held = os.open(os.devnull, os.O_RDONLY)
        look()
        os.close(held)

    run_virtually(story())
    assert seen.moved() == BY_THE_PORT
