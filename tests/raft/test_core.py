"""Claims of the checklist, one a test; the number is in the docstring."""

import pytest

from roost.errors import DeviceFault
from roost.raft import (
    BadCoreConfig,
    Change,
    ChangeKind,
    Configuration,
    Core,
    CoreConfig,
    CorruptState,
    DropReason,
    Entry,
    EntryKind,
    HardState,
    LogLost,
    Message,
    ProgressState,
    ProposalDropped,
    Role,
    codec,
    read_index,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    PreVoteRequest,
    ReadIndexReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from roost.sim.cores.cores import CoreCluster, MemoryStorage, SeededDice


def entry(index: int, term: int, payload: bytes = b"") -> Entry:
    return Entry(index, term, EntryKind.NORMAL, payload)


def core_with(log: list[Entry], term: int, *, voters: tuple[int, ...] = (1, 2, 3)) -> Core:
    storage = MemoryStorage(log)
    return Core(
        CoreConfig(id=1),
        dice=SeededDice(1),
        storage=storage,
        hard_state=HardState(term, 0),
        configuration=Configuration(voters=voters),
        applied_index=0,
    )


def answers(core: Core) -> list[object]:
    """Everything the core says, its disk being instant."""
    said: list[object] = []
    while (ready := core.take_ready()) is not None:
        said += [message for _, message in ready.messages]
        core.persisted(ready)
        said += [message for _, message in ready.messages_after_persist]
    return said


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
    """Checklist 1, 2."""
    with pytest.raises(BadCoreConfig):
        CoreConfig(**options)  # type: ignore[arg-type]  # the point of the test


def test_timeouts_are_uniform_from_t_to_2t_minus_1() -> None:
    """Checklist 3."""
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


def test_a_log_that_does_not_reach_the_applied_index_is_corruption() -> None:
    """Checklist 4, 5."""
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
    """Checklist 6."""
    core = core_with([entry(1, 1)], 1)
    assert (core.role, core.leader_id) == (Role.FOLLOWER, 0)
    assert core.take_ready() is None


def test_who_is_in_no_configuration_never_campaigns() -> None:
    """Checklist 8."""
    core = core_with([], 0, voters=(2, 3))
    for _ in range(50):
        core.tick()
    core.campaign()
    assert core.role is not Role.LEADER
    assert core.take_ready() is None


def test_a_pre_vote_changes_neither_term_nor_timer() -> None:
    """Checklist 13, 30, 45."""
    core = core_with([], 3)
    core.tick()
    core.step(PreVoteRequest(9, 2, 0, 0))
    assert (core.term, core.vote, core.state.elapsed_ticks) == (3, 0, 1)
    assert answers(core) == [PreVoteReply(9, 1, is_granted=True)]


def test_a_rejected_pre_vote_with_a_higher_term_is_believed() -> None:
    """Checklist 13."""
    core = core_with([], 3)
    core.campaign()
    core.step(PreVoteReply(7, 2, is_granted=False))
    assert (core.role, core.term) == (Role.FOLLOWER, 7)


def test_a_stale_leader_learns_the_newer_term() -> None:
    """Checklist 15."""
    core = core_with([], 5)
    core.step(Heartbeat(3, 2, 0, 0))
    assert answers(core) == [HeartbeatReply(5, 1, 0)]
    assert core.leader_id == 0


def test_a_lower_pre_vote_is_answered_with_our_term() -> None:
    """Checklist 16."""
    core = core_with([], 5)
    core.step(PreVoteRequest(3, 2, 9, 3))
    assert answers(core) == [PreVoteReply(5, 1, is_granted=False)]


def test_one_vote_a_term_but_again_for_the_same_candidate() -> None:
    """Checklist 21, 29."""
    core = core_with([], 1)
    for sender, granted in [(2, True), (3, False), (2, True)]:
        core.step(VoteRequest(2, sender, 0, 0))
        assert answers(core) == [VoteReply(2, 1, granted)]


@pytest.mark.parametrize(
    ("last_term", "last_index", "granted"),
    [(1, 9, False), (2, 1, False), (2, 2, True), (3, 1, True)],
)
def test_votes_go_to_logs_at_least_as_new(
    last_term: int, last_index: int, *, granted: bool
) -> None:
    """Checklist 29, 62."""
    """Checklist 29, 62."""
    core = core_with([entry(1, 2), entry(2, 2)], 2)
    core.step(VoteRequest(5, 2, last_index, last_term))
    assert answers(core) == [VoteReply(5, 1, granted)]


def test_a_vote_leaves_only_after_it_is_durable() -> None:
    """Checklist 27, 73; J11."""
    core = core_with([], 1)
    core.step(VoteRequest(2, 2, 0, 0))
    ready = core.take_ready()
    assert ready is not None
    assert ready.hard_state == HardState(2, 2)
    assert ready.messages == []
    assert ready.messages_after_persist == [(2, VoteReply(2, 1, is_granted=True))]


def test_our_own_vote_counts_only_when_durable() -> None:
    """Checklist 27."""
    network = CoreCluster(3)
    core = network.nodes[1].core
    core.campaign()
    network.collect(network.nodes[1])
    core.step(PreVoteReply(1, 2, is_granted=True))
    network.collect(network.nodes[1])
    core.step(VoteReply(1, 2, is_granted=True))
    assert core.role.name == "CANDIDATE"
    network.persist(network.nodes[1])
    assert core.role.name == "LEADER"


def test_who_hears_a_leader_ignores_candidates() -> None:
    """Checklist 33."""
    core = core_with([], 1)
    core.step(Heartbeat(1, 2, 0, 0))
    answers(core)
    core.step(VoteRequest(9, 3, 5, 5))
    core.step(PreVoteRequest(9, 3, 5, 5))
    assert core.term == 1
    assert answers(core) == []
    for _ in range(10):
        core.state.elapsed_ticks += 1
    core.step(VoteRequest(9, 3, 5, 5))
    assert core.term == 9


def test_a_transfer_bypasses_the_lease() -> None:
    """Checklist 33, 121."""
    core = core_with([], 1)
    core.step(Heartbeat(1, 2, 0, 0))
    core.step(VoteRequest(2, 3, 0, 0, is_transfer=True))
    assert VoteReply(2, 1, is_granted=True) in answers(core)


def test_the_first_answer_of_a_voter_counts() -> None:
    """Checklist 34."""
    network = CoreCluster(5)
    core = network.nodes[1].core
    core.campaign()
    assert core.role is Role.PRE_CANDIDATE
    core.step(PreVoteReply(core.term, 2, is_granted=False))
    for _ in range(3):
        core.step(PreVoteReply(core.term + 1, 2, is_granted=True))
    assert core.state.votes == {1: True, 2: False}
    assert core.role is Role.PRE_CANDIDATE


def test_a_new_leader_appends_an_empty_entry_of_its_term() -> None:
    """Checklist 36."""
    network = CoreCluster(3)
    network.elect(2)
    assert network.nodes[2].applied[0].kind is EntryKind.EMPTY


def test_a_single_voter_leads_without_a_network() -> None:
    """Checklist 39."""
    network = CoreCluster(1)
    core = network.elect(1)
    index = network.propose(1, b"x")
    network.settle()
    assert core.commit_index == index


def test_a_leader_without_a_quorum_steps_down() -> None:
    """Checklist 46."""
    network = CoreCluster(3)
    core = network.elect(1)
    network.down = {2, 3}
    network.tick(1, 21)
    assert core.role is not Role.LEADER
    assert core.leader_id == 0


def test_a_leader_whose_disk_stalls_steps_down() -> None:
    """Checklist 53."""
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


def test_an_old_append_deletes_nothing() -> None:
    """Checklist 64, 66, 69, 74."""
    core = core_with([entry(1, 1), entry(2, 1), entry(3, 1)], 1)
    core.step(AppendEntries(1, 2, 0, 0, 0, (entry(1, 1),)))
    assert core.last_index == 3
    assert answers(core) == [AppendAccepted(1, 1, 1)]


def test_a_conflict_is_cut_from_where_it_begins() -> None:
    """Checklist 66."""
    core = core_with([entry(1, 1), entry(2, 1), entry(3, 1)], 1)
    core.step(AppendEntries(2, 2, 1, 1, 0, (entry(2, 2, b"new"),)))
    ready = core.take_ready()
    assert ready is not None
    assert ready.entries == [entry(2, 2, b"new")]
    assert core.last_index == 2


def test_commit_stops_at_the_last_new_entry() -> None:
    """Checklist 68."""
    core = core_with([entry(1, 1), entry(2, 1)], 1)
    core.step(AppendEntries(1, 2, 0, 0, 99, (entry(1, 1),)))
    assert core.commit_index == 1


def test_a_rejection_says_where_the_logs_may_agree() -> None:
    """Checklist 70."""
    core = core_with([entry(1, 1), entry(2, 3), entry(3, 3)], 3)
    core.step(AppendEntries(4, 2, 3, 2, 0))
    assert answers(core) == [AppendRejected(4, 1, 3, 1, 1)]


def test_a_leader_that_counts_on_lost_entries_is_told_so() -> None:
    """Checklist 71."""
    core = core_with([entry(1, 1)], 1)
    with pytest.raises(LogLost) as raised:
        core.step(Heartbeat(1, 2, 5, 0))
    assert isinstance(raised.value, DeviceFault), "our own disk's fault, not the leader's"


def test_entries_of_an_older_term_are_not_committed_by_count() -> None:
    """Checklist 75; thesis Figure 3.7."""
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
    """Checklist 76; J12."""
    network = CoreCluster(3)
    core = network.elect(1)
    index = network.propose(1, b"x")
    core.step(AppendAccepted(core.term, 2, index))
    assert core.commit_index < index
    core.step(AppendAccepted(core.term, 3, index))
    assert core.commit_index == index


def test_committed_entries_wait_until_they_are_durable_here() -> None:
    """Checklist 143."""
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


def test_a_heartbeat_answer_never_raises_the_match() -> None:
    """Checklist 82."""
    network = CoreCluster(3)
    core = network.elect(1)
    network.propose(1, b"x")
    before = core.progress()[2].match_index
    core.step(HeartbeatReply(core.term, 2, 0))
    assert core.progress()[2].match_index == before


def test_a_full_window_pauses_and_an_answer_opens_it() -> None:
    """Checklist 90, 91."""
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
    """Checklist 89."""
    network = CoreCluster(3)
    core = network.elect(1)
    assert core.progress()[2].state is ProgressState.REPLICATE
    core.report_unreachable(2)
    progress = core.progress()[2]
    assert progress.state is ProgressState.PROBE
    assert progress.next_index == progress.match_index + 1


def test_a_follower_thousands_of_entries_off_is_found_in_a_few_rounds() -> None:
    """Checklist 70, 88; requirement 68."""
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


def test_a_peer_whose_entries_are_compacted_away_gets_a_snapshot() -> None:
    """Checklist 92, 99, 100, 101, 102, 108."""
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


def test_uncommitted_bytes_are_bounded_and_counted_down() -> None:
    """Checklist 137, 138."""
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
    """Checklist 139."""
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
    assert core.log.stable_index == 0
    core.persisted(second)
    assert core.log.stable_index == 1


def test_reads_before_the_first_commit_of_the_term_wait_for_it() -> None:
    """Checklist 111."""
    network = CoreCluster(3)
    node = network.nodes[1]
    network.cut = {(1, 2), (1, 3)}
    node.core.campaign()
    network.cut.clear()
    node.core.step(PreVoteReply(1, 2, is_granted=True))
    network.collect(node)
    network.persist(node)
    node.core.step(VoteReply(1, 2, is_granted=True))
    assert node.core.role is Role.LEADER
    node.core.read_index(7)
    network.collect(node)
    assert node.reads == []
    network.settle()
    assert node.reads == [(7, 1)]


def test_a_follower_reads_through_the_leader() -> None:
    """Checklist 116."""
    network = CoreCluster(3)
    network.elect(1)
    index = network.propose(1, b"x")
    network.settle()
    network.nodes[2].core.read_index(5)
    network.settle()
    assert network.nodes[2].reads == [(5, index)]


def test_reads_on_their_way_fail_when_the_leader_changes() -> None:
    """Checklist 116."""
    network = CoreCluster(3)
    core = network.elect(1)
    network.down = {2, 3}
    core.read_index(5)
    network.tick(1, 21)
    network.collect(network.nodes[1])
    assert network.nodes[1].reads_failed == [5]


def test_forgetting_the_leader_changes_neither_term_nor_timer() -> None:
    """Checklist 50."""
    core = core_with([], 4)
    core.step(Heartbeat(4, 2, 0, 0))
    core.tick()
    core.forget_leader()
    assert (core.leader_id, core.term, core.state.elapsed_ticks) == (0, 4, 1)


def test_memory_for_the_tail_must_hold_the_cache_and_a_message() -> None:
    with pytest.raises(BadCoreConfig, match="tail_bytes_max"):
        CoreConfig(id=1, tail_bytes_max=10, cache_bytes_max=5, message_bytes_max=6)


def test_heartbeats_are_as_rare_as_they_are_set() -> None:
    network = CoreCluster(3, heartbeat_ticks=3)
    network.elect(1)
    network.tick(1, 2)
    assert network.flying == []
    network.tick(1)
    assert len(network.flying) == 2


def test_only_a_leader_has_progress_and_a_successor() -> None:
    network = CoreCluster(3)
    assert network.nodes[1].core.progress() == {}
    assert network.nodes[1].core.best_successor() == 0
    leader = network.elect(1)
    assert set(leader.progress()) == {1, 2, 3}
    assert leader.is_leader_ready
    assert not network.nodes[2].core.is_leader_ready
    assert leader.best_successor() == 2
    network.cut = {(1, 2)}
    network.propose(1, b"x")
    network.settle()
    assert leader.best_successor() == 3


def test_a_leader_that_nobody_can_follow_steps_down_without_a_successor() -> None:
    """Checklist 132."""
    network = CoreCluster(2, joiners=1)
    leader = network.elect(1)
    leader.propose_change([Change(ChangeKind.REMOVE, 1)])
    network.collect(network.nodes[1])
    network.persist(network.nodes[1])
    leader.report_unreachable(2)
    network.nodes[1].core.step(AppendAccepted(leader.term, 2, leader.last_index))
    leader.report_unreachable(2)
    network.flying.clear()
    network.collect(network.nodes[1])
    assert leader.role is Role.FOLLOWER
    assert not [it for it in network.flying if isinstance(codec.decode(it[2]), TimeoutNow)]


def test_what_followers_were_told_is_known_to_the_leader() -> None:
    """Checklist 78."""
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
    """Checklist 89."""
    network = CoreCluster(3)
    leader = network.elect(1)
    leader.report_unreachable(9)
    leader.report_unreachable(2)
    before = leader.progress()[2]
    leader.report_unreachable(2)
    assert leader.progress()[2] == before
    assert before.state is ProgressState.PROBE


def test_a_leader_forgets_itself_as_little_as_its_term() -> None:
    """Checklist 50."""
    network = CoreCluster(3)
    leader = network.elect(1)
    leader.forget_leader()
    assert leader.leader_id == 1


def test_a_grant_for_another_round_is_not_counted() -> None:
    """Checklist 13, 37."""
    core = core_with([], 4)
    core.campaign()
    core.step(PreVoteReply(9, 2, True))
    core.step(PreVoteReply(9, 3, True))
    assert (core.role, core.term) == (Role.PRE_CANDIDATE, 4)
    core.step(PreVoteReply(5, 2, True))
    assert core.role is Role.CANDIDATE


def test_more_reads_of_others_than_fit_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checklist 116: a bound, and an answer when it is reached."""
    monkeypatch.setattr(read_index, "REMOTE_COUNT_MAX", 2)
    network = CoreCluster(3)
    network.elect(1)
    network.cut = {(3, 1)}
    for token in (1, 2, 3):
        network.nodes[2].core.read_index(token)
    network.collect(network.nodes[2])
    for _ in range(3):
        network.deliver(0)
    answers_ = [codec.decode(it[2]) for it in network.flying]
    assert [it.index for it in answers_ if isinstance(it, ReadIndexReply)] == [0]
    network.settle()
    assert network.nodes[2].reads_failed == [3]
    assert [token for token, _ in network.nodes[2].reads] == [1, 2]


def test_hard_state_goes_out_only_when_it_changed() -> None:
    """Checklist 140."""
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


@pytest.mark.parametrize(
    ("message", "resets"),
    [
        (AppendEntries(2, 2, 1, 1, 0), True),
        (AppendEntries(2, 2, 9, 2, 0), True),
        (Heartbeat(2, 2, 0, 0), True),
        (VoteRequest(2, 3, 1, 1), False),
        (VoteRequest(2, 3, 0, 0), False),
        (PreVoteRequest(3, 3, 1, 1), False),
        (ReadIndexReply(2, 2, 7, 1), False),
        (AppendAccepted(2, 2, 1), False),
    ],
)
def test_only_the_leader_and_a_real_vote_reset_the_timer(message: Message, *, resets: bool) -> None:
    """Checklist 30, 72."""
    core = core_with([entry(1, 1)], 2)
    core.step(Heartbeat(2, 2, 0, 0))
    core.tick()
    core.step(message)
    assert (core.state.elapsed_ticks == 0) == resets


def test_a_vote_that_is_given_resets_the_timer_and_one_that_is_not_does_not() -> None:
    """Checklist 30, 72."""
    core = core_with([entry(1, 1)], 2)
    core.tick()
    core.step(VoteRequest(2, 3, 0, 0))
    assert core.state.elapsed_ticks == 1
    core.step(VoteRequest(2, 3, 1, 1))
    assert core.state.elapsed_ticks == 0
