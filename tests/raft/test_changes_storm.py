"""Random faults while members come, go, catch up by snapshots and hand leadership over."""

import random

import pytest

from roost.raft import ChangeRefused, EntryKind, ProposalDropped, Role
from tests.raft.nodes import Network

STEPS = 10_000


def options_of(seed: int) -> dict[str, int]:
    """Settings that make rare paths common, some of them with each seed."""
    dice = random.Random(seed)
    options: dict[str, int] = {}
    for part, changes in (
        (0.3, {"pre_vote": False}),
        (0.3, {"check_quorum": False}),
        (0.5, {"eager_commit": False}),
        (0.3, {"message_bytes_max": 20, "inflight_bytes_max": 60, "inflight_count_max": 2}),
        (0.3, {"apply_bytes_max": 15}),
        (0.3, {"cache_bytes_max": 10, "tail_bytes_max": 50, "message_bytes_max": 20}),
    ):
        if dice.random() < part:
            options |= changes
    return options


def storm(seed: int) -> Network:
    dice = random.Random(seed)
    size = dice.choice((1, 2, 3, 3, 3, 4, 5))
    network = Network(size, seed, joiners=dice.choice((1, 2, 3)), **options_of(seed))  # type: ignore[arg-type]  # settings of a core
    for _ in range(STEPS):
        network.step_randomly()
        network.check()
    return network


def heal(network: Network) -> Network:
    """Everything talks again; wait until every member of the last configuration is even."""
    for node_id in sorted(network.down):
        network.down.discard(node_id)
        network.nodes[node_id].restart()
    network.cut.clear()
    for _ in range(400):
        network.settle()
        network.check()
        leaders = [it for it in network.nodes.values() if it.core.role is Role.LEADER]
        newest = [it for it in leaders if it.core.is_leader_ready]
        for node in newest:
            members = node.configuration.all_nodes()
            logs = [network.nodes[it].applied for it in members]
            if all(log == node.applied for log in logs) and not node.configuration.is_joint:
                return network
            if node.configuration.is_joint:
                try:
                    node.core.propose_leave()
                except (ProposalDropped, ChangeRefused):
                    pass
        for node_id in network.nodes:
            network.tick(node_id)
    raise AssertionError("no even cluster after everything healed")


def test_the_storm_is_worth_its_name() -> None:
    changes = joint = restored = terms = 0
    for seed in range(12):
        network = storm(seed)
        changes += len([it for node in network.nodes.values() for it in node.configurations[1:]])
        joint += len([c for n in network.nodes.values() for c in n.configurations if c.is_joint])
        restored += len([it for it in network.nodes.values() if it.storage.floor_index > 5])
        terms += len(network.leaders)
    assert changes > 100
    assert joint > 30
    assert restored > 10
    assert terms > 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_changes_under_faults_never_break_a_promise_and_end_in_progress(seed: int) -> None:
    network = heal(storm(seed))
    leader = next(it for it in network.nodes.values() if it.core.is_leader_ready)
    for _ in range(2):
        network.tick(leader.id, 10)  # a transfer under way ends
        network.settle()
    network = heal(network)
    leader = next(it for it in network.nodes.values() if it.core.is_leader_ready)
    network.propose(leader.id, b"after the storm")
    network.settle()
    network.tick(leader.id, 2)
    network.settle()
    network.check()
    for node_id in leader.configuration.all_nodes():
        applied = network.nodes[node_id].applied
        assert applied == leader.applied
        assert applied[-1].kind is EntryKind.NORMAL
        assert applied[-1].payload == b"after the storm"
