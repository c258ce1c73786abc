"""Purging, as an operator asks for it: with proof, decided for all, carried out slice by slice.

    purge      ask every member how far it has heard everybody; prove by that what nobody needs;
               have it written where all read it (`facts`)
    look       carry out what is written, a slice of names at a time between requests of clients

What is carried out is noted in the row `purged` of the tree `meta`, when all of it is: a member
that was away, or is killed amid it, does it from the beginning, and nothing is changed by that.
In one round owners make dead parts gone, and in a second, when all know that, everybody removes
them: so a purge asked twice leaves less than once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from roost.counters import facts, registry, upkeep
from roost.counters.changing import Steps
from roost.counters.counting import Counting
from roost.counters.errors import PurgeRefused
from roost.counters.facts import Facts
from roost.counters.facts import Purge as AskedPurge
from roost.counters.ports import transact, wait_fresh
from roost.counters.reports import Reports
from roost.counters.store import Answer, Store
from roost.counters.upkeep import Slice
from roost.errors import RoostError

_ROW = b"purged"


@dataclass(frozen=True, slots=True)
class Purge:
    """Up to which version of whom everybody purges, by names; and who was not heard for it."""

    proof: dict[str, int]
    left_out: list[str]


@dataclass(frozen=True, slots=True)
class Purged:
    """How far a purge is that is being carried out: counters of all, and since when."""

    done_count: int
    total_count: int
    began_s: float


class Purging:
    """One member's."""

    def __init__(self, counting: Counting, reports: Reports) -> None:
        """Carry out what is decided, as often as `counting` looks."""
        self._counting = counting
        self._reports = reports
        # None = none is being carried out.
        self.progress: Purged | None = None
        counting.lookers.append(self.look)

    async def purge(self, *, is_forced: bool = False, is_dry: bool = False) -> Purge:
        """Have everybody purge what everybody knows; a dry one says only what that is now.

        Forced, members that do not answer are left out: what they lack may come back with them.

        Raises:
            PurgeRefused: somebody who counts has not said how far it is.
            RoostError: this member does not serve, or nobody leads.

        """
        counting = self._counting
        if counting.check_ready() is None or counting.exchange is None:
            raise PurgeRefused("nobody has counted yet")
        await wait_fresh(counting.replica)
        counting.look_at_facts()
        found = counting.known.facts
        wanted = {it.epoch for it in found.counting()}
        reports = await self._reports.collect_twice(wanted)
        proof = registry.purge_proof(found.registered(), reports, is_forced=is_forced)
        if not is_dry:
            await self._decide(found, proof)
        told: dict[str, int] = {}
        for epoch, version in proof.items():
            name = found.name_of(epoch)
            told[name] = max(version, told.get(name, 0))
        silent = [it for it in found.registered() if not it.is_retired and it.epoch not in reports]
        return Purge(told, [it.name for it in silent])

    async def _decide(self, found: Facts, proof: Mapping[bytes, int]) -> None:
        asked = AskedPurge(edition=found.edition, proof=dict(proof))
        await transact(self._counting.replica, facts.PURGE, facts.encode(asked))

    def look(self) -> None:
        """Carry out what is decided, unless that is done, or under way."""
        store, found = self._counting.store, self._counting.known.facts
        if store is None or self.progress is not None or found.purge_number <= _purged(store):
            return
        now_s = self._counting.around.clock_s()
        self._run_slice(found, b"", Purged(0, store.trees.count("parts"), now_s))

    def _run_slice(self, found: Facts, after: bytes, progress: Purged) -> None:
        """One slice of names, as if a client had asked for it."""
        self.progress = progress
        slices: list[Slice] = []

        def begin(store: Store) -> Steps:
            yield  # as everybody's, it waits for its turn
            slices.append(upkeep.purge_slice(store, found.purge, after))
            if slices[0].after is None:
                row = found.purge_number.to_bytes(8, "big")
                store.layers.assembling.rows["meta"][_ROW] = row
            return Answer([], store.step)

        def done(outcome: list[int | None] | RoostError) -> None:
            if isinstance(outcome, RoostError) or not slices or slices[0].after is None:
                self.progress = None  # it is done; or it begins again with a later look
            else:
                done_count = progress.done_count + slices[0].name_count
                self._run_slice(found, slices[0].after, replace(progress, done_count=done_count))

        self._counting.work_nowait(begin, done)


def _purged(store: Store) -> int:
    """The number of the purge that was carried out last."""
    row = store.layers.get("meta", _ROW)
    return 0 if row is None else int.from_bytes(row, "big")
