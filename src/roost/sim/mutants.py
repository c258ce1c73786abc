"""`python -m roost.sim.mutants`: known bugs, put in on purpose; each must be found.

A mutant replaces a piece of one production function by another.  Most are real bugs of other
systems, some were ours.  They are hunted with storms over bare cores (those in `raft`) and with
simulated members, in STREAMS streams of seeds; the table says the median of how many seeds it
took, and which scenario tells the difference.  `--table` prints docs/reliability.md's rows.
Modules have to be pure: the code of a compiled function cannot be changed.
"""

import __future__

import argparse
import inspect
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType

import click

from roost.compiled import compiled_modules
from roost.sim.campaign import simulate
from roost.sim.cores.scenario import record
from roost.sim.cores.storm import run_storm
from roost.sim.members.swarm import Swarm

SEEDS_MAX = 40
STREAMS = 5
HANG_S = 60
# Everything that can fail does, all the time, on a small cluster.
STORM = Swarm(
    size=3,
    clients=4,
    safety_s=20.0,
    delay_s_mean=0.01,
    kills=True,
    power_cuts=True,
    partitions=True,
    one_way_cuts=True,
    changes=False,
    transfers=True,
    trailing_entries=1,
    segment_bytes=32 << 10,
    layer_bytes=4 << 10,
    nemesis_s_mean=0.1,
    slow_disks=True,
    strangers=True,
    deafness=True,
    garbage=True,
)

# Members come, go and are replaced all the time, on slow disks, and need snapshots.
CHURN = replace(STORM, size=2, one_way_cuts=False, changes=True, clogs=True, nemesis_s_mean=0.3)

