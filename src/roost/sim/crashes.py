"""Every state that a power cut may leave of a journal, recovered and checked (ALICE, OSDI'14).

A script does to a journal all that a member does: hard states, appends, overwrites, rolls,
compaction, marks, an installed snapshot, repairs, fences, a clean stop and a new start.  For
each device call of it the power is cut in that call; what was synced is kept, and of what was not
any subset of 512-byte sectors may be, and any first part of the changed names of files.  Up to
SUBSET_BITS sectors every subset is a state of its own; above that they are drawn.

Each state is recovered, and what comes back must be exactly what was acknowledged, or that and
what was on its way.  A tenth of the states is cut once more, in the recovery.

    python -m roost.sim.crashes [--states N]
"""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import click

from roost.journal import Identity, Journal, JournalConfig, JournalError
from roost.raft import Entry, EntryKind, HardState
from roost.sim.members import rot
from roost.sim.members.disk import PowerCut, SimDisk, SimFile

SUBSET_BITS = 8
DRAWN_SUBSETS = 24
_IDENTITY = Identity(cluster_id=1, member_id=2, incarnation=3, created=0.0)
_HOME = Path("home")
Position = tuple[int, int]


def make_entry(index: int, term: int) -> Entry:
    """An entry whose payload says what it is."""
    size = 40 + index * 7 % 90
    return Entry(index, term, EntryKind.NORMAL, b"%d/%d-" % (index, term) + b"x" * size)


def open_journal(
    disk: SimDisk, held: Position | None = None, *, may_lose_tail: bool = False
) -> Journal:
    """The journal of the script; `held` is the installed snapshot, if there is one."""
    draws = random.Random(disk.calls)  # noqa: S311 - a simulation is no secret
    config = JournalConfig(
        segment_bytes=1 << 14,
        slot_count=32,
        prepares_ahead=False,
        entropy=lambda: draws.getrandbits(64),
    )
    index, term = held or (0, 0)
    journal = Journal.open(
        _HOME,
        identity=_IDENTITY,
        disk=disk,
        config=config,
        held=held,
        begins_at=index,
        may_lose_tail=may_lose_tail,
    )
    journal.invariants()
    # As a member does when the installation of a snapshot was interrupted.
    if journal.last_index < index or (held and journal.term_at(index) != term):
        journal.begin_behind(index, term)
    return journal


@dataclass(slots=True)
class Truth:
    """What a journal may hold: acknowledged, and acknowledged with what is on its way."""

    entries: dict[int, int] = field(default_factory=dict)  # index: term
    hard_state: HardState = field(default_factory=HardState)
    floor: int = 0
    is_fenced: bool = False

    def copy(self) -> "Truth":
        """The same, to be changed."""
        return Truth(dict(self.entries), self.hard_state, self.floor, self.is_fenced)


