"""Random faults while members come, go, catch up by snapshots and hand leadership over."""

import pytest

from roost.raft import ChangeRefused, EntryKind, ProposalDropped, Role
from tests.raft.nodes import Network

STEPS = 20_000


def storm(seed: int) -> Network:
    network = Network(3 if seed % 2 else 1 + seed % 5, seed, joiners=3)
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
