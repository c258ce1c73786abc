"""`python -m roost.sim.mutants`: known bugs, put in on purpose; the simulator must find each.

A mutant replaces a piece of one production function by another.  Most are real bugs of other
systems (`docs/bugs.md` of theirs, so to say).  The command runs seed after seed until one breaks
a promise, and prints how many that took; `--table` prints the rows for docs/reliability.md.
"""

import __future__

import argparse
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType

import click

from roost.sim.campaign import simulate
from roost.sim.nemesis import Swarm

SEEDS_MAX = 150
# Every second seed: everything that can fail does, all the time, on a small cluster.
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
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in `function` (module:qualified name) `find` becomes `replace`."""

    name: str
    function: str
    find: str
    replace: str


MUTANTS = (
    Mutant("commits an older term by count", "raft.core:Core.maybe_commit",
           " or log.term_at(index) != self.term", ""),
    Mutant("votes twice in a term", "raft.election:_may_vote_for",
           "return core.vote == candidate or (core.vote == 0 and core.leader_id == 0)",
           "return True"),
    Mutant("votes for a shorter log", "raft.election:on_vote_request",
           "core.log.is_up_to_date(\n        message.last_term, message.last_index\n    )", "True"),
    Mutant("a vote leaves before it is durable", "raft.election:on_vote_request",
           "core.reply(message.sender, VoteReply(", "core.send(message.sender, VoteReply("),
    Mutant("entries are accepted before they are durable", "raft.append:on_append_entries",
           "core.reply(sender, kind(", "core.send(sender, kind("),
    Mutant("a matching suffix is deleted", "raft.log:Log.append_after",
           "entry.index > self.last_index or self.term_at(entry.index) != entry.term", "True"),
    Mutant("the leader counts what its disk does not have", "raft.core:Core.match_of",
           "self.log.stable_index", "self.log.last_index"),
    Mutant("a follower commits past the message", "raft.append:on_append_entries",
           "min(message.commit_index, last_new)", "min(message.commit_index, log.last_index)"),
    Mutant("a pre-vote clears the vote", "raft.core:Core.become_pre_candidate",
           "self.votes = {}", "self.votes = {}\n    self.vote = 0"),
    Mutant("entries follow any entry", "raft.append:on_append_entries",
           "log.term_at(prev_index) != message.prev_term", "log.term_at(prev_index) is None"),
    Mutant("reads ask nobody", "raft.read_index:_start_round",
           "core.configuration.all_voters() == (core.id,)", "True"),
    Mutant("a new leader reads before it has committed", "raft.read_index:_start_round",
           "not core.is_leader_ready", "False"),
    Mutant("a quorum is one too few", "raft.quorum:_majority_match",
           "(len(matches) - 1) // 2", "min(len(matches) - 1, (len(matches) + 1) // 2)"),
    Mutant("an election is won by half", "raft.quorum:_half_verdict",
           "len(nodes) // 2 + 1", "max(1, len(nodes) // 2)"),
    Mutant("the outgoing half does not count for commits", "raft.quorum:committed_index",
           "if configuration.outgoing:", "if False:"),
    Mutant("a candidate campaigns with an unapplied change", "raft.election:has_unapplied_change",
           "return bool(core.log.change_indexes) and core.log.committed_change_index > 0",
           "return False"),
    Mutant("a new term keeps the old vote", "raft.core:Core._reset",
           "self.vote = 0", "pass"),
    Mutant("a joint configuration is never left", "raft.membership:leave_if_due",
           "and configuration.auto_leave", "and False"),
    Mutant("a removed leader goes on leading", "raft.membership:adopt",
           "if not configuration.is_voter(core.id):", "if False:"),
    Mutant("an old write vouches for a newer entry", "raft.log:Log._truncate",
           "self._outstanding = deque(min(vouched, last) for vouched in self._outstanding)",
           "pass"),
    Mutant("a heartbeat commits what the peer may not have", "raft.append:broadcast_heartbeat",
           "min(progress.match_index, commit_index)", "commit_index"),
    Mutant("a probe that was lost is never repeated", "raft.append:on_heartbeat_reply",
           "send_append(core, message.sender, progress, or_empty=True)", "pass"),
    Mutant("the window is never freed", "raft.progress:Progress.on_accepted",
           "while inflights and inflights[0][0] <= match_index:", "while False:"),
    Mutant("a lost offer of a snapshot is never repeated", "raft.snapshot:remind",
           "core.send(node, progress.offer)", "pass"),
    Mutant("nobody asks for a snapshot", "raft.snapshot:want",
           "core.snapshots_wanted.append(node)", "pass"),
    Mutant("a snapshot keeps the old log", "raft.log:Log.restore",
           "self._tail.clear()", "pass"),
    Mutant("a snapshot carries the newest configuration", "member.catchup:Catchup._make_and_offer",
           "configuration=made.configuration", "configuration=self._core.configuration"),
    Mutant("a leader without a quorum goes on", "raft.core:Core._tick_leader",
           "config.check_quorum and not self._has_active_quorum()", "False"),
    Mutant("the journal is not synced", "journal.journal:Journal.write",
           "file.sync_data()", "pass"),
    Mutant("the hard state is not written", "journal.journal:Journal.write",
           "if batch.hard_state is not None:", "if False:"),
    Mutant("a truncation is not recorded", "journal.journal:Journal.prepare",
           'self._place(writes, TRUNCATE, first, entries[0].term, b"")', "pass"),
    Mutant("the journal forgets its floor", "journal.journal:Journal.begin_behind",
           "self._base, self._base_term = index, term", "self._base, self._base_term = index, 0"),
    Mutant("an installed snapshot leaves the journal as it is", "member.home:Home.install",
           "self.journal.begin_behind(index, term)", "pass"),
    Mutant("callers are answered before the commit", "member.executor:Executor._run_batch",
           "self._pacing.on_proposed()", "self._inflight.pop(index).settle()"),
    Mutant("a new leader executes on an old state", "member.executor:Executor.run",
           "and self._is_open", "and True"),
    Mutant("an unknown outcome is called a failure", "member.executor:Executor.close",
           'OutcomeUnknown("etcdserver: leader changed")', 'NotLeader("etcdserver: no")'),
    Mutant("what was proposed stays visible", "member.executor:Executor.close",
           "self._store.drop_speculative()", "pass"),
    Mutant("another leader's entry is taken for ours", "store.store:Store.apply",
           "if proposed is payload or proposed == payload:", "if True:"),
    Mutant("reads do not wait until they are applied", "member.reads:Reads.on_confirmed",
           "if wanted <= applied_index", "if True"),
    Mutant("a switch of stores keeps the old layer", "store.store:Store.switch",
           "self._stack[:] = [self._applied]", "pass"),
    Mutant("the store names a later entry than it holds", "store.keeper:Engine.flush",
           "self.writer.commit(self._layer, index, term)",
           "self.writer.commit(self._layer, index + 1, term)"),
    Mutant("a flush loses what came with it", "store.keeper:Engine.flush",
           "self._layer = Layer()", "self._layer = Layer(); self.add = lambda payload: None"),
    Mutant("requests are sent again when their outcome is unknown", "member.router:Router._route",
           "isinstance(error, NotLeader)", "error is not None"),
    Mutant("a removed member may come back", "member.neighbours:Neighbours.identify",
           "if sorted(record.peer_urls) == sorted(asked.peer_urls):", "if True:"),
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


def seeds_to_catch(mutant: Mutant, seeds_max: int = SEEDS_MAX) -> tuple[int, str]:
    """How many seeds it took, and what the last one said; 0 when none broke a promise."""
    with applied(mutant):
        for seed in range(seeds_max):
            try:
                result, _ = simulate(seed, STORM if seed % 2 else None)
            except Exception as error:  # noqa: BLE001 - a run that cannot go on has caught it too
                return seed + 1, f"{type(error).__name__}: {error}"
            if result.violation:
                return seed + 1, result.violation
    return 0, ""


def main() -> None:
    """Hunt them all; exit code 1 when one lives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="those whose name contains this")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--table", action="store_true", help="rows of a Markdown table")
    options = parser.parse_args()
    hunted = [it for it in MUTANTS if not options.only or options.only in it.name]
    alive = 0
    for mutant in hunted:
        count, said = seeds_to_catch(mutant, options.seeds)
        alive += not count
        verdict = f"{count} seeds" if count else "**lives**"
        if options.table:
            click.echo(f"| {mutant.name} | `{mutant.function}` | {verdict} | {said[:60]} |")
        else:
            click.echo(f"{verdict:>10}  {mutant.name}: {said[:90]}")
    click.echo(f"{len(hunted) - alive} of {len(hunted)} caught", err=True)
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
