"""Leases: never early, whatever the clock, the leader and the process do (P10)."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from roost import etcd
from roost.call import Stream, Unary
from roost.etcd.model import leases
from roost.etcd.model.leases import Lease
from roost.etcd.model.mvcc import LEASE_KEYS_TREE, LEASES_TREE, Mvcc
from roost.etcd.upkeep.deadlines import SLICE_ROWS, STEP_S_MAX
from roost.etcd.upkeep.lessor import CHECKPOINT_S, EXPIRE
from roost.flow import OWN
from roost.member.errors import OperationFailed
from roost.outcome import Done
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from roost.store import View
from roost.store.long_keys import Cut
from tests.etcd.replica import Answer, LocalReplica
from tests.samples import SAMPLES
from tests.steps import steps_of

LIMITS = etcd.Limits(lease_ttl_min_s=1, lease_grace_s=0.5, leases_max=1000)


class World:
    """One replica, its services and a clock."""

    def __init__(self, limits: etcd.Limits = LIMITS) -> None:
        self.replica = LocalReplica()
        self.now_s = 1000.0
        self.services = etcd.Services(
            self.replica, self.replica.store, limits=limits, clock_s=lambda: self.now_s
        )
        self.lessor = self.services.lessor

    def call(self, path: str, request: Message) -> Answer:
        answer = Answer()
        route = self.services.routes()[f"/etcdserverpb.{path}".encode()]
        assert isinstance(route, Unary)
        route.handle(answer, request.SerializeToString())
        return answer

    def grant(self, ttl_s: int, lease_id: int = 1) -> pb.LeaseGrantResponse:
        answer = self.call("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=ttl_s, ID=lease_id))
        assert answer.message is not None, answer.error
        return pb.LeaseGrantResponse.FromString(answer.message)

    def put(self, key: bytes, lease_id: int) -> None:
        answer = self.call("KV/Put", pb.PutRequest(key=key, lease=lease_id))
        assert answer.error is None, answer.error

    def renew(self, lease_id: int) -> int:
        done: list[int] = []

        class Alive:
            on_drain: Callable[[], None] | None = None
            token = certificate_name = address = ""
            flow = OWN
            pending_bytes = 0

            def send(self, message: bytes) -> None:
                done.append(pb.LeaseKeepAliveResponse.FromString(message).TTL)

            def send_all(self, messages: Sequence[bytes]) -> None:
                for message in messages:
                    self.send(message)

            def finish(self, code: int, text: str) -> None:
                raise AssertionError(text)

        route = self.services.routes()[b"/etcdserverpb.Lease/LeaseKeepAlive"]
        assert isinstance(route, Stream)
        route.open(Alive()).on_message(pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString())
        [ttl] = done
        return ttl

    def time_to_live(self, lease_id: int) -> pb.LeaseTimeToLiveResponse:
        request = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
        answer = self.call("Lease/LeaseTimeToLive", request)
        assert answer.message is not None, answer.error
        return pb.LeaseTimeToLiveResponse.FromString(answer.message)

    def pass_time(self, seconds: float, step_s: float = 0.25) -> None:
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.lessor.look()

    def ids(self) -> list[int]:
        answer = self.call("Lease/LeaseLeases", pb.LeaseLeasesRequest())
        assert answer.message is not None
        return [it.ID for it in pb.LeaseLeasesResponse.FromString(answer.message).leases]

    def change_leader(self) -> None:
        """Somebody else led for a while, and now we do, in another term."""
        self.replica.leader_id = 99
        self.lessor.look()
        self.replica.leader_id = 1
        self.replica.term += 2
        self.lessor.look()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.replica.close()


def test_leases_are_listed_by_the_time_that_is_left(world: World) -> None:
    """As etcd's leader lists them; the others ask it."""
    for lease_id, ttl_s in ((1, 300), (2, 100), (3, 200), (4, 100)):
        world.grant(ttl_s, lease_id)
    assert world.ids() == [2, 4, 3, 1]
    world.pass_time(50)
    world.renew(2)
    assert world.ids() == [4, 2, 3, 1]


def test_a_lease_and_its_keys_go_at_one_revision(world: World) -> None:
    world.grant(10)
    world.put(b"a", 1)
    world.put(b"b", 1)
    before = world.services.revision()
    world.pass_time(9.5)
    assert world.ids() == [1]
    world.pass_time(1)
    assert world.ids() == []
    assert world.services.revision() == before + 1
    view = world.replica.view
    for name in (LEASES_TREE, LEASE_KEYS_TREE, "$etcd.kv"):
        assert view.count(world.replica.store.tree(name).id) == 0


