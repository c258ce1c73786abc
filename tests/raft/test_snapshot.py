"""Snapshots are offered, fetched and put in place."""

from roost.raft import (
    Change,
    ChangeKind,
    Configuration,
    Core,
    CoreConfig,
    HardState,
    ProgressState,
    Snapshot,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    HeartbeatReply,
    SnapshotFailed,
    SnapshotOffer,
)
from roost.sim.cores.cores import CoreCluster, SeededDice
from roost.sim.cores.storage import MemoryStorage
from tests.raft.cores import answers, entry, follower_with, seeded

ADD, LEARN, REMOVE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE


OFFER = SnapshotOffer(2, 2, 10, 2, 0, Configuration(voters=(1, 2, 3)))


def test_a_peer_whose_entries_are_compacted_away_gets_a_snapshot() -> None:
    """Thesis §5: when it "has already discarded the next log entry that it needs to send".

    Checklist 92, 99, 100, 101, 102, 108.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    network.down.add(3)
    for number in range(10):
        network.propose(1, b"%d" % number)
    network.settle()
    network.nodes[1].compact(core.applied_index)
    network.down.discard(3)
    network.tick(1)
    for _ in range(8):  # until the peer was heard, probed, and is offered what it needs
        while network.flying:
            network.deliver(0)
        for node in network.nodes.values():
            network.persist(node)
    assert core.progress()[3].state is ProgressState.SNAPSHOT
    assert core.retained_index() == core.last_index + 1
    network.settle()
    assert network.nodes[3].applied == network.nodes[1].applied
    assert network.nodes[3].storage.floor_index == core.applied_index
    network.propose(1, b"and on")
    network.settle()
    assert core.progress()[3].state is ProgressState.REPLICATE
    assert network.nodes[3].core.last_index == core.last_index


def test_an_offer_is_handed_to_the_driver_once() -> None:
    """The same offer again is a reminder, not another fetch.

    Checklist 102.
    """
    core = follower_with([entry(1, 1)], 1)
    core.step(OFFER)
    core.step(OFFER)
    ready = core.take_ready()
    assert ready is not None
    assert ready.snapshot == Snapshot(index=10, term=2, sender=2, configuration=OFFER.configuration)
    core.persisted(ready)
    core.step(OFFER)
    assert core.take_ready() is None


def test_an_offer_of_what_the_log_holds_only_commits() -> None:
    """Thesis §5: then those "following the snapshot are still valid and must be retained".

    Checklist 102.
    """
    core = follower_with([entry(it, 2) for it in range(1, 13)], 2)
    core.step(OFFER)
    assert core.commit_index == 10
    assert core.last_index == 12
    assert answers(core) == [AppendAccepted(2, 1, 10)]
    core.step(SnapshotOffer(2, 2, 4, 2, 0, OFFER.configuration))
    assert answers(core) == [AppendAccepted(2, 1, 10)]


def test_an_offer_for_others_is_ignored() -> None:
    """In its configuration we would be nobody.

    Checklist 102.
    """
    core = follower_with([], 1)
    core.step(SnapshotOffer(2, 2, 10, 2, 0, Configuration(voters=(2, 3))))
    assert core.state.offered_snapshot is None


def test_a_restored_core_follows_from_there() -> None:
    """The log goes on behind the snapshot, in the configuration that was in force there.

    Checklist 60, 103, 104, 105.
    """
    storage = MemoryStorage([entry(it, 1) for it in range(1, 13)])
    core = Core(
        CoreConfig(id=1),
        dice=SeededDice(1),
        storage=storage,
        hard_state=HardState(1, 0),
        configuration=Configuration(voters=(1, 2, 3)),
        applied_index=0,
    )
    core.step(OFFER)
    ready = core.take_ready()
    assert ready is not None
    assert ready.snapshot is not None
    core.persisted(ready)
    assert core.may_restore(ready.snapshot)
    storage.begin_behind(10, 2)
    core.restore(ready.snapshot)
    assert (core.last_index, core.commit_index, core.applied_index) == (10, 10, 10)
    assert answers(core) == [AppendAccepted(2, 1, 10)]
    assert not core.may_restore(ready.snapshot)
    core.step(AppendEntries(2, 2, 10, 2, 11, (entry(11, 2),)))
    assert core.commit_index == 11


def test_a_failed_fetch_is_said_and_probed_after_a_heartbeat() -> None:
    """A failure pauses, or it would be tried as fast as it fails.

    Checklist 101.
    """
    core = follower_with([], 1)
    core.step(OFFER)
    ready = core.take_ready()
    assert ready is not None
    assert ready.snapshot is not None
    core.persisted(ready)
    core.snapshot_failed(ready.snapshot)
    assert SnapshotFailed(2, 1, 10) in answers(core)
    core.snapshot_failed(ready.snapshot)
    assert answers(core) == []
    core.step(OFFER)
    assert core.state.offered_snapshot == ready.snapshot


def test_the_leader_probes_again_after_a_failed_fetch() -> None:
    """What was never installed is no match point.

    Checklist 99, 101, 109.
    """
    network = seeded(1, 1)
    leader = network.nodes[1]
    leader.core.propose_change([Change(LEARN, 2)])
    while leader.core.progress().get(2) is None or leader.core.peers[2].offer is None:
        for node in network.nodes.values():
            network.collect(node)
            network.persist(node)
        network.deliver(0)
        network.tick(1)
    core = leader.core
    offered = core.peers[2].offer
    assert offered is not None
    assert core.retained_index() == offered.index + 1
    core.step(SnapshotFailed(core.term, 2, offered.index + 5, offered.session))
    assert core.progress()[2].state is ProgressState.SNAPSHOT
    core.step(SnapshotFailed(core.term, 2, offered.index, offered.session))
    assert core.progress()[2].state is ProgressState.PROBE
    assert not core.offer_snapshot(2, leader.snapshot())
    network.flying.clear()
    network.nodes[2].fetching = None
    network.nodes[2].restart()
    network.tick(1, 2)
    network.settle()
    assert network.nodes[2].applied == leader.applied


def test_a_silent_peer_is_made_no_snapshot_and_one_that_speaks_again_one() -> None:
    """To make one costs; for nobody it is not made.

    Checklist 99.
    """
    network = seeded(3, 1)
    network.down.add(3)
    core = network.nodes[1].core
    for _ in range(25):
        core.tick()
        core.step(HeartbeatReply(core.term, 2, 0))
        network.collect(network.nodes[1])
    network.flying.clear()
    network.propose(1, b"x")
    network.settle()
    network.nodes[1].compact(core.applied_index)
    core.peers[3].become_probe()
    core.peers[3].next_index = 2
    core.peers[3].match_index = 0
    network.propose(1, b"y")
    assert core.peers[3].state is ProgressState.SNAPSHOT
    assert core.peers[3].offer is None
    for _ in range(2):
        core.tick()
        core.step(HeartbeatReply(core.term, 3, 0))
    ready = core.take_ready()
    assert ready is not None
    assert list(ready.snapshots_wanted) == [3]
