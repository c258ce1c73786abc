"""The face of a core: how it starts, what it refuses, what a Ready brings."""

import pytest

from roost.raft import (
    BadCoreConfig,
    Configuration,
    Core,
    CoreConfig,
    CorruptState,
    DropReason,
    HardState,
    ProposalDropped,
    Role,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    Heartbeat,
)
from roost.sim.cores.cores import CoreCluster, SeededDice
from roost.sim.cores.storage import MemoryStorage
from tests.raft.cores import core_with, entry


@pytest.mark.parametrize(
    "options",
    [
        {"id": 0},
        {"id": 2**64},
        {"id": 1, "heartbeat_ticks": 0},
        {"id": 1, "election_ticks": 1},
        {"id": 1, "inflight_count_max": 0},
        {"id": 1, "inflight_bytes_max": 10},
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, int]) -> None:
    """Settings that contradict each other are refused before there is a core.

    Checklist 1, 2.
    """
    with pytest.raises(BadCoreConfig):
        CoreConfig(**options)  # type: ignore[arg-type]  # the point of the test


def test_a_log_that_does_not_reach_the_applied_index_is_corruption() -> None:
    """What was applied was in the log, and durable; if it is not there now, a disk is wrong.

    Checklist 4, 5.
    """
    with pytest.raises(CorruptState):
        Core(
            CoreConfig(id=1),
            dice=SeededDice(1),
            storage=MemoryStorage([entry(1, 1)]),
            hard_state=HardState(1, 0),
            configuration=Configuration(voters=(1,)),
            applied_index=2,
        )


def test_a_clean_restart_says_nothing() -> None:
    """Thesis §3.4: "When servers start up, they begin as followers."

    Checklist 6.
    """
    core = core_with([entry(1, 1)], 1)
    assert (core.role, core.leader_id) == (Role.FOLLOWER, 0)
    assert core.take_ready() is None


def test_committed_entries_wait_until_they_are_durable_here() -> None:
    """A state machine ahead of its own log could not start again after a crash.

    Checklist 143.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    node = network.nodes[1]
    index = network.propose(1, b"x")
    for peer in (2, 3):
        core.step(AppendAccepted(core.term, peer, index))
    network.collect(node)
    assert node.applied[-1].index < index
    network.persist(node)
    assert node.applied[-1].index == index


def test_uncommitted_bytes_are_bounded_and_counted_down() -> None:
    """A leader that no quorum follows refuses, and does not fill its memory.

    Checklist 137, 138.
    """
    network = CoreCluster(3, uncommitted_bytes_max=100)
    core = network.elect(1)
    network.flying.clear()
    network.propose(1, bytes(300))  # the first may be larger than the bound
    with pytest.raises(ProposalDropped) as caught:
        network.propose(1, b"x")
    assert caught.value.reason is DropReason.LOG_FULL
    for peer in (2, 3):
        core.step(AppendAccepted(core.term, peer, core.last_index))
    network.settle()
    assert core.uncommitted_bytes == 0
    network.propose(1, b"x")


def test_applying_is_paced_by_bytes() -> None:
    """How much is handed out is bounded, and says nothing about what is committed.

    Checklist 139.
    """
    network = CoreCluster(1, apply_bytes_max=10)
    core = network.elect(1)
    for _ in range(4):
        core.propose(bytes(8))
    handed: list[int] = []
    while (ready := core.take_ready()) is not None:
        core.persisted(ready)
        handed += [it.index for it in ready.committed]
    assert len(handed) < 4
    while core.applied_index < core.commit_index:
        core.applied(handed[-1])
        ready = core.take_ready()
        if ready is not None:
            core.persisted(ready)
            handed += [it.index for it in ready.committed]
    assert handed == list(range(2, 6))
    assert core.unapplied_bytes == 0


def test_an_old_write_does_not_vouch_for_a_newer_entry() -> None:
    """Checklist 59, 144: the ABA of truncation and rewriting."""
    core = core_with([], 1)
    core.step(AppendEntries(1, 2, 0, 0, 0, (entry(1, 1), entry(2, 1))))
    first = core.take_ready()
    core.step(AppendEntries(2, 3, 0, 0, 0, (entry(1, 2),)))
    second = core.take_ready()
    assert first is not None and second is not None
    core.persisted(first)
    assert core.log.durable_index == 0
    core.persisted(second)
    assert core.log.durable_index == 1


def test_forgetting_the_leader_changes_neither_term_nor_timer() -> None:
    """A wrong guess must cost nothing that was promised.

    Checklist 50.
    """
    core = core_with([], 4)
    core.step(Heartbeat(4, 2, 0, 0))
    core.tick()
    core.forget_leader()
    assert (core.leader_id, core.term, core.state.elapsed_ticks) == (0, 4, 1)


def test_memory_for_the_tail_must_hold_the_cache_and_a_message() -> None:
    with pytest.raises(BadCoreConfig, match="tail_bytes_max"):
        CoreConfig(id=1, tail_bytes_max=10, cache_bytes_max=5, message_bytes_max=6)


def test_a_leader_forgets_itself_as_little_as_its_term() -> None:
    """It hears itself at any time.

    Checklist 50.
    """
    network = CoreCluster(3)
    leader = network.elect(1)
    leader.forget_leader()
    assert leader.leader_id == 1


def test_hard_state_goes_out_only_when_it_changed() -> None:
    """Each one is a write that somebody waits for.

    Checklist 140.
    """
    core = core_with([entry(1, 1)], 1)
    core.step(Heartbeat(1, 2, 0, 0))
    ready = core.take_ready()
    assert ready is not None
    assert ready.hard_state is None
    core.step(Heartbeat(2, 2, 1, 0))
    ready = core.take_ready()
    assert ready is not None
    assert ready.hard_state == HardState(2, 0)
    core.step(Heartbeat(2, 2, 1, 0))
    ready = core.take_ready()
    assert ready is not None
    assert ready.hard_state is None