class Script:
    """A workload that remembers what was acknowledged, and what is on its way."""

    def __init__(self, disk: SimDisk) -> None:
        """Nothing is done."""
        self.disk = disk
        self.sure = Truth()
        self.pending: Truth | None = None
        self.held: Position | None = None
        # Whether a segment is being lost: then what is left opens fenced.
        self.is_losing = False
        self.journal: Journal | None = None

    def run(self, fail_at: int = 0) -> bool:
        """Do all of it, or until the power is cut in device call `fail_at`; say whether it was."""
        if fail_at:
            self.disk.cut_at(fail_at)
        try:
            self._play()
        except PowerCut:
            return True
        return False

    def _play(self) -> None:
        self.journal = open_journal(self.disk)
        self._persist(HardState(1, 2), [])
        for index in range(1, 30):
            self._persist(None, [(index, 1)])
        self._persist(None, [(index, 1) for index in range(30, 60)])
        self.journal.prepare_mark()()
        self._persist(HardState(2, 3), [(50, 2), (51, 2)])
        self._persist(HardState(3, 0), [(index, 3) for index in range(40, 75)])
        self._compact(45)
        self._repair(60)
        self._stop_and_start()
        self._persist(None, [(75, 3), (76, 3)])
        self._install((90, 4))
        self._persist(HardState(5, 2), [(index, 5) for index in range(91, 101)])
        self._persist(None, [(index, 5) for index in range(101, 126)])
        last = self._lose_newest_segment()
        self._persist(None, [(last + 1, 5)])
        self._lift_fence()
        self._stop_and_start()
        self._persist(None, [(index, 5) for index in range(last + 2, last + 12)])

    def open(self, disk: SimDisk) -> Journal:
        """The journal on a disk, as the script would open it now."""
        return open_journal(disk, self.held, may_lose_tail=self.is_losing)

    def _attempt(self, after: Truth, act: Callable[[], None]) -> None:
        self.pending = after
        act()
        self.sure, self.pending = after, None
        assert self.journal is not None, "it is open"
        self.journal.invariants()

    def _persist(self, hard: HardState | None, entries: list[Position]) -> None:
        after = self.sure.copy()
        after.hard_state = hard or after.hard_state
        if entries:
            kept = {it: term for it, term in after.entries.items() if it < entries[0][0]}
            after.entries = kept | dict(entries)
        assert self.journal is not None, "it is open"
        journal = self.journal
        self._attempt(after, lambda: journal.persist(hard, [make_entry(*it) for it in entries]))

    def _compact(self, index: int) -> None:
        assert self.journal is not None, "it is open"
        journal = self.journal
        after = self.sure.copy()
        after.floor = index
        self._attempt(after, lambda: journal.compact(index))

    def _repair(self, index: int) -> None:
        """An entry rots, is found out, and is brought back."""
        assert self.journal is not None, "it is open"
        place = self.journal.place(index)
        path = next(it for it in rot.segments(self.disk) if int(it.name[:16], 16) == place.sequence)
        rot.flip(self.disk, path, place.offset + 70)
        assert not self.journal.entries(index, index + 1, 1), "it is damaged"
        # Until it is repaired it may be damaged after a cut; its identity stays.
        self.journal.repair(index, make_entry(index, self.sure.entries[index]).payload)

    def _install(self, position: Position) -> None:
        assert self.journal is not None, "it is open"
        journal = self.journal
        after = Truth({}, HardState(max(position[1], self.sure.hard_state.term)), position[0])
        self.held = position
        self._attempt(after, lambda: journal.begin_behind(*position))

    def _lose_newest_segment(self) -> int:
        """A file is gone: what is left begins anew, fenced; say where it ends."""
        assert self.journal is not None, "it is open"
        self.journal.close()
        newest = rot.segments(self.disk)[-1]
        # What is left is written again; until it is, none of it need be there.
        after = Truth({}, self.sure.hard_state, self.sure.floor, is_fenced=True)
        self.is_losing = True

        def lose() -> None:
            self.disk.unlink(newest)
            self.disk.sync_directory(newest.parent)
            self.journal = self.open(self.disk)

        self._attempt(after, lose)
        self.is_losing = False
        last = self.journal.last_index
        assert self.journal.is_fenced, "nobody knows how much was promised"
        assert last > self.sure.floor, "something is left"
        self.sure.entries = dict.fromkeys(range(self.journal.first_index, last + 1), 5)
        return last

    def _lift_fence(self) -> None:
        assert self.journal is not None, "it is open"
        after = self.sure.copy()
        after.is_fenced = False
        self._attempt(after, self.journal.lift_fence)

    def _stop_and_start(self) -> None:
        assert self.journal is not None, "it is open"
        self.journal.close()
        self.journal = self.open(self.disk)

    def check(self, journal: Journal) -> bool:
        """Whether what came back is what it must be; doubtful entries are dropped first.

        Raises:
            AssertionError: it is not.

        """
        is_doubtful = bool(journal.damaged)
        if is_doubtful:
            index = journal.first_damaged
            is_known = self.sure.entries.get(index) == journal.term_at(index)
            if is_known and all(it.is_certain for it in journal.damaged.values()):
                for it in list(journal.damaged):  # it had rotted when the power was cut
                    journal.repair(it, make_entry(it, journal.term_at(it) or 0).payload)
            else:
                assert not any(it.is_certain for it in journal.damaged.values()), "no cut damages"
                journal.drop_from(index)
        found = {}
        if journal.first_index <= journal.last_index:
            rows = journal.entries(journal.first_index, journal.last_index + 1, 1 << 40)
            for row in rows:
                assert row == make_entry(row.index, row.term), "an entry nobody wrote"
                found[row.index] = row.term
            assert len(found) == journal.last_index + 1 - journal.first_index, "a hole"
        allowed = [self.sure, *([self.pending] if self.pending else [])]
        assert journal.hard_state in [it.hard_state for it in allowed], "a vote was forgotten"
        assert journal.is_fenced in [it.is_fenced for it in allowed], "a fence was forgotten"
        assert any(_is_between(found, journal, self.sure, it) for it in allowed), (
            f"{len(found)} entries from {journal.first_index} to {journal.last_index}"
        )
        return is_doubtful