def test_a_renewal_counts_from_its_moment_not_from_the_last_look(world: World) -> None:
    world.grant(5)
    world.now_s += 0.24
    assert world.renew(1) == 5
    world.now_s += 4.9
    world.lessor.look()
    assert world.ids() == [1]


def test_a_lease_that_is_gone_is_renewed_with_nothing(world: World) -> None:
    assert world.renew(7) == 0
    world.grant(5, 7)
    world.call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=7))
    assert world.renew(7) == 0
    assert world.time_to_live(7).TTL == -1


def test_a_process_that_was_stopped_revokes_nothing_at_once(world: World) -> None:
    """etcd #17425: what came in during the pause is heard first."""
    world.grant(60)
    world.now_s += 3600
    world.lessor.look()
    assert world.ids() == [1]
    world.pass_time(58)
    assert world.ids() == [1]
    world.pass_time(4)
    assert world.ids() == []


def test_a_clock_that_goes_back_or_jumps_changes_nothing(world: World) -> None:
    world.grant(10)
    world.pass_time(5)
    for jump in (-86400.0, 86400.0 * 365):
        world.now_s += jump
        world.lessor.look()
    assert world.ids() == [1]
    assert 3 <= world.time_to_live(1).TTL <= 5


def test_a_new_leader_gives_what_was_granted_and_a_grace(world: World) -> None:
    world.grant(10)
    world.pass_time(9)
    world.change_leader()
    world.pass_time(10)
    assert world.ids() == [1]
    world.pass_time(1)
    assert world.ids() == []


def test_long_leases_end_however_often_the_leader_changes(world: World) -> None:
    """etcd #14253: what is left is written down now and then."""
    ttl_s = round(10 * CHECKPOINT_S)
    world.grant(ttl_s)
    passed = 0.0
    while world.ids():
        # Of each leader's time only what it has written down counts, two thirds here.
        assert passed < 2 * ttl_s, "it never ends"
        world.pass_time(CHECKPOINT_S * 1.5, step_s=STEP_S_MAX)
        passed += CHECKPOINT_S * 1.5
        world.change_leader()
    assert passed > ttl_s - CHECKPOINT_S


@pytest.mark.slow
def test_what_is_left_of_very_many_leases_is_written_down_in_steps_that_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Issue 14: once in five minutes the names of all leases were read in one step."""
    monkeypatch.setattr("roost.etcd.upkeep.lessor._CHECKPOINT_SLICE", 10)
    world = World(etcd.Limits(lease_ttl_min_s=1, lease_grace_s=0.5, leases_max=10_000))
    world.lessor.look()
    for number in range(1, 2001):
        world.grant(round(10 * CHECKPOINT_S), number)
    longest = 0
    for _ in range(round(CHECKPOINT_S) + 210):
        world.now_s += STEP_S_MAX
        longest = max(longest, steps_of(world.lessor.look))
    mvcc = Mvcc(world.replica.store)
    rows = [leases.decode(row) for _, row in world.replica.view.iterate(mvcc.leases)]
    world.replica.close()
    assert len(rows) == 2000
    assert all(it.remaining_s for it in rows), "each was written down"
    assert longest < 5000


def test_a_renewal_takes_back_what_was_written_down(world: World) -> None:
    ttl_s = round(4 * CHECKPOINT_S)
    world.grant(ttl_s)
    world.pass_time(CHECKPOINT_S * 2.5, step_s=STEP_S_MAX)
    world.renew(1)
    world.change_leader()
    world.pass_time(ttl_s - 2, step_s=STEP_S_MAX)
    assert world.ids() == [1]


@pytest.mark.parametrize("lease_id", [1, 127, 128, 2**63 - 1, -1, -(2**63)])
def test_who_renews_a_lease_is_told_its_id_and_its_time(world: World, lease_id: int) -> None:
    asked = pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()
    for ttl_s in (0, 3):
        found = world.lessor.renew_now(world.replica.store.begin(), asked)
        assert found is not None
        said = pb.LeaseKeepAliveResponse.FromString(found[8:])
        assert lease_id == said.ID
        assert ttl_s == said.TTL
        if not ttl_s:
            world.grant(3, lease_id)


def test_what_keeps_a_lease_alive_waits_for_others_only_where_it_writes_or_comes_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pb.LeaseKeepAliveRequest(ID=1).SerializeToString()

    def renewed() -> int | None:
        found = world.lessor.renew_now(world.replica.store.begin(), asked)
        return None if found is None else pb.LeaseKeepAliveResponse.FromString(found[8:]).TTL

    assert renewed() == 0, "there is none"
    world.grant(3)
    assert renewed() == 3
    sent: list[tuple[str, Done]] = []

    def transact(name: str, _body: bytes, done: Done) -> None:
        sent.append((name, done))

    monkeypatch.setattr(world.replica, "transact_nowait", transact)
    world.pass_time(2.75)
    assert renewed() == 3
    world.pass_time(2.75)
    assert sent == [], "it was renewed in time"
    world.pass_time(4.0)
    [(name, done)] = sent
    assert name == EXPIRE, "once, however long it is on its way"
    assert renewed() is None, "what was asked for first comes first"
    done(OperationFailed("nobody knows"))
    assert renewed() == 3
    monkeypatch.undo()
    world.grant(round(2 * CHECKPOINT_S), 2)
    world.pass_time(1.5 * CHECKPOINT_S, 1.0)
    asked = pb.LeaseKeepAliveRequest(ID=2).SerializeToString()
    assert renewed() is None, "what was written down is to be taken back"
    assert world.renew(2) == round(2 * CHECKPOINT_S)


def test_a_deposed_leader_revokes_nothing_when_it_wakes_up(world: World) -> None:
    """etcd #17425: its request to revoke runs at the leader, who looks at its own deadline."""
    world.grant(5)
    world.pass_time(5.0)
    route = world.replica._operations["etcd.lease_expire"]
    world.change_leader()
    txn = world.replica.store.begin()
    assert route(txn, (1).to_bytes(8, "big")) == b""
    assert txn.is_empty


