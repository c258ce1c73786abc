"""Replication: what a follower takes, what the leader counts, how far either goes."""

import pytest

from roost.raft import (
    Change,
    ChangeKind,
    Entry,
    HardState,
    ProgressState,
    Role,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    PreVoteReply,
    SnapshotFailed,
    VoteReply,
)
from roost.sim.cores.cores import CoreCluster
from roost.sim.cores.storage import MemoryStorage
from tests.raft.cores import answers, change, core_with, entry, follower_with, seeded

ADD, LEARN, REMOVE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE


def test_an_old_append_deletes_nothing() -> None:
    """Thesis Figure 3.1: it deletes only "if an existing entry conflicts with a new one".

    What an old message does not know of is no conflict.  Checklist 64, 66, 69, 74.
    """
    core = core_with([entry(1, 1), entry(2, 1), entry(3, 1)], 1)
    core.step(AppendEntries(1, 2, 0, 0, 0, (entry(1, 1),)))
    assert core.last_index == 3
    assert answers(core) == [AppendAccepted(1, 1, 1)]


def test_a_conflict_is_cut_from_where_it_begins() -> None:
    """Thesis §3.5: "delete any entries in the follower's log after that point".

    Checklist 66.
    """
    core = core_with([entry(1, 1), entry(2, 1), entry(3, 1)], 1)
    core.step(AppendEntries(2, 2, 1, 1, 0, (entry(2, 2, b"new"),)))
    ready = core.take_ready()
    assert ready is not None
    assert ready.entries == [entry(2, 2, b"new")]
    assert core.last_index == 2


def test_commit_stops_at_the_last_new_entry() -> None:
    """Thesis Figure 3.1: "set commitIndex = min(leaderCommit, index of last new entry)".

    Checklist 68.
    """
    core = core_with([entry(1, 1), entry(2, 1)], 1)
    core.step(AppendEntries(1, 2, 0, 0, 99, (entry(1, 1),)))
    assert core.commit_index == 1


def test_a_rejection_says_where_the_logs_may_agree() -> None:
    """Thesis §3.5: "the follower can include the term of the conflicting entry".

    Checklist 70.
    """
    core = core_with([entry(1, 1), entry(2, 3), entry(3, 3)], 3)
    core.step(AppendEntries(4, 2, 3, 2, 0))
    assert answers(core) == [AppendRejected(4, 1, 3, 1, 1)]


def test_entries_of_an_older_term_are_not_committed_by_count() -> None:
    """Thesis §3.6.2: "Raft never commits log entries from previous terms by counting replicas".

    Checklist 75; thesis Figure 3.7.
    """
    core = core_with([entry(1, 1), entry(2, 2)], 2)
    core.campaign()
    core.step(PreVoteReply(3, 2, is_granted=True))
    answers(core)
    core.step(VoteReply(3, 2, is_granted=True))
    assert core.role is Role.LEADER
    core.step(AppendAccepted(3, 2, 2))
    assert core.commit_index == 0
    answers(core)
    core.step(AppendAccepted(3, 2, 3))
    assert core.commit_index == 3


def test_the_leader_counts_itself_only_when_durable_but_may_commit_without_itself() -> None:
    """Thesis §10.2.1: it may "commit an entry before it has been written to its own disk".

    Checklist 76; J12.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    index = network.propose(1, b"x")
    core.step(AppendAccepted(core.term, 2, index))
    assert core.commit_index < index
    core.step(AppendAccepted(core.term, 3, index))
    assert core.commit_index == index


def test_a_full_window_pauses_and_an_answer_opens_it() -> None:
    """What a peer that does not answer may cost is bounded.

    Checklist 90, 91.
    """
    network = CoreCluster(3, inflight_count_max=2)
    core = network.elect(1)
    network.flying.clear()
    for number in range(5):
        network.propose(1, b"%d" % number)
    assert core.progress()[2].inflight_count == 2
    network.settle()
    assert core.progress()[2].match_index == core.last_index
    assert core.progress()[2].inflight_count == 0


def test_a_lost_link_goes_back_to_probing() -> None:
    """Whatever was sent ahead may be lost; what was accepted is not.

    Checklist 89.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    assert core.progress()[2].state is ProgressState.REPLICATE
    core.report_unreachable(2)
    progress = core.progress()[2]
    assert progress.state is ProgressState.PROBE
    assert progress.next_index == progress.match_index + 1


