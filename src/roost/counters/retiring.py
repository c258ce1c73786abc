"""Members that are away for good, as an operator says so: decided for all, stage by stage.

    retire     have it written that a member is away for good: nobody takes its changes any more
    look       carry out on this member what is written: get what others have of it, begin the
               fold, end it name by name, forget it (`upkeep`); where the cluster is led, see
               whether all are so far that the next stage may begin (`registry`), and have that
               written

What the owner had counted, and told anybody, counts all the same, before, meanwhile and after.
Every step may be taken twice, or be cut off: it is begun again by what is written.  A stage waits
for as long as somebody who counts does not answer; `waits_for` says for whom.
"""

import logging

from roost.counters import facts, registry, upkeep
from roost.counters.changing import Steps
from roost.counters.counting import Counting
from roost.counters.errors import RetireRefused
from roost.counters.facts import Facts, Fold, FoldStep, Retirement, Stage, Standing
from roost.counters.ports import entropy, transact, wait_fresh
from roost.counters.registry import Report
from roost.counters.reports import Reports
from roost.counters.rows import EPOCH_BYTES
from roost.counters.store import Answer, Store
from roost.errors import RoostError

logger = logging.getLogger(__name__)
# How often whoever leads looks whether the next stage may begin.
DRIVE_S = 0.5


class Retiring:
    """One member's."""

    def __init__(self, counting: Counting, reports: Reports) -> None:
        """Carry out what is decided, as often as `counting` looks."""
        self._counting = counting
        self._reports = reports
        self._is_working = self._is_driving = False
        self._drive_at_s = 0.0
        self._barrier: dict[bytes, int] = {}
        self._barrier_of = b""
        counting.lookers.append(self.look)

    async def retire(self, name: str) -> Facts:
        """Have it written that who counts under `name` is away for good; what is decided then.

        Asked again it changes nothing.

        Raises:
            RetireRefused: nobody has that name, it is the last one, or it is there.
            RoostError: this member does not serve, or nobody leads.

        """
        counting = self._counting
        if counting.check_ready() is None or counting.exchange is None:
            raise RetireRefused("nobody has counted yet")
        await wait_fresh(counting.replica)
        counting.look_at_facts()
        found = counting.known.facts
        owner = found.of_name(name)
        if owner is None:
            raise RetireRefused(f"nobody counts, or has counted, under the name {name!r}")
        if owner.standing is Standing.RETIRED:
            return found
        reports = await self._reports.collect(it.epoch for it in found.counting())
        if owner.epoch in reports:
            raise RetireRefused(f"{name} is there: it reports; stop it, and remove it first")
        fold = entropy(counting.chance, EPOCH_BYTES)
        asked = Retirement(name=name, fold=fold)
        await transact(counting.replica, facts.RETIRE, facts.encode(asked))
        counting.look_at_facts()
        return counting.known.facts

    async def waits_for(self) -> str:
        """Why the next stage does not begin yet; empty = it may, or there is none.

        Raises:
            RoostError: this member does not serve.

        """
        self._counting.check_ready()
        found = self._counting.known.facts
        if found.current_fold is None:
            return ""
        reports = await self._reports.collect(it.epoch for it in found.counting())
        try:
            self._prove(found, found.current_fold, reports)
        except RetireRefused as refusal:
            return str(refusal)
        return ""

    def look(self) -> None:
        """Carry out what is decided; and decide what follows, where the cluster is led."""
        counting = self._counting
        store, exchange, found = counting.store, counting.exchange, counting.known.facts
        if store is None or exchange is None:
            return
        fold = found.current_fold
        is_uniting = fold is not None and fold.stage is Stage.UNITING
        others = [it.member_id for it in found.counting() if it.epoch != store.epoch]
        exchange.unite(fold.owner if fold is not None and is_uniting else b"", others)
        self._carry_out()
        replica = counting.replica
        if fold is None or replica.leader_id != replica.member_id:
            return
        now_s = counting.around.clock_s()
        if not self._is_driving and now_s >= self._drive_at_s:
            self._drive_at_s = now_s + DRIVE_S
            self._is_driving = True
            counting.spawn(self._drive(found, fold))

    # What this member does.

    def _carry_out(self) -> None:
        """The next thing that is decided and not done here, if there is one."""
        store = self._counting.store
        if store is None or self._is_working:
            return
        for fold in self._counting.known.facts.folds:
            if fold.stage is not Stage.UNITING and _is_due(store, fold):
                self._is_working = True
                self._work(fold)
                return

    def _work(self, fold: Fold) -> None:
        """One step, as if a client had asked for it."""

        def begin(store: Store) -> Steps:
            yield  # as everybody's, it waits for its turn
            _take_step(store, fold)
            return Answer([], store.step)

        def done(outcome: list[int | None] | RoostError) -> None:
            self._is_working = False
            if not isinstance(outcome, RoostError):
                self._carry_out()  # else it begins again with a later look

        self._counting.work_nowait(begin, done)

    # What is decided.

    async def _drive(self, found: Facts, fold: Fold) -> None:
        """See whether the next stage may begin, and have that written."""
        try:
            reports = await self._reports.collect(it.epoch for it in found.counting())
            proof = self._prove(found, fold, reports)
            asked = FoldStep(
                edition=found.edition,
                fold=fold.epoch,
                stage=Stage(fold.stage + 1),
                proof=proof,
            )
            await transact(self._counting.replica, facts.FOLD, facts.encode(asked))
        except RoostError as refusal:
            logger.debug("%s is not folded yet: %s", found.name_of(fold.owner), refusal)
        finally:
            self._is_driving = False

    def _prove(self, found: Facts, fold: Fold, reports: dict[bytes, Report]) -> dict[bytes, int]:
        """That the next stage may begin; up to which versions all have heard each other, for it.

        Raises:
            RetireRefused: it may not; the text says why.

        """
        known = found.registered()
        match fold.stage:
            case Stage.UNITING:
                registry.may_begin_fold(known, [fold.owner], reports)
                if found.is_linked:
                    raise RetireRefused(facts.LINKED)
            case Stage.FOLDING:
                # The first barrier will do: a later one would move on while others count.
                if self._barrier_of != fold.epoch:
                    barrier = registry.fold_barrier(known, fold.epoch, reports)
                    self._barrier, self._barrier_of = barrier, fold.epoch
                lacking = registry.lacking(known, reports, self._barrier)
                if lacking:
                    raise RetireRefused("; ".join(lacking))
                return self._barrier
            case _:
                registry.may_forget_fold(known, fold.epoch, reports)
        return {}


def _is_due(store: Store, fold: Fold) -> bool:
    """Whether something of a fold is decided, and not done here."""
    number = store.owners.numbers.get(fold.epoch)
    if store.epoch == fold.owner:
        return False  # it counts no more
    if number is None or not store.owners.is_fold(number):
        return True
    if fold.stage >= Stage.ENDING and store.owners.cursor_of(number) is not None:
        return True
    return fold.stage is Stage.ENDED and not store.owners.is_forgotten(number)


def _take_step(store: Store, fold: Fold) -> None:
    """Do one thing of it: begin, end some names, or forget."""
    number = store.owners.numbers.get(fold.epoch)
    if number is None or not store.owners.is_fold(number):
        upkeep.begin_fold(store, fold.epoch, [fold.owner])
    elif store.owners.cursor_of(number) is not None:
        upkeep.end_fold_slice(store, fold.epoch)
    elif not store.owners.is_forgotten(number):
        upkeep.forget_fold(store, fold.epoch)
