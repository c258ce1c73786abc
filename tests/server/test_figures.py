"""Every gauge is moved by something: a row that reads what nobody writes would stay where it is."""

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roost.call import Route, Stream, Unary
from roost.etcd import figures as of_etcd
from roost.etcd.access.hashers import HASHERS
from roost.etcd.access.tokens import Identity
from roost.etcd.model.costs import Costs
from roost.etcd.v2 import values as v2_values
from roost.etcd.v2.changes import CHANGE
from roost.etcd.v2.values import Change, Kind
from roost.etcd.v2.watchers import PENDING_MAX
from roost.etcd.v3.costly import RUNNING_MAX
from roost.figures import Figure, Labels, Source, Value
from roost.flow import OWN
from roost.member import figures as of_member
from roost.memory import Memory
from roost.memory_limit import Limit, Taken
from roost.outcome import Outcome
from roost.proto import lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.server import ClientPort, ServerConfig
from roost.server.figures import PORT_FIGURES, HealthCounts, Now
from roost.server.h2 import frames as f
from roost.server.loop_watch import LoopWatch
from roost.server.pools import FIGURES as POOL_FIGURES
from roost.server.pools import Pools
from roost.sim.members.loop import run_virtually, until_idle
from roost.sim.members.machines import Machine
from roost.sim.members.simulation import Simulation
from roost.store.held import STATES_MAX
from tests.etcd.guarded import World as GuardedWorld
from tests.etcd.upkeep.test_lessor import World
from tests.member.members import TREE, Cluster, look_again, run_cluster
from tests.server.test_budgets import Client, all_read

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
BY_THREADS = {"roost_passwords_waiting"}
BY_RIGHTS = {"roost_right_checks_waiting"}
BY_REQUESTS = {it.name for it in of_etcd.FIGURES if it.kind == "gauge"} - BY_THREADS - BY_RIGHTS
BY_REAL_TIME = {"roost_journal_sync_milliseconds"}
# What only damage, loss or a burst within one turn moves: the row reads a field of the status, and
# who is named here moves the field.
BY_THE_STATUS: dict[str, tuple[dict[str, Any], str]] = {
    "roost_member_is_fenced": ({"is_fenced": True}, "raft/test_fence.py"),
    "roost_members_lost_entries": ({"lost_entries": {2: 9}}, "raft/test_fence.py"),
    "roost_journal_damaged_entries": ({"damaged_entry_count": 3}, "member/custody/test_repair.py"),
    "roost_peer_send_queue_bytes": ({"send_queue_bytes": 7}, "member/test_member.py"),
    "roost_queue_bytes": ({"queue_bytes": 5}, "member/pipeline/test_executor.py"),
    "roost_queue_flows": ({"queue_flow_count": 2}, "member/pipeline/test_executor.py"),
    "roost_reads_in_line": ({"read_line_count": 2}, "member/pipeline/test_reads.py"),
    "roost_journal_uses_thread": ({"uses_thread": True}, "member/pipeline/test_persistence.py"),
    "roost_unapplied_bytes": ({"unapplied_bytes": 5}, "raft/test_core.py"),
}
BY_THE_STORE = {"roost_store_poison_entries"}
BY_LONG_READS = {
    *("roost_store_held_states", "roost_store_held_bytes", "roost_store_held_oldest_seconds"),
}
BY_MEMORY = {it.name for it in POOL_FIGURES if it.kind == "gauge"} - {"roost_memory_limit_bytes"}
BY_THE_PORT = {
    *("roost_client_connections", "roost_client_connections_in_line", "os_fd_used"),
}
# They say what this process is, and stay so.
CONSTANT = {
    *("etcd_server_id", "etcd_server_version", "etcd_cluster_version"),
    *("etcd_server_quota_backend_bytes", "os_fd_limit", "roost_memory_limit_bytes"),
}