def test_a_follower_thousands_of_entries_off_is_found_in_a_few_rounds() -> None:
    """Thesis §3.5: "one AppendEntries RPC will be required for each term", not for each entry.

    Checklist 70, 88; requirement 68.
    """
    network = CoreCluster(3)
    ours = [entry(it, 1) for it in range(1, 2001)]
    theirs = ours[:1000] + [entry(it, 2) for it in range(1001, 3001)]
    network.nodes[1].storage.log = list(ours) + [entry(it, 3) for it in range(2001, 2101)]
    network.nodes[2].storage.log = list(theirs)
    for it in (1, 2, 3):
        network.nodes[it].hard_state = HardState(3, 0)
        network.nodes[it].restart()
    network.down = {3}
    core = network.nodes[1].core
    core.campaign()
    messages = 0
    for _ in range(200):
        network.collect(network.nodes[1])
        network.persist(network.nodes[1])
        network.collect(network.nodes[2])
        network.persist(network.nodes[2])
        if not network.flying:
            break
        messages += 1
        network.deliver(0)
    assert network.nodes[2].core.last_index == core.last_index
    assert messages < 40


def test_what_followers_were_told_is_known_to_the_leader() -> None:
    """With `eager_commit` off a commit is told with the next message, and the leader knows to whom.

    Checklist 78.
    """
    network = CoreCluster(3, eager_commit=False)
    leader = network.elect(1)
    network.propose(1, b"x")
    network.settle()
    assert leader.announced_index < leader.commit_index
    leader.announce_commit()
    network.settle()
    assert leader.announced_index == leader.commit_index
    follower = network.nodes[2].core
    follower.announce_commit()
    assert follower.announced_index == follower.commit_index == leader.commit_index


def test_news_of_a_lost_link_matters_only_where_entries_are_sent_ahead() -> None:
    """A probe waits for one answer anyhow.

    Checklist 89.
    """
    network = CoreCluster(3)
    leader = network.elect(1)
    leader.report_unreachable(9)
    leader.report_unreachable(2)
    before = leader.progress()[2]
    leader.report_unreachable(2)
    assert leader.progress()[2] == before
    assert before.state is ProgressState.PROBE


def test_answers_of_an_earlier_session_vouch_for_nothing() -> None:
    """The node of that name may have begun again with an empty disk.

    Checklist 96; raft #349.
    """
    network = seeded(3, 1)
    core = network.nodes[1].core
    change(network, Change(REMOVE, 3))
    network.down.add(3)
    core.propose_change([Change(ADD, 3)])
    network.settle()
    session = core.peers[3].session
    assert session > 0
    late = core.last_index
    core.step(AppendAccepted(core.term, 3, late, 0))
    core.step(AppendHeld(core.term, 3, late, 0))
    core.step(SnapshotFailed(core.term, 3, late, 0))
    assert core.progress()[3].match_index == 0
    core.step(AppendAccepted(core.term, 3, 1, session))
    assert core.progress()[3].match_index == 1


def test_a_follower_that_cannot_apply_takes_no_more_than_its_memory_allows() -> None:
    """It takes a prefix, and says so; the rest comes when there is room.

    Checklist 98; scylla #31402.
    """
    core = follower_with(
        [],
        1,
        cache_bytes_max=100,
        message_bytes_max=100,
        tail_bytes_max=250,
        inflight_bytes_max=100,
    )
    core.step(AppendEntries(1, 2, 0, 0, 2, (entry(1, 1, bytes(100)), entry(2, 1, bytes(100)))))
    assert answers(core) == [AppendAccepted(1, 1, 2)]  # committed, handed out, not applied
    core.step(AppendEntries(1, 2, 2, 1, 2, (entry(3, 1, bytes(40)), entry(4, 1, bytes(40)))))
    assert answers(core) == [AppendHeld(1, 1, 3)]
    core.applied(2)
    core.step(AppendEntries(1, 2, 3, 1, 2, (entry(4, 1, bytes(40)),)))
    assert answers(core) == [AppendAccepted(1, 1, 4)]


def test_the_leader_waits_for_a_heartbeat_before_it_sends_to_a_full_follower() -> None:
    """To send again at once what was not taken would be to spin.

    Checklist 98.
    """
    network = seeded(3, 1)
    core = network.nodes[1].core
    first = network.propose(1, b"a")
    network.settle()
    network.propose(1, b"b")
    network.flying.clear()
    core.step(AppendHeld(core.term, 2, first))
    network.collect(network.nodes[1])
    assert network.flying == []
    assert core.progress()[2].state is ProgressState.PROBE
    network.tick(1)
    network.settle()
    assert network.nodes[2].core.last_index == core.last_index


def test_entries_for_which_there_is_no_memory_are_sent_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer is behind, what it lacks is on the disk, and a page of it is more than there is."""
    network = seeded(cache_bytes_max=1)
    network.down = {3}
    for number in range(5):
        network.propose(1, b"%d" % number)
    network.settle()
    asked: list[int] = []

    def starve(
        _storage: MemoryStorage, first: int, _stop: int, _bytes_max: int
    ) -> tuple[Entry, ...]:
        asked.append(first)
        raise MemoryError

    leader = network.nodes[1].core
    network.down = set()
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStorage, "entries", starve)
        network.tick(1)
        network.settle()
    assert asked
    assert leader.role is Role.LEADER
    assert leader.progress()[3].match_index < leader.last_index
    network.tick(1)
    network.settle()
    assert leader.progress()[3].match_index == leader.last_index
