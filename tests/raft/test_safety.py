"""Random faults: whatever happens, what was committed stays; when it stops, work goes on."""

import pytest

from roost.raft import ProposalDropped, Role
from tests.raft.nodes import Network

STEPS = 4000


def test_the_storm_is_worth_its_name() -> None:
    """Faults that stop all work would prove nothing."""
    committed = terms = 0
    for seed in range(20):
        network = Network(3 if seed % 3 else 5, seed)
        for _ in range(STEPS):
            network.step_randomly()
            network.check()
        committed += len(network.committed)
        terms += len(network.leaders)
    assert committed > 600
    assert terms > 60


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_faults_never_break_a_promise_and_end_in_progress(seed: int) -> None:
    network = Network(3 if seed % 3 else 5, seed)
    for _ in range(STEPS):
        network.step_randomly()
        network.check()
    heal(network)
    before = max(len(node.applied) for node in network.nodes.values())
    leader = next(it for it in network.nodes.values() if it.core.role is Role.LEADER)
    network.propose(leader.id, b"after the storm")
    for _ in range(3):
        network.settle()
        network.tick(leader.id)
    network.settle()
    network.check()
    logs = [[(it.term, it.payload) for it in node.applied] for node in network.nodes.values()]
    assert all(log == logs[0] for log in logs)
    assert len(logs[0]) > before
    assert logs[0][-1][1] == b"after the storm"


def heal(network: Network) -> None:
    """Let everybody talk again and wait for a leader."""
    for node_id in list(network.down):
        network.down.discard(node_id)
        network.nodes[node_id].restart()
    network.cut.clear()
    for _ in range(200):
        network.settle()
        leaders = [it for it in network.nodes.values() if it.core.role is Role.LEADER]
        if len(leaders) == 1 and leaders[0].core.is_leader_ready:
            known = {it.core.leader_id for it in network.nodes.values()}
            if known == {leaders[0].id}:
                return
        for node_id in network.nodes:
            network.tick(node_id)
    raise AssertionError("no leader after everything healed")


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        network = Network(3, 99)
        for _ in range(STEPS):
            network.step_randomly()
        runs.append([(n.core.term, n.core.commit_index, n.applied) for n in network.nodes.values()])
    assert runs[0] == runs[1]


def test_a_reader_never_sees_less_than_was_committed_before_it_asked() -> None:
    for seed in range(20):
        network = Network(3, seed + 500)
        asked: dict[int, int] = {}
        token = 0
        for step in range(3000):
            network.step_randomly()
            if step % 50 == 0:
                highest = max(len(node.applied) for node in network.nodes.values())
                node = network.nodes[step // 50 % 3 + 1]
                if node.id not in network.down:
                    token += 1
                    asked[10**12 + token] = highest
                    node.core.read_index(10**12 + token)
                    network.collect(node)
        for node in network.nodes.values():
            for read_token, index in node.reads:
                if read_token in asked:
                    assert index >= asked[read_token], "a stale read"


def test_proposals_to_a_follower_are_dropped_with_the_reason() -> None:
    network = Network(3)
    with pytest.raises(ProposalDropped, match="no leader"):
        network.propose(1, b"x")
    network.elect(1)
    with pytest.raises(ProposalDropped, match="not leader"):
        network.propose(2, b"x")