def test_ids_are_drawn_anew_and_refused_twice(world: World) -> None:
    drawn = {world.grant(10, 0).ID for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 < it < 1 << 63 for it in drawn)
    again = world.call("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=5, ID=drawn.pop()))
    assert again.error == (9, "etcdserver: lease already exists")


def test_leases_are_bounded() -> None:
    world = World(etcd.Limits(leases_max=3))
    try:
        for lease_id in (1, 2, 3):
            world.grant(10, lease_id)
        refused = world.call("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=10, ID=4))
        assert refused.error == (8, "etcdserver: too many leases")
        world.call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=1))
        world.grant(10, 4)
    finally:
        world.replica.close()


def test_very_many_leases_one_in_ten_kept_alive() -> None:
    """Issue 5: nothing early, nothing leaked; on the clock of the test."""
    count = 20_000 * SAMPLES
    world = World(etcd.Limits(lease_ttl_min_s=1, lease_grace_s=0.0))
    kept = range(1, count + 1, 10)

    async def run() -> None:
        txn = world.replica.store.begin()
        for lease_id in range(1, count + 1):
            world.lessor.grant(txn, pb.LeaseGrantRequest(TTL=30, ID=lease_id).SerializeToString())
        world.lessor.look()
        world.replica.store.apply(world.replica.store.applied_index + 1, txn.encode())
        for moment in range(28):
            world.pass_time(1, step_s=1.0)
            if moment in (9, 19, 27):
                renewing = world.replica.store.begin()
                for lease_id in kept:
                    body = pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()
                    world.lessor.renew(renewing, body)
                assert renewing.is_empty
        assert world.lessor.timed_count == count
        while world.now_s < 1000 + 28 + 25:
            world.pass_time(0.05, step_s=0.05)  # at most a thousand are on their way at a time
            await until_idle()
        assert world.lessor.timed_count == len(kept)
        assert world.ids() == list(kept)

    try:
        run_virtually(run())
    finally:
        world.replica.close()


class CountingView(View):
    """Counts the rows that are read."""

    row_count = 0

    def walk(
        self,
        tree_id: int,
        first: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
        inside: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes | Cut | None]]:
        for row in super().walk(
            tree_id, first, stop, reverse=reverse, keys_only=keys_only, inside=inside
        ):
            self.row_count += 1
            yield row


def other_leads(world: World, count: int, ttl_s: int) -> CountingView:
    """Somebody else leads, and has granted many leases; returns what is read here from now on."""
    world.replica.leader_id = 99
    txn = world.replica.store.begin()
    for lease_id in range(1, count + 1):
        leases.put(world.services._mvcc, txn, leases.name_of(lease_id), Lease(ttl_s, 0))
    world.replica.store.apply(world.replica.store.applied_index + 1, txn.encode())
    world.lessor.look()
    assert world.lessor.timed_count == 0
    world.replica.view = view = CountingView(world.replica.view._layers, world.replica.view._base)
    return view


