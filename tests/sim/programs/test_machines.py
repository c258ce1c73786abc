"""Machines under faults: what was acknowledged is in every copy, once, where it was said to be."""

import itertools
import random
from collections.abc import Awaitable, Callable
from typing import BinaryIO

import msgspec
import pytest

import roost
import roost.sim
from roost.aio import MachineHandle
from roost.database import Transaction
from roost.errors import NotExecuted, OutcomeUnknown
from roost.objects import Context, Machine, command, query
from roost.objects.layouts.heads import HEAD
from roost.objects.layouts.machines import LAST, Kept, MachineHead, Snapshot, last_of
from roost.objects.replica import Replica
from roost.sim import Broken, Session
from tests.samples import SAMPLES

nothing = roost.Operations("nothing")
OFTEN = roost.SnapshotPolicy(commands=15, tail=3)
TRIES = 6


@pytest.fixture(autouse=True)
def _no_seeds_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOST_SEED", "ROOST_SEEDS"):
        monkeypatch.delenv(name, raising=False)


class Ledger(Machine):
    """Who has written, in order."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @command
    def note(self, context: Context, who: str) -> int:
        assert context.index == len(self.notes) + 1, "each command is a note, and none is missed"
        self.notes.append(who)
        return len(self.notes)

    @query
    def read(self) -> list[str]:
        return self.notes

    def save(self, out: BinaryIO) -> None:
        out.write(msgspec.msgpack.encode(self.notes))

    def load(self, source: BinaryIO) -> None:
        self.notes = msgspec.msgpack.decode(source.read(), type=list[str])


class Witness:
    """What clients were told in one seed, and whether it can be so."""

    kind: type[Ledger] = Ledger

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.never: set[str] = set()
        self.read: list[str] = []
        self.reads = self.unknown = 0
        self._names = itertools.count()

    async def visit(self, session: Session, dice: random.Random) -> None:
        ledger = await session.database.machine("ledger", self.kind, policy=OFTEN, wait_s=2.0)
        if dice.random() < 0.3:
            await self.look(ledger)
        elif dice.random() < 0.5:
            await self.write(ledger, f"w{next(self._names)}")
        else:
            await self.write_surely(ledger, f"s{next(self._names)}")

    async def look(self, ledger: MachineHandle[Ledger]) -> None:
        acknowledged, before = dict(self.places), list(self.read)
        notes = await ledger.ask(Ledger.read)
        assert len({*notes}) == len(notes), "one was carried out twice"
        for who, place in acknowledged.items():
            assert notes[place - 1 : place] == [who], f"{who} was at {place}, and is not"
        assert notes[: len(before)] == before, "what was read before is gone, or has changed"
        assert self.never.isdisjoint(notes), "one was carried out that was not executed"
        self.reads += 1
        self.read = max(self.read, notes, key=len)

    async def write(self, ledger: MachineHandle[Ledger], who: str) -> None:
        try:
            place = await ledger.run(Ledger.note, who)
        except NotExecuted:
            self.never.add(who)
            raise
        except OutcomeUnknown:
            self.unknown += 1
            raise
        self.places[who] = place

    async def write_surely(self, ledger: MachineHandle[Ledger], who: str) -> None:
        for left in range(TRIES, 0, -1):
            try:
                place = await ledger.run(Ledger.note, who, once=who)
            except (NotExecuted, OutcomeUnknown):
                if left == 1:
                    raise
            else:
                assert self.places.setdefault(who, place) == place
                return


def is_whole(txn: Transaction) -> bool:
    """Whether what is here is enough for a copy: a snapshot, and all commands behind it."""
    rows = dict(txn.tree("machines/ledger").items())
    if not rows:
        return True
    snapshot = msgspec.msgpack.decode(rows.pop(HEAD), type=MachineHead).snapshot
    last = last_of(rows.pop(LAST))
    indexes = [int.from_bytes(key[1:], "big") for key in rows]
    begun = 0 if snapshot is None else snapshot.index
    return indexes == [*range(indexes[0], last + 1)] and indexes[0] <= begun + 1


def run(seed: int, make: Callable[[], Witness] = Witness) -> Witness:
    witness = make()
    visit: Callable[[Session, random.Random], Awaitable[None]] = witness.visit
    roost.sim.check(operations=[nothing], client=visit, invariant=is_whole, seeds=[seed])
    return witness


@pytest.mark.slow
def test_what_was_acknowledged_is_there_once_and_in_its_place() -> None:
    seen = [run(seed) for seed in range(4 * SAMPLES)]
    assert sum(len(it.places) for it in seen) > 100
    assert sum(it.reads for it in seen) > 30
    assert any(it.unknown for it in seen)
    assert any(it.never for it in seen)


def run_many(make: Callable[[], Witness]) -> None:
    for seed in range(40):
        run(seed, make)


class AsksTwice(Witness):
    """Asks again without a key."""

    async def write_surely(self, ledger: MachineHandle[Ledger], who: str) -> None:
        try:
            await ledger.run(Ledger.note, who)
        except OutcomeUnknown:
            self.places[who] = await ledger.run(Ledger.note, who)


class Careless(Ledger):
    """Forgets its last note when it is saved."""

    def save(self, out: BinaryIO) -> None:
        out.write(msgspec.msgpack.encode(self.notes[:-1]))


class Forgets(Witness):
    kind = Careless


class Chancy(Ledger):
    """Draws from chance of its own."""

    @command
    def note(self, context: Context, who: str) -> int:
        return super().note(context, who) + random.choice((0, 1))


class Draws(Witness):
    kind = Chancy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (AsksTwice, "carried out twice"),
        (Forgets, "each command is a note|is not|has changed"),
        (Draws, "come to other results|is not"),
    ],
)
def test_what_is_wrong_with_a_machine_or_its_client_is_found(
    make: Callable[[], Witness], said: str
) -> None:
    with pytest.raises(Broken, match=said):
        run_many(make)


@pytest.mark.slow
def test_a_copy_that_goes_on_from_the_wrong_command_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Replica.go_on_from

    def wrong(self: Replica, snapshot: Snapshot, kept: dict[int, Kept]) -> None:
        right(self, snapshot, kept)
        self.applied_index -= 1

    monkeypatch.setattr(Replica, "go_on_from", wrong)
    with pytest.raises(Broken):
        run_many(Witness)