def _is_between(found: dict[int, int], journal: Journal, sure: Truth, after: Truth) -> bool:
    """Whether everything acknowledged is there, but for what `after` replaces, and nothing else."""
    floor = max(journal.first_index - 1, after.floor)
    for index, term in sure.entries.items():
        is_replaced = after.entries.get(index) != term
        if index > floor and found.get(index) != term and not is_replaced:
            return False
    known = set(sure.entries.items()) | set(after.entries.items())
    return all(item in known for item in found.items())


def count_calls() -> int:
    """Device calls of the whole script."""
    disk = SimDisk()
    Script(disk).run()
    return disk.calls


def states_after(disk: SimDisk, dice: random.Random) -> Iterator[SimDisk]:
    """The states that a power cut may leave, all of them or DRAWN_SUBSETS."""
    pending = [(path, sector) for path, file in disk.files.items() for sector in file.pending]
    names = disk.names_after_cut()
    if len(pending) <= SUBSET_BITS:
        subsets = list(product((False, True), repeat=len(pending)))
    else:
        subsets = [tuple(dice.random() < 0.5 for _ in pending) for _ in range(DRAWN_SUBSETS)]
        subsets += [tuple([False] * len(pending)), tuple([True] * len(pending))]
    for kept in subsets:
        chosen = {it for it, is_kept in zip(pending, kept, strict=True) if is_kept}
        # Which names are there does not depend on which sectors are: one of them each time.
        yield _cut(disk, dice.choice(names), chosen)


def _cut(disk: SimDisk, names: dict[Path, SimFile], chosen: set[tuple[Path, int]]) -> SimDisk:
    after = SimDisk()
    after.boots = disk.boots + 1
    after.directories = set(disk.directories)
    origin = {id(file): path for path, file in disk.files.items()}
    for path, file in names.items():
        sectors = {sector for source, sector in chosen if source == origin.get(id(file))}
        after.files[path] = file.with_sectors(after, sectors)
    after.durable_names = dict(after.files)
    return after


@dataclass(slots=True)
class Totals:
    """What a campaign saw."""

    states: int = 0
    cuts: int = 0
    double: int = 0
    doubtful: int = 0
    wrong: list[str] = field(default_factory=list)


def run_states(
    count: int, say: Callable[[Totals], None] = lambda _totals: None, first_seed: int = 0
) -> Totals:
    """Look at `count` states at least, all cuts of the script in each round, a seed a round."""
    totals, calls, seed = Totals(), count_calls(), first_seed
    while totals.states < count:
        for fail_at in range(1, calls + 1):
            totals.cuts += 1
            _run_cut(fail_at, random.Random(f"{seed}/{fail_at}"), totals)  # noqa: S311 - replayed
            say(totals)
            if totals.states >= count and seed > first_seed:
                break
        seed += 1
    return totals


def _run_cut(fail_at: int, dice: random.Random, totals: Totals) -> None:
    disk = SimDisk()
    script = Script(disk)
    if not script.run(fail_at):
        return
    for number, state in enumerate(states_after(disk, dice)):
        totals.states += 1
        try:
            if number % 10 == 0:
                state = _cut_recovery(script, state, dice)
                totals.double += 1
            totals.doubtful += script.check(script.open(state))
        except (AssertionError, JournalError, OSError) as error:
            totals.wrong.append(f"cut {fail_at}, state {number}: {error}")


def _cut_recovery(script: Script, state: SimDisk, dice: random.Random) -> SimDisk:
    """Cut the power once more, somewhere in the recovery."""
    state.cut_at(dice.randint(1, 25))
    try:
        script.open(state)
    except PowerCut:
        state.is_cut_at = False
        return dice.choice(list(states_after(state, dice)))
    state.fail_at = 0
    return state.crash(dice, keep=0.0)


@click.command()
@click.option("--states", default=1_000_000, show_default=True, help="States to look at.")
@click.option("--seed", default=0, show_default=True, help="Of the first round; others follow.")
def main(states: int, seed: int) -> None:
    """Print what was seen; exit code 1 when a state was not recovered as it must be."""

    def say(totals: Totals) -> None:
        if totals.cuts % 50 == 0:
            click.echo(f"\r{totals.states:,} states", nl=False, err=True)

    totals = run_states(states, say, seed)
    click.echo(err=True)
    for name in ("states", "cuts", "double", "doubtful"):
        click.echo(f"{name}: {getattr(totals, name):,}")
    click.echo(f"wrong: {len(totals.wrong)}")
    for text in totals.wrong[:20]:
        click.echo(text)
    sys.exit(1 if totals.wrong else 0)


if __name__ == "__main__":
    main()
