"""Votes: a data model in one file, as docs/how-to/data-model.md shows it; see `test_model.py`.

    votes    name -> u64, how many votes it has

A vote is for a name.  Now and then the member that leads has all votes count half, and those that
come to nothing are gone.  Whoever wants to hears, on any member, what a name has come to; `total`
says how many votes there are in one state of all of them, however long that takes to read.

Full?  SUMS_MAX totals are made at a time; one more is refused (`Overloaded`).
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from roost.database import model
from roost.database.model import Changes, Long, LongChanges, Steps, Txn, View, Walk
from roost.errors import ModelRefused, Overloaded, RoostError
from roost.figures import Figure
from roost.outcome import Outcome, settle_future
from roost.slices import Slices

TREE = "votes"
GIVE, HALVE = "votes.give", "votes.halve"
NAME_BYTES_MAX = 100
HALVED_EVERY_S = 3600.0
# About a millisecond of reading.
SLICE_ROWS = 250
SUMS_MAX = 100
Heard = Callable[[int], None]


class Replica(model.Replica, model.Periodic, Protocol):
    """What votes ask of a member."""


def bootstrap(txn: Txn) -> None:
    """Make the tree of an empty store; it must do the same on every member."""
    txn.tree(TREE)


class Votes:
    """The votes of one member; made before that starts."""

    def __init__(self, replica: Replica, *, halved_every_s: float = HALVED_EVERY_S) -> None:
        """Register operations and observers; the tree was made by `bootstrap`."""
        self._replica = replica
        self._tree = replica.store.tree(TREE).id
        self._heard: dict[bytes, list[Heard]] = {}
        self._slices = Slices(1)
        self._is_halving = False
        self.summing_count = 0
        self.halved_count = 0
        replica.register(GIVE, self._give)
        replica.register(HALVE, self._halve)
        replica.observe(self._on_applied, trees=(self._tree,))
        replica.observe_switch(lambda: self._tell_all)
        replica.every(halved_every_s, self.look)

    # What runs where the cluster leads, whichever member was asked.

    def _give(self, txn: Txn, name: bytes) -> bytes:
        if not 0 < len(name) <= NAME_BYTES_MAX:
            raise ModelRefused(3, f"a name has 1 to {NAME_BYTES_MAX} bytes")
        row = (_count_of(txn, self._tree, name) + 1).to_bytes(8, "big")
        txn.put(self._tree, name, row)
        return row

    def _halve(self, txn: Txn, _body: bytes) -> bytes | Long:
        """Halve all votes: at once if they are few, or over many turns, and then all at once."""
        if len(txn.scan(self._tree, limit=SLICE_ROWS + 1)) > SLICE_ROWS:
            return Long(self._halved)
        for _ in self._halved(txn):
            pass
        return b""

    def _halved(self, txn: Txn) -> Steps:
        walk = Walk(txn, self._tree, b"", None)
        while not walk.is_done:
            for name, row in walk.take(SLICE_ROWS):
                if left := int.from_bytes(row, "big") // 2:
                    txn.put(self._tree, name, left.to_bytes(8, "big"))
                else:
                    txn.delete(self._tree, name)
            yield
        return b""

    # What this member does by itself.

    def look(self) -> None:
        """Have votes halved, if this member leads."""
        replica = self._replica
        if replica.leader_id == replica.member_id and not self._is_halving:
            self._is_halving = True
            replica.transact_nowait(HALVE, b"", self._on_halved)

    def _on_halved(self, outcome: Outcome) -> None:
        self._is_halving = False
        self.halved_count += isinstance(outcome, bytes)  # else it is due again next time

    # What is applied here.

    def hear(self, name: bytes, heard: Heard) -> None:
        """Have `heard(count)` called when a name's votes have changed."""
        self._heard.setdefault(name, []).append(heard)

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if not self._heard:
            return
        if isinstance(changes, LongChanges):
            self._tell_all()  # many rows: look for those that are heard, not the other way
            return
        for _, _, name, _ in changes.of_tree(self._tree):
            self._tell(name)

    def _tell_all(self) -> None:
        for name in self._heard:
            self._tell(name)

    def _tell(self, name: bytes) -> None:
        for heard in self._heard.get(name, ()):
            heard(_count_of(self._replica.view, self._tree, name))

    # What is asked of this member.

    async def give(self, name: bytes) -> int:
        """Give a vote; how many the name has then.

        Raises:
            RoostError: it was refused, did not run, or nobody knows.

        """
        given: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._replica.transact_nowait(GIVE, name, lambda outcome: settle_future(given, outcome))
        return int.from_bytes(await given, "big")

    async def count(self, name: bytes) -> int:
        """How many votes a name has, as of everything that was acknowledged before."""
        await self._barrier()
        return _count_of(self._replica.view, self._tree, name)

    async def total(self) -> int:
        """How many votes there are in one state; it is read a part a turn of the loop.

        Raises:
            RoostError: nobody could say what is acknowledged, or the state could not be read.

        """
        await self._barrier()
        if self.summing_count >= SUMS_MAX:
            raise Overloaded(f"{SUMS_MAX} totals are being made")
        self.summing_count += 1
        try:
            total: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._slices.run(self._summed(total))
            return await total
        finally:
            self.summing_count -= 1

    def _summed(self, total: asyncio.Future[int]) -> Iterator[None]:
        found, is_held = 0, False
        try:
            with self._replica.store.held_views.glimpse() as view:
                walk = Walk(view, self._tree, b"", None)
                while not walk.is_done and not total.cancelled():
                    found += sum(int.from_bytes(row, "big") for _, row in walk.take(SLICE_ROWS))
                    if not walk.is_done and not is_held:
                        view.hold()  # it has to last longer than this turn
                        is_held = True
                    yield
        except RoostError as error:
            settle_future(total, error)
        else:
            settle_future(total, found)

    async def _barrier(self) -> None:
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._replica.read_nowait(lambda error: settle_future(passed, error))
        await passed


def _count_of(view: View, tree_id: int, name: bytes) -> int:
    return int.from_bytes(view.get(tree_id, name) or b"", "big")


FIGURES: tuple[Figure[Votes], ...] = (
    Figure(
        "votes_totals",
        "gauge",
        "Totals that are being made.",
        lambda it: it.summing_count,
    ),
    Figure(
        "votes_halved_total",
        "counter",
        "Times that votes were halved, by the member that led.",
        lambda it: it.halved_count,
    ),
)
