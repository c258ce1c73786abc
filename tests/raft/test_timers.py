"""What time does to a core."""

from roost.raft import (
    Configuration,
    Core,
    CoreConfig,
    HardState,
    Role,
)
from roost.raft.messages import (
    HeartbeatReply,
)
from roost.sim.cores.cores import CoreCluster, SeededDice
from roost.sim.cores.storage import MemoryStorage


def test_timeouts_are_uniform_from_t_to_2t_minus_1() -> None:
    """Thesis §3.4: "election timeouts are chosen randomly from a fixed interval".

    Checklist 3.
    """
    drawn = set()
    for seed in range(300):
        core = Core(
            CoreConfig(id=1),
            dice=SeededDice(seed),
            storage=MemoryStorage(),
            hard_state=HardState(),
            configuration=Configuration(voters=(1, 2, 3)),
            applied_index=0,
        )
        drawn.add(core.state.election_timeout_ticks)
    assert drawn == set(range(10, 20))


def test_silence_is_counted_at_followers_until_the_leader_is_heard() -> None:
    network = CoreCluster(3)
    leader = network.elect(1)
    follower = network.nodes[2].core
    network.down = {1}
    network.tick(2, 3)
    assert (leader.silent_ticks, follower.silent_ticks) == (0, 3)
    network.down = set()
    network.tick(1, 1)
    network.settle()
    assert follower.silent_ticks == 0


def test_a_leader_without_a_quorum_steps_down() -> None:
    """Thesis §6.2: it "steps down if an election timeout elapses without a successful round".

    Checklist 46.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    network.down = {2, 3}
    network.tick(1, 21)
    assert core.role is not Role.LEADER
    assert core.leader_id == 0


def test_a_leader_whose_disk_stalls_steps_down() -> None:
    """Heartbeats without a disk would keep those who have one from leading.

    Checklist 53.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    network.propose(1, b"stuck")
    for _ in range(40):
        core.tick()
        network.collect(network.nodes[1])
        for peer in (2, 3):
            if core.role is Role.LEADER:
                core.step(HeartbeatReply(core.term, peer, 0))
    assert core.role is not Role.LEADER


def test_a_peer_was_heard_once_it_answered_and_not_for_long() -> None:
    """Peers count as active after an election and between two looks; that is no sign of life."""
    cluster = CoreCluster(3)
    core = cluster.elect(1)
    assert core.was_heard(1)
    assert core.was_heard(2)
    assert not core.was_heard(4)
    assert not cluster.nodes[2].core.was_heard(1), "only a leader hears"
    cluster.cut |= {(3, 1)}
    for _ in range(core.config.election_ticks):
        cluster.tick(1)
        cluster.settle()
    assert core.was_heard(2)
    assert core.was_heard(3)
    cluster.tick(1)
    cluster.settle()
    assert core.was_heard(2)
    assert not core.was_heard(3)


def test_after_an_election_nobody_was_heard_who_said_nothing() -> None:
    cluster = CoreCluster(3)
    cluster.crash(3)
    core = cluster.elect(1)
    assert core.peers[3].is_active
    assert core.was_heard(2)
    assert not core.was_heard(3)