# Members count, are killed and cut off, and their directories are lost and rolled back.
COUNTING = replace(STORM, clients=1, counters=4, one_way_cuts=False, strangers=False)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in `function` (module:qualified name) `find` becomes `replace`."""

    name: str
    function: str
    find: str
    replace: str


MUTANTS = (
    Mutant("commits an older term by count", "raft.state:State.commit_by_quorum",
           " or log.term_at(index) != self.term", ""),
    Mutant("leads before its own vote is durable", "raft.election:_decide",
           "case Verdict.WON if state.id in state.votes:", "case Verdict.WON:"),
    Mutant("a snapshot drops what was acknowledged", "raft.snapshot:may_restore",
           "and not state.log.holds(snapshot.index, snapshot.term)", ""),
    Mutant("votes twice in a term", "raft.election:_may_vote_for",
           "return state.vote == candidate or (state.vote == 0 and state.leader_id == 0)",
           "return True"),
    Mutant("votes for a shorter log", "raft.election:on_vote_request",
           "state.log.is_up_to_date(message.last_term, message.last_index)", "True"),
    Mutant("a vote leaves before it is durable", "raft.election:on_vote_request",
           "state.reply(message.sender, VoteReply(", "state.send(message.sender, VoteReply("),
    Mutant("entries are accepted before they are durable", "raft.append:_accept",
           "state.reply(message.sender, kind(", "state.send(message.sender, kind("),
    Mutant("a matching suffix is deleted", "raft.log:Log.append_after",
           "entry.index > self.last_index or self.term_at(entry.index) != entry.term", "True"),
    Mutant("the leader counts what its disk does not have", "raft.state:State.match_of",
           "self.log.durable_index", "self.log.last_index"),
    Mutant("a follower commits past the message", "raft.append:on_append_entries",
           "min(message.commit_index, last_new)", "min(message.commit_index, log.last_index)"),
    Mutant("a pre-vote clears the vote", "raft.state:State.become_pre_candidate",
           "self.votes = {}", "self.votes = {}\n    self.vote = 0"),
    Mutant("entries follow any entry", "raft.append:on_append_entries",
           "log.term_at(prev_index) != message.prev_term", "log.term_at(prev_index) is None"),
    Mutant("reads ask nobody", "raft.read_index:_start_round",
           "state.configuration.all_voters() == (state.id,)", "True"),
    Mutant("a new leader reads before it has committed", "raft.read_index:_start_round",
           "not state.is_leader_ready", "False"),
    Mutant("a quorum is one too few", "raft.quorum:_majority_match",
           "(len(matches) - 1) // 2", "min(len(matches) - 1, (len(matches) + 1) // 2)"),
    Mutant("an election is won by half", "raft.quorum:_half_verdict",
           "len(nodes) // 2 + 1", "max(1, len(nodes) // 2)"),
    Mutant("the outgoing half does not count for commits", "raft.quorum:committed_index",
           "if configuration.outgoing:", "if False:"),
    Mutant("a candidate campaigns with an unapplied change", "raft.election:has_unapplied_change",
           "return bool(state.log.change_indexes) and state.log.committed_change_index > 0",
           "return False"),
    Mutant("a new term keeps the old vote", "raft.state:State._begin",
           "self.vote = 0", "pass"),
    Mutant("a joint configuration is never left", "raft.membership:leave_if_due",
           "and configuration.auto_leave", "and False"),
    Mutant("a removed leader goes on leading", "raft.membership:adopt",
           "if not configuration.is_voter(state.id):", "if False:"),
    Mutant("an old write vouches for a newer entry", "raft.log:Log._truncate",
           "self._outstanding = deque(min(durable, last) for durable in self._outstanding)",
           "pass"),
    Mutant("a heartbeat commits what the peer may not have", "raft.heartbeat:send",
           "min(leading.peers[node].match_index, commit_index)", "commit_index"),
    Mutant("a probe that was lost is never repeated", "raft.heartbeat:on_reply",
           "send_append(state, message.sender, progress, or_empty=True)", "pass"),
    Mutant("the window is never freed", "raft.progress:Progress.on_accepted",
           "while inflights and inflights[0][0] <= match_index:", "while False:"),
    Mutant("a lost offer of a snapshot is never repeated", "raft.snapshot:remind",
           "state.send(node, progress.offer)", "pass"),
    Mutant("nobody asks for a snapshot", "raft.snapshot:want",
           "state.leading.snapshots_wanted.append(node)", "pass"),
    Mutant("a snapshot keeps the old log", "raft.log:Log.restore",
           "self._tail.clear()", "pass"),
    Mutant("a snapshot carries the newest configuration",
           "member.snapshots.catchup:Catchup._make_and_offer",
           "configuration=copy.configuration", "configuration=self._core.configuration"),
    Mutant("a leader without a quorum goes on", "raft.timers:_tick_leader",
           "config.check_quorum and not _has_active_quorum(state, leading)", "False"),
    Mutant("the journal is not synced", "journal.journal:Journal._write",
           "file.sync_data()", "pass"),
    Mutant("a Ready without work overtakes those being written", "member.loop:Loop.drive",
           "and not parts.persistence.outstanding_count", ""),
    Mutant("a promise of a lease is forgotten", "raft.state:State.has_promised",
           "return self.config.lease_s > 0 and", "return False and"),
    Mutant("a lease outlives the promise", "raft.read_index:by_lease",
           "now_s < leading.rounds.lease_end_s", "leading.rounds.lease_end_s"),
    Mutant("the hard state is not written", "journal.journal:Journal._write",
           "if batch.hard_state is not None:", "if False:"),
    Mutant("a truncation is not recorded", "journal.journal:Journal.prepare",
           'self._place(writes, TRUNCATE, first, entries[0].term, b"")', "pass"),
    Mutant("the journal forgets its floor", "journal.journal:Journal.begin_behind",
           "self._index = Index(index, term)", "self._index = Index(index, 0)"),
    Mutant("an installed snapshot leaves the journal as it is",
           "member.directory.home:Home.install",
           "self.journal.begin_behind(index, term)", "pass"),
    Mutant("callers are answered before the commit", "member.pipeline.executor:Executor._propose",
           "self._pacing.on_proposed(is_full=self._has_work)",
           "self._inflight.pop(index).answer()"),
    Mutant("a new leader executes on an old state", "member.pipeline.executor:Executor._has_room",
           "self._is_open", "True"),
    Mutant("an unknown outcome is called a failure", "member.pipeline.executor:Executor.close",
           "LeadershipLost(", "NotLeader("),
    Mutant("what was proposed stays visible", "member.pipeline.executor:Executor.close",
           "self._store.drop_speculative()", "pass"),
    Mutant("reads do not wait until they are applied",
           "member.pipeline.reads:ReadRounds.on_confirmed",
           "if index > applied_index", "if False"),
    Mutant("a switch of stores keeps the old layer", "store.store:Store.switch",
           "self._stack.clear()", "pass"),
    Mutant("the store names a later entry than it holds", "store.engine:Engine.flush",
           "self.writer.commit(self._layer, index, term)",
           "self.writer.commit(self._layer, index + 1, term)"),
    Mutant("a flush loses what came with it", "store.engine:Engine.flush",
           "self._layer = Layer()", "self._layer = Layer(); self.add = lambda *given: None"),
    Mutant("requests are sent again when their outcome is unknown",
           "member.pipeline.router:Router._route",
           "isinstance(outcome, NotLeader)", "isinstance(outcome, RoostError)"),
    Mutant("a leader is not told of a restart", "raft.fence:is_introduced",
           "if state.term != state.unfamiliar_term:", "if True:"),
    Mutant("a fence falls at once", "raft.fence:lift_if_due",
           "if is_own and has_all and not log.first_damaged:", "if True:"),
    Mutant("a fenced node votes", "raft.election:on_vote_request", "not state.is_fenced", "True"),
    Mutant("a damaged copy counts", "raft.log:Log.vouched",
           "min(index, damaged - 1) if damaged else index", "index"),
    Mutant("damage is dropped unasked", "member.custody.repair:Inquiry.lets_drop",
           "if any(answers.get(it, Answer.HELD) is Answer.HELD for it in voters):",
           "if False:"),
    Mutant("damaged entries are dropped as if torn", "journal.replay:Replay._append",
           "if recovered.damage is not None:", "if False:"),
    Mutant("a lost end of the log goes unnoticed", "journal.opening:_Opening._begin_anew",
           "is_fenced=True", "is_fenced=False"),
    Mutant("a newcomer is told another's id", "member.cluster.neighbours:Neighbours.invite",
           "member_id=record.id)", "member_id=self._own_id)"),
    Mutant("whoever greets is believed", "peer.handshake:admit",
           "await ask_back(step)", '""'),
    Mutant("a member's nonsense is nobody's fault", "peer.accepting:Accepted._hand_on",
           "except PeerFault as error:", "except KeyError as error:"),
    Mutant("a count is answered before it is durable", "counters.work:Work.has_answers",
           "self._waiting[0].answer.step <= durable_step", "True"),
)  # fmt: skip


def function_of(mutant: Mutant) -> FunctionType:
    """The production function it changes."""
    module, _, path = mutant.function.partition(":")
    found: object = import_module(f"roost.{module}")
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    assert isinstance(found, FunctionType), "plain functions and methods are changed"
    return found


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Have the bug in, everywhere, until the end of the block."""
    function = function_of(mutant)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(mutant.find) == 1, f"{mutant.function} has not one {mutant.find!r}"
    changed_source = source.replace(mutant.find, mutant.replace)
    flags = __future__.annotations.compiler_flag  # annotations may name what is not imported
    module = compile(changed_source, mutant.function, "exec", flags)
    (changed,) = [it for it in module.co_consts if isinstance(it, CodeType)]
    before = function.__code__
    function.__code__ = changed
    try:
        yield
    finally:
        function.__code__ = before


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Let a run that does not end, end: a bug may do that too, and is found by it.

    Counted in time of the processor: on a busy machine a run takes long without any bug.
    """

    def on_alarm(_number: int, _frame: object) -> None:
        raise TimeoutError(f"it does not end within {seconds} s of the processor")

    before = signal.signal(signal.SIGPROF, on_alarm)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def seeds_to_catch(mutant: Mutant, stream: int = 0, seeds_max: int = SEEDS_MAX) -> tuple[int, str]:
    """How many seeds of a stream it took, and what the last one said; 0 when none found it.

    A seed is a storm, for a mutant of the core, and every fourth one a cluster of members too; for
    all others it is such a cluster.
    """
    is_core = mutant.function.startswith("raft.")
    with applied(mutant), no_longer_than(HANG_S):
        for count in range(seeds_max):
            seed = 100_000 * stream + count
            signal.setitimer(signal.ITIMER_PROF, HANG_S)  # this seed has all of it again
            if is_core and (violation := run_storm(seed).violation):
                return count + 1, violation
            if not is_core or count % 4 == 0:
                counts = mutant.function.startswith("counters.")
                violation = _violation_of_members(seed, counts=counts)
                if violation:
                    return count + 1, violation
    return 0, ""


def _violation_of_members(seed: int, *, counts: bool = False) -> str:
    """What a cluster of members breaks: as drawn, in the worst of storms, or in churn.

    One that `counts` has counters among its clients.
    """
    swarm = COUNTING if counts else (None, STORM, CHURN)[seed % 3]
    try:
        return simulate(seed, swarm)[0].violation
    except Exception as error:  # noqa: BLE001 - a run that cannot go on has caught it too
        return f"{type(error).__name__}: {error}"


def scenarios_that_tell(mutant: Mutant, directory: Path) -> list[str]:
    """The scenarios that go differently with the bug in."""
    found: list[str] = []
    with applied(mutant), no_longer_than(HANG_S):
        for path in sorted(directory.glob("*.txt")):
            told = path.read_text()
            try:
                is_same = record(told) == told
            except Exception:  # noqa: BLE001 - it ended otherwise than told
                is_same = False
            if not is_same:
                found.append(path.stem)
    return found


@dataclass(frozen=True, slots=True)
class Hunt:
    """How one mutant fared: seeds by stream (0 = not found), and the scenarios that tell."""

    mutant: Mutant
    seeds: tuple[int, ...]
    scenarios: tuple[str, ...]

    @property
    def is_caught(self) -> bool:
        """Whether a stream or a scenario found it."""
        return any(self.seeds) or bool(self.scenarios)

    @property
    def median_seeds(self) -> str:
        """The median over the streams, `>` the limit where that stream did not find it."""
        middle = sorted(it or SEEDS_MAX + 1 for it in self.seeds)[len(self.seeds) // 2]
        return str(middle) if middle <= SEEDS_MAX else "-"


def hunt(mutant: Mutant, scenarios: Path) -> Hunt:
    """Hunt one in every stream, and with every scenario."""
    seeds = tuple(seeds_to_catch(mutant, stream)[0] for stream in range(STREAMS))
    return Hunt(mutant, seeds, tuple(scenarios_that_tell(mutant, scenarios)))


def main() -> None:
    """Hunt them all; exit code 1 when one lives."""
    if compiled_modules():
        sys.exit("mutants change functions, which only pure Python lets them: first `make slow`")
    parser = argparse.ArgumentParser(
        prog="python -m roost.sim.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", help="those whose name contains this")
    parser.add_argument("--scenarios", type=Path, default=Path("tests/scenarios"))
    parser.add_argument("--table", action="store_true", help="rows of a Markdown table")
    options = parser.parse_args()
    hunted = [it for it in MUTANTS if not options.only or options.only in it.name]
    alive = 0
    for mutant in hunted:
        found = hunt(mutant, options.scenarios)
        alive += not found.is_caught
        if options.table:
            told = ", ".join(f"`{it}`" for it in found.scenarios[:2]) or "-"
            click.echo(f"| {mutant.name} | `{mutant.function}` | {found.median_seeds} | {told} |")
        else:
            verdict = f"{found.median_seeds:>4} seeds" if found.is_caught else "**lives**"
            told = ", ".join(found.scenarios)
            click.echo(f"{verdict}  {mutant.name}: {found.seeds} {told}"[:150])
        sys.stdout.flush()
    click.echo(f"{len(hunted) - alive} of {len(hunted)} caught", err=True)
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
