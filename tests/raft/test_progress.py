"""What a leader believes of one peer, against a peer that says the truth late, twice or not at all.

The model is a list of what is on its way and the highest index that the peer has said; the rules
are in the words of `progress.py`, checklist 83 to 97.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roost.raft import Configuration
from roost.raft.messages import SnapshotOffer
from roost.raft.progress import Progress, ProgressState, own_progress
from tests.samples import SAMPLES

LAST = 40
SIZES = st.integers(0, 100)


class Believed(RuleBasedStateMachine):
    """Every rule does to the progress and to the model what an event of the leader would."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(LAST + 1)
        # What the peer said in this session that it holds, and what it said before it restarted.
        self.said = 0
        self.said_before = 0
        self.window: list[tuple[int, int]] = []

    @precondition(lambda self: self.progress.next_index <= LAST)
    @precondition(lambda self: self.progress.state is ProgressState.REPLICATE)
    @rule(data=st.data(), size=SIZES)
    def send_ahead(self, data: st.DataObject, size: int) -> None:
        first = self.progress.next_index
        last = data.draw(st.integers(first, min(first + 2, LAST)))
        self.progress.note_sent(last, size)
        self.window.append((last, size))
        assert self.progress.next_index == last + 1

    @precondition(lambda self: self.window)
    @rule(data=st.data())
    def hear_that_an_append_arrived(self, data: st.DataObject) -> None:
        self.hear_that_it_holds(data.draw(st.sampled_from([last for last, _ in self.window])))

    @rule(step=st.integers(-3, 3))
    def hear_that_it_holds_more_or_less(self, step: int) -> None:
        self.hear_that_it_holds(min(max(self.said + step, 0), LAST))

    @rule(step=st.integers(1, 3))
    def hear_that_it_holds_more(self, step: int) -> None:
        self.hear_that_it_holds(min(self.said + step, LAST))

    def hear_that_it_holds(self, index: int) -> None:
        is_news = self.progress.on_accepted(index)
        assert is_news is (index > self.said), "an old answer is no news"
        self.said = max(self.said, index)
        self.window = [it for it in self.window if it[0] > index]
        if self.said >= self.said_before and is_news:
            self.said_before = 0
        if is_news and self.progress.state is not ProgressState.REPLICATE:
            self.progress.become_replicate()  # as `append.on_accepted`
            self.window = []

    @rule(data=st.data(), hint=st.integers(0, LAST))
    def hear_a_refusal(self, data: st.DataObject, hint: int) -> None:
        before = self.progress.next_index
        prev = data.draw(st.sampled_from([before - 1, before // 2, self.said, self.said + 1]))
        was_ahead = self.progress.state is ProgressState.REPLICATE
        is_news = self.progress.on_rejected(prev, min(hint, max(prev - 1, 0)))
        after = self.progress.next_index
        if not is_news:
            assert after == before, "a stale refusal changes nothing"
            return
        assert prev > self.said, "what it has accepted it does not refuse"
        assert self.said < after <= before, "back, never forward, and never onto what matches"
        if was_ahead:
            assert self.progress.state is ProgressState.PROBE
            assert after == self.said + 1, "of what was sent ahead any may be lost"
            self.window = []
        else:
            assert prev == before - 1, "the only probe on its way was that"
            assert after <= prev, "each refusal brings the search nearer to its end"
            assert not self.progress.is_probe_sent, "the next probe may leave"

    @rule(change=st.sampled_from(["lost", "no room", "gone"]))
    def fall_back(self, change: str) -> None:
        if change == "lost" and self.progress.state is ProgressState.REPLICATE:
            self.progress.become_probe()
            assert not self.progress.is_probe_sent
            assert self.progress.next_index == self.said + 1
        elif change == "no room":
            self.progress.pause_probe()
            assert self.progress.is_probe_sent, "nothing leaves before a heartbeat is answered"
        elif change == "gone":
            self.progress.become_snapshot()
        else:
            return
        self.window = []

    @rule(is_so=st.sampled_from([False, False, False, True]))
    def see_it_restart(self, *, is_so: bool) -> None:
        if not is_so:
            return  # rarely, or nothing else would ever get far
        guess = self.said + 1 if self.said else self.progress.next_index
        self.progress.begin_session(self.progress.session + 1)
        self.said_before = max(self.said_before, self.said)
        assert self.progress.next_index == guess, "it most likely holds what it held"
        self.said, self.window = 0, []

    @invariant()
    def what_is_believed_is_what_was_said(self) -> None:
        progress = self.progress
        progress.invariants(LAST)
        assert progress.match_index == self.said, "nothing but an accepted append proves anything"
        assert progress.acked_index == self.said_before
        assert list(progress.inflights) == self.window
        assert progress.inflight_bytes == sum(size for _, size in self.window)
        seen = progress.statistics()
        assert (seen.match_index, seen.next_index) == (self.said, progress.next_index)
        assert (seen.inflight_count, seen.state) == (len(self.window), progress.state)

    @invariant()
    def a_window_is_full_by_its_count_or_its_bytes(self) -> None:
        count, size = len(self.window), sum(size for _, size in self.window)
        assert self.progress.is_full(count, size + 1)
        assert self.progress.is_full(count + 1, size)
        assert not self.progress.is_full(count + 1, size + 1)


Believed.TestCase.settings = settings(
    max_examples=30 * SAMPLES, stateful_step_count=40, deadline=None
)
test_what_is_believed_of_a_peer_is_what_it_said = Believed.TestCase


LOGS = st.lists(st.integers(1, 4), max_size=12).map(sorted)


@given(LOGS, LOGS, st.data())
def test_the_place_where_two_logs_part_is_found_whatever_is_late_or_doubled(
    ours: list[int], theirs: list[int], data: st.DataObject
) -> None:
    """Thesis Figure 3.2: they are "identical in all entries up through the given index".

    That is said of two logs with one term at that index, and these are made so.
    """
    agree = 0
    while agree < min(len(ours), len(theirs)) and ours[agree] == theirs[agree]:
        agree += 1
    progress = Progress(len(ours) + 1)
    old: list[tuple[int, int]] = []
    for _ in range(len(ours) + 1):
        prev = progress.next_index - 1
        if prev <= agree:
            break
        hint = data.draw(st.integers(agree, prev - 1), label="where they may agree")
        old.append((prev, hint))
        assert progress.on_rejected(prev, hint)
        assert progress.next_index == hint + 1, "one refusal reaches as far as its hint"
        for again in data.draw(st.lists(st.sampled_from(old), max_size=2), label="once more"):
            next_index = progress.next_index
            progress.on_rejected(*again)
            assert agree < progress.next_index <= next_index
    assert progress.next_index == agree + 1, "found, in no more probes than there are entries"
    assert progress.on_accepted(agree) is (agree > 0)
    assert progress.match_index == agree


def test_a_peer_that_restarted_and_refuses_what_it_had_has_lost_it() -> None:
    """A disk that acknowledged a sync and dropped it: found out by the first probe (J23)."""
    progress = Progress(10)
    progress.on_accepted(8)
    progress.begin_session(1)
    assert (progress.acked_index, progress.has_stepped_back) == (8, False), "nothing is asked yet"
    assert progress.on_rejected(8, 5)
    assert (progress.acked_index, progress.has_stepped_back) == (8, True)
    progress.on_accepted(7)
    assert (progress.acked_index, progress.has_stepped_back) == (8, True), "it held 8 once"
    progress.on_accepted(8)
    assert (progress.acked_index, progress.has_stepped_back) == (0, False), "it is whole again"


def test_a_peer_that_refuses_what_it_never_had_has_lost_nothing() -> None:
    progress = Progress(10)
    assert progress.on_rejected(9, 3)
    assert not progress.has_stepped_back


def test_a_peer_may_hold_more_than_it_was_sent() -> None:
    """Another leader sent it, or we did before we restarted."""
    progress = Progress(3)
    assert progress.on_accepted(9)
    assert progress.next_index == 10


def test_an_offer_lasts_only_while_the_peer_needs_it() -> None:
    offer = SnapshotOffer(2, 1, 5, 1, 0, Configuration(voters=(1, 2)))
    for leave in (Progress.become_probe, Progress.become_replicate, Progress.become_snapshot):
        progress = Progress(10)
        progress.become_snapshot()
        progress.offer = offer
        leave(progress)
        assert progress.offer is None


def test_who_answers_is_active_and_heard_at_that_tick() -> None:
    progress = Progress(1)
    assert (progress.is_active, progress.heard_tick) == (True, 0), "the new one gets its chance"
    progress.is_active = False
    progress.note_heard(7)
    assert (progress.is_active, progress.heard_tick) == (True, 7)


def test_a_leader_holds_for_itself_what_is_durable_and_sends_itself_nothing() -> None:
    own = own_progress(9, 6)
    own.invariants(9)
    assert (own.match_index, own.next_index, own.state) == (6, 10, ProgressState.REPLICATE)


def test_the_search_never_goes_below_what_is_known_to_match() -> None:
    """A peer that is offered a snapshot says what it holds, and refuses a probe from before."""
    progress = Progress(20)
    progress.become_snapshot()
    progress.on_accepted(5)
    assert progress.on_rejected(19, 2)
    assert progress.next_index == 6