class Seen:
    """The values that each gauge had, of each member by itself."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, object, Labels], set[Value]] = defaultdict(set)

    def note(self, rows: Sequence[Figure[Source]], source: Source, whose: object = None) -> None:
        for row in rows:
            if row.kind == "gauge":
                for sample in row.samples(source):
                    self._values[row.name, whose, sample.labels].add(sample.value)

    def moved_pools(self) -> set[str]:
        """Names of the pools that have held something, and nothing."""
        return {
            value
            for (name, _, labels), values in self._values.items()
            if name == "roost_memory_pool_bytes" and len(values) > 1 and 0 in values
            for _, value in labels
        }

    def moved(self) -> set[str]:
        return {name for (name, _, _), values in self._values.items() if len(values) > 1}


def test_every_gauge_is_moved_by_somebody() -> None:
    shown = [
        *(
            BY_A_RUN,
            BY_THREADS,
            BY_RIGHTS,
            BY_REQUESTS,
            BY_REAL_TIME,
            BY_THE_STATUS,
            BY_THE_STORE,
            BY_THE_PORT,
            CONSTANT,
        ),
        *(BY_LONG_READS, BY_MEMORY),
    ]
    gauges = [
        *(it.name for it in of_member.FIGURES if it.kind == "gauge"),
        *(it.name for it in of_etcd.FIGURES if it.kind == "gauge"),
        *(it.name for it in PORT_FIGURES if it.kind == "gauge"),
        *(it.name for it in POOL_FIGURES if it.kind == "gauge"),
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


def test_requests_move_what_the_services_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.etcd.v3.long_reads.INLINE_UNITS", 1)
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
        copies = world.services.copies
        async with AsyncExitStack() as stack:
            for _ in range(RUNNING_MAX):
                await stack.enter_async_context(copies.turn(OWN))
            waiting = asyncio.create_task(stack.enter_async_context(copies.turn(OWN)))
            await until_idle()
            look()
            waiting.cancel()
            await asyncio.wait([waiting])
        ranges = [pb.RequestOp(request_range=pb.RangeRequest(key=b"k", range_end=b"l"))] * 3
        for number in range(STATES_MAX + 1):
            world.put(b"k%d" % number, 1)
            world.call("KV/Txn", pb.TxnRequest(success=ranges))
            look()
        world.services.v2.hub.open(b"/", 0, is_recursive=True, is_stream=True)
        look()
        change = v2_values.encode(Change(Kind.SET, b"/a"))
        for _ in range(PENDING_MAX + 1):  # and nobody takes any of them
            world.replica.transact_nowait(CHANGE, change, lambda _: None)
        await until_idle()
        look()
        await world.services.close()

    run_virtually(story())
    world.replica.close()
    assert seen.moved() == BY_REQUESTS


def test_checks_of_rights_that_wait_are_shown() -> None:
    world, seen = GuardedWorld(), Seen()

    def check(_judge: object) -> Costs[None]:
        for _ in range(10):
            yield 100

    def look() -> None:
        now = of_etcd.EtcdNow(world.services, world.services.figures())
        seen.note([it for it in of_etcd.FIGURES if it.name in BY_RIGHTS], now)

    async def story() -> None:
        look()
        ask = world.services.border.questions.ask
        ask(Identity("reader"), check, lambda: None, lambda _error: None)
        look()
        await until_idle()
        assert len(world.services.border.questions) == 0

    run_virtually(story())
    world.replica.close()
    assert seen.moved() == BY_RIGHTS


def test_passwords_that_wait_are_shown() -> None:
    world, seen, gate = World(), Seen(), threading.Event()

    async def story() -> None:
        loop, hashers = asyncio.get_running_loop(), world.services.hashers
        checked = [loop.create_future() for _ in range(HASHERS + 1)]
        for future in checked:
            hashers.run("10.0.0.1", "alice", gate.wait, future.set_result)
            seen.note(of_etcd.FIGURES, of_etcd.EtcdNow(world.services, world.services.figures()))
        gate.set()
        await asyncio.gather(*checked)

    asyncio.run(story())
    world.replica.close()
    assert seen.moved() == BY_THREADS


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


def test_long_reads_move_what_is_held_for_them(tmp_path: Path) -> None:
    seen = Seen()

    async def story(cluster: Cluster) -> None:
        member = cluster.members[0]

        def look() -> None:
            seen.note(of_member.FIGURES, of_member.MemberNow(member, member.status()))

        look()
        await cluster.put(0, b"k", b"kept for who reads, and durable meanwhile")
        with member.store.hold():
            member.store.make_durable(lambda: None)
            while member.store.durable_index < member.store.applied_index:
                await look_again()
            look()
            member.store.held_views.look(1e9)
            await cluster.put(0, b"k", b"now")
        with member.store.hold():
            member.store.held_views.look(1e9 + 1)
            look()

    run_cluster(tmp_path, 1, story)
    assert seen.moved() >= BY_LONG_READS


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


@pytest.mark.slow
def test_what_is_held_moves_its_pool_and_memory_says_what_it_is(tmp_path: Path) -> None:
    app: Any = None
    path = b"/t/Echo"
    routes: dict[bytes, Route] = {path: Unary(lambda call, message: call.reply(message))}
    seen, taken = Seen(), 100 << 20

    async def story(cluster: Cluster) -> None:
        nonlocal taken
        member = cluster.members[0]
        limit = Limit(1 << 30, "one", lambda it: it.anonymous_bytes)
        member.memory = Memory([limit], lambda: Taken(anonymous_bytes=taken))
        port = ClientPort(routes=routes, app=app, config=ServerConfig())
        pools = Pools(member, port)

        def look() -> None:
            seen.note(POOL_FIGURES, pools)

        look()
        client = Client(port.grpc)
        client.send(client.begin(path), b"\0" + (100).to_bytes(4, "big"))
        client.ask(path, bytes(10_000))
        client.protocol.data_received(bytes(5))
        look()
        client.protocol.connection_lost(None)
        begun = Client(port.grpc)
        # A field whose value has 200,000 bytes, of which some have come.
        block = b"\0\x01x\x7f\xc1\x99\x0c" + bytes(100_000)
        begun.protocol.data_received(f.frame(f.HEADERS, 0, 1, block[:16_384]))
        for at in range(16_384, len(block), 16_384):
            begun.protocol.data_received(f.frame(f.CONTINUATION, 0, 1, block[at : at + 16_384]))
            await all_read(port.grpc)
        look()
        begun.protocol.connection_lost(None)
        taken = 1 << 30
        member.memory.look()
        txn = member.store.begin()
        txn.put(member.store.tree(TREE).id, b"proposed", b"and given up")
        member.store.speculate(member.store.applied_index + 1, txn, b"")
        look()
        member.store.drop_speculative()
        done: list[Outcome] = []
        member.transact_nowait("put", b"k=" + bytes(100), done.append)
        while not done:
            look()
            await look_again()
        while member.store.durable_index < member.store.applied_index:
            member.store.make_durable(lambda: None)
            await look_again()
        look()
        assert pools.held() == 0

    run_cluster(tmp_path, 1, story)
    assert seen.moved() == BY_MEMORY
    assert seen.moved_pools() == {
        *("request_bodies", "requests_in_line", "unread_answers", "header_blocks"),
        *("operations", "proposed", "applied"),
    }