def test_a_new_leader_takes_over_in_slices_and_every_lease_counts_from_its_first_moment() -> None:
    count, ttl_s = 100_000, 60
    world = World()
    view = other_leads(world, count, ttl_s)

    async def run() -> None:
        world.replica.leader_id, world.replica.term = 1, world.replica.term + 2
        began_s = world.now_s
        world.lessor.look()
        turns = 0
        while world.lessor.timed_count < count:
            assert view.row_count <= SLICE_ROWS, "read in one turn of the loop"
            view.row_count = 0
            if turns == 50:
                assert world.renew(count) == ttl_s, "a renewal counts before its row is read"
                renewed_s = world.now_s
            turns += 1
            world.now_s += 0.2
            await asyncio.sleep(0)
        assert turns + 1 >= count // SLICE_ROWS
        grace_s = LIMITS.lease_grace_s
        while world.now_s < began_s + ttl_s + grace_s - 0.25:
            world.pass_time(0.2, step_s=0.2)
        assert world.lessor.timed_count == count
        world.pass_time(0.5)
        assert world.lessor.timed_count < count, "and late by a look at the most"
        assert world.time_to_live(count).TTL == int(renewed_s + ttl_s - world.now_s) > 0

    try:
        asyncio.run(run())
    finally:
        world.replica.close()


def test_whoever_leads_no_more_stops_to_take_over() -> None:
    world = World()
    view = other_leads(world, 3 * SLICE_ROWS, 60)

    async def run() -> None:
        world.replica.leader_id, world.replica.term = 1, world.replica.term + 2
        world.lessor.look()
        world.replica.leader_id = 99
        await until_idle()
        assert (view.row_count, world.lessor.timed_count) == (SLICE_ROWS, 0)

    try:
        run_virtually(run())
    finally:
        world.replica.close()


def test_what_an_earlier_leader_wrote_down_late_shortens_no_lease(world: World) -> None:
    """Its request runs at a leader that has not taken over yet, behind a renewal."""
    ttl_s = round(10 * CHECKPOINT_S)
    world.grant(ttl_s)
    services = etcd.Services(
        world.replica, world.replica.store, limits=LIMITS, clock_s=lambda: world.now_s
    )
    txn = world.replica.store.begin()
    row = leases.name_of(1) + (100).to_bytes(8, "big")
    assert services.lessor.checkpoint(txn, row) == b""
    assert txn.is_empty


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["grant", "put", "put-free", "delete", "revoke", "txn"]),
            st.integers(1, 3),
            st.sampled_from([b"a", b"b", b"c"]),
        ),
        max_size=25,
    )
)
def test_keys_and_leases_always_name_each_other(steps: list[tuple[str, int, bytes]]) -> None:
    """The way back from a lease to its keys is what the keys say, whatever is done."""
    world = World()
    try:
        for what, lease_id, key in steps:
            match what:
                case "grant":
                    world.call("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=9, ID=lease_id))
                case "put":
                    world.call("KV/Put", pb.PutRequest(key=key, value=b"0", lease=lease_id))
                case "put-free":
                    world.call("KV/Put", pb.PutRequest(key=key, value=b"0*0"))
                case "delete":
                    world.call("KV/DeleteRange", pb.DeleteRangeRequest(key=key, range_end=b"c"))
                case "revoke":
                    world.call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease_id))
                case _:
                    puts = [pb.PutRequest(key=key, lease=lease_id), pb.PutRequest(key=b"z")]
                    operations = [pb.RequestOp(request_put=it) for it in puts]
                    world.call("KV/Txn", pb.TxnRequest(success=operations))
        answer = world.call("KV/Range", pb.RangeRequest(key=b"\0", range_end=b"\0"))
        assert answer.message is not None
        kvs = pb.RangeResponse.FromString(answer.message).kvs
        said = sorted(it.lease.to_bytes(8, "big") + it.key for it in kvs if it.lease)
        tree = world.replica.store.tree(LEASE_KEYS_TREE).id
        assert [row for row, _ in world.replica.view.iterate(tree)] == said
        assert {it.lease for it in kvs if it.lease} <= set(world.ids())
    finally:
        world.replica.close()
