"""Every way to cut links: whoever reaches a majority both ways gets a leader (etcd #8129).

The bridge patterns of openraft #2080 are among them.
"""

from itertools import combinations, permutations

import pytest

from roost.raft import Role
from roost.sim.cores.cores import CoreCluster

ELECTION_TICKS = 10
DEADLINE_TICKS = 10 * ELECTION_TICKS


def can_reach_majority(network: CoreCluster, node: int) -> bool:
    """Whether a node talks both ways with a majority, itself included."""
    others = [it for it in network.nodes if it != node]
    reached = [it for it in others if not {(node, it), (it, node)} & network.cut]
    return len(reached) + 1 > len(network.nodes) // 2


def leads_in_time(network: CoreCluster) -> bool:
    """Tick everybody until somebody leads that a majority follows, both ways."""
    for _ in range(DEADLINE_TICKS):
        for node_id in network.nodes:
            network.tick(node_id)
        network.settle()
        network.check()
        for node in network.nodes.values():
            if node.core.role is Role.LEADER and can_reach_majority(network, node.id):
                return True
    return False


def judge(size: int, cut: set[tuple[int, int]], first_leader: int) -> None:
    network = CoreCluster(size, seed=first_leader)
    network.elect(first_leader)
    network.cut = cut
    somebody_can = any(can_reach_majority(network, node) for node in network.nodes)
    if not somebody_can:
        return
    assert leads_in_time(network), f"no leader with {sorted(cut)} cut"
    # A leader that nobody follows any more is not one for long.
    for _ in range(3 * ELECTION_TICKS):
        for node_id in network.nodes:
            network.tick(node_id)
        network.settle()
    leaders = [it for it in network.nodes.values() if it.core.role is Role.LEADER]
    assert [it for it in leaders if can_reach_majority(network, it.id)]


@pytest.mark.slow
@pytest.mark.parametrize("first_leader", [1, 2, 3])
def test_all_64_directed_patterns_of_three(first_leader: int) -> None:
    """A leader that cannot hear a quorum stops, and is silent, so that others can elect.

    Checklist 46, 52.
    """
    links = list(permutations((1, 2, 3), 2))
    for pattern in range(1 << len(links)):
        cut = {link for place, link in enumerate(links) if pattern >> place & 1}
        judge(3, cut, first_leader)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_all_1024_undirected_patterns_of_five(part: int) -> None:
    pairs = list(combinations((1, 2, 3, 4, 5), 2))
    for pattern in range(part, 1 << len(pairs), 4):
        chosen = [pair for place, pair in enumerate(pairs) if pattern >> place & 1]
        cut = {link for a, b in chosen for link in ((a, b), (b, a))}
        judge(5, cut, 1 + pattern % 5)
