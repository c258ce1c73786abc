"""Reads on their way, and how each of them ends."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from roost.raft import Role
from roost.raft.reads import Asked, Reads, Round, Rounds
from roost.sim.cores.cores import CoreCluster

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "deliver", "lose", "elect", "tick"]),
        st.integers(1, 3),
        st.integers(0, 5),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_read_is_answered_twice_and_none_that_was_heard_waits_for_ever(
    steps: list[tuple[str, int, int]],
) -> None:
    """Whatever is lost on the way, and whoever leads; the index covers what was committed then."""
    network = CoreCluster(3)
    network.elect(1)
    asked: dict[int, Counter[int]] = {node: Counter() for node in network.nodes}
    floor: dict[tuple[int, int], int] = {}
    newest = dict.fromkeys(network.nodes, 0)
    token = 0
    for what, node, which in steps:
        it = network.nodes[node]
        if what == "read":
            token += 1
            asked[node][token] += 1
            floor[node, token] = max(
                other.core.state.log.commit_index for other in network.nodes.values()
            )
            it.core.read_index(token)
            network.collect(it)
        elif what == "elect":
            it.core.campaign()
            network.collect(it)
        elif what == "tick":
            it.core.tick()
            network.collect(it)
        elif network.flying:
            if what == "lose":
                del network.flying[which % len(network.flying)]
            else:
                network.deliver(which % len(network.flying))
        for each, other in network.nodes.items():
            counted = other.core.state.reads.newest_token
            assert counted >= newest[each], "a token is never used again, in no later term"
            newest[each] = counted
    network.settle()
    for node, it in network.nodes.items():
        ended = Counter([read for read, _ in it.reads] + it.reads_failed)
        left = Counter(it.core.state.reads.asked)
        for number in asked[node]:
            assert ended[number] <= 1
        assert not set(ended) - set(asked[node])
        assert not set(ended) & set(left)
        for read, index in it.reads:
            assert index >= floor[node, read]


def test_whoever_asked_a_leader_that_is_gone_is_told_once() -> None:
    reads = Reads()
    reads.asked = [4, 5]
    reads.failed = [3]
    reads.fail_remote()
    assert reads.asked == []
    assert reads.take_failed() == [3, 4, 5]
    reads.fail_remote()
    assert reads.take_failed() == []


def test_a_follower_that_hears_of_another_leader_waits_for_nothing_of_the_one_before() -> None:
    """Thesis §6.4: the leader is "asked for a current readIndex", and this one leads no more.

    What it was asked fails, though its answer may come late.
    """
    network = CoreCluster(3)
    network.elect(1)
    network.settle()
    network.cut = {(1, 2), (2, 1), (1, 3), (3, 1)}
    network.nodes[2].core.read_index(7)
    network.collect(network.nodes[2])
    for _ in range(60):  # three election timeouts of the longest
        for node in (2, 3):
            network.tick(node)
            network.settle()
    assert Role.LEADER in {network.nodes[node].core.role for node in (2, 3)}
    assert network.nodes[2].reads_failed == [7]
    assert network.nodes[2].core.state.reads.asked == []


ASKED = st.builds(Asked, st.integers(1, 3), st.integers(1, 99))


@given(st.lists(ASKED), st.lists(ASKED))
def test_those_that_will_not_be_answered_are_all_that_wait(
    on_way: list[Asked], deferred: list[Asked]
) -> None:
    """Of each node, in the order in which it asked: rounds began before what is put off."""
    rounds = Rounds()
    rounds.on_way.extend(Round(100 + number, 5, it) for number, it in enumerate(on_way))
    rounds.deferred.extend(deferred)
    assert rounds.count == len(on_way) + len(deferred)
    for node in (1, 2, 3):
        waiting = [it.token for it in on_way + deferred if it.node == node]
        assert rounds.tokens_of(node) == waiting


def test_a_lease_that_was_ended_is_extended_by_no_round_on_its_way() -> None:
    rounds = Rounds(lease_end_s=9.0)
    rounds.sent.append((3, 8.0))
    rounds.end_lease()
    assert (rounds.lease_end_s, list(rounds.sent)) == (0.0, [])
