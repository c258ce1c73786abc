"""All derived trees of one member: told what is applied, and given turns to work.

    Store.observe -> Deriving -> DerivingTree, one a tree -> the second environment

A turn of the loop has one tree look at a slice (`deriving_tree`), which is one write set.  Trees
take turns.  Rows that were changed come first.  A walk over many rows, as for a tree that is made
anew, pauses for PAUSE_PARTS times what a slice took of the processor, if the member has applied
something since the slice before: turns are short then, and counting them would leave others
nothing.  When no tree has anything to do, pairs that were dropped are emptied.

An environment that fails is made anew, RENEWALS_MAX times in the member's life; then all derived
trees have ended, and the rest of the database goes on.

Full?  While the environment's memory is full, because the disk is slow, no tree works, and what is
changed is noted (`dirty`, which has a bound).  There are TREES_MAX trees; one more is refused.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from roost.database import derived_rows as layout
from roost.database.derivations import Derivation
from roost.database.derived_status import DerivedStatus, derived_status
from roost.database.deriving_tree import DerivingTree, State
from roost.database.environment import Environment
from roost.database.errors import (
    BadDeclaration,
    DerivedDropped,
    DerivedFailed,
    DerivedLost,
    Rebuilding,
)
from roost.database.limits import Limits
from roost.errors import Overloaded, RoostError
from roost.faces import Closed
from roost.member import Member, World
from roost.store import METADATA_ID, Changes, StoreError, View, Walk
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
TREES_MAX = 64
PAUSE_PARTS = 4
RENEWALS_MAX = 3
TICK_S = 0.25
# How far a tree that has nothing to do may be behind in what is kept of it: the log goes back
# further, so a start need not look at all of it.
KEEP_ENTRIES = 500
CLEANED_ROWS = 200


class Deriving:
    """See the module; one owner, one loop."""

    def __init__(
        self, member: Member, world: World, limits: Limits, *, check: Callable[[], None]
    ) -> None:
        """There is none; `check()` raises when nobody can be answered any more."""
        self._member = member
        self._world = world
        self._limits = limits
        self._check = check
        self._trees: dict[str, DerivingTree] = {}
        self._line: deque[DerivingTree] = deque()
        self._dropped: deque[int] = deque()
        # Of the first that was dropped: trees that are empty, and where the next is.
        self._cleaned_count, self._cleaned_up_to = 0, b""
        self._environment: Environment | None = None
        self._opening = asyncio.Lock()
        self._is_observing = self._is_over = self._is_scheduled = False
        self._renewal_count = 0
        # What was applied at the last walk, and when the next may be.
        self._seen_index, self._walk_at_s = 0, 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = Tasks()

    async def attach(self, derivation: Derivation[Any, Any]) -> DerivingTree:
        """Have a tree derived from now on; it goes on where it was.

        Raises:
            BadDeclaration: another one of that name is derived here.
            NotYourTree, OtherCodec: the source holds something else.
            Overloaded: as many are as can be.
            DerivedLost: the environment cannot be opened.

        """
        async with self._opening:
            self._check()
            held = self._trees.get(derivation.name)
            if held is not None:
                if held.derivation is derivation:
                    return held
                raise BadDeclaration(f"{derivation.name} is declared twice: rename one of them")
            if len(self._trees) >= TREES_MAX:
                raise Overloaded(f"{TREES_MAX} derived trees are all there can be")
            await self._open()
            tree = DerivingTree(self._member, derivation, self._limits)
            self._begin(tree)
            if tree.error is not None:
                raise tree.error
            self._trees[tree.name] = tree
            self._line.append(tree)
            self._schedule()
            return tree

    async def _open(self, *, is_anew: bool = False) -> Environment:
        """The environment; opened with the first tree."""
        if self._environment is not None:
            return self._environment
        if self._renewal_count > RENEWALS_MAX:
            raise DerivedLost("the store of derived trees has failed too often: see the log")
        member = self._member
        try:
            found = await Environment.open(
                self._world,
                member.config.data_dir,
                member.cluster_id,
                on_failure=self._on_failure,
                is_anew=is_anew,
            )
        except (StoreError, OSError) as error:
            raise DerivedLost(f"the store of derived trees cannot be opened: {error}") from error
        if self._is_over:
            found.abandon()
            self._check()
            raise Closed("the database was closed")
        self._environment = found
        found.store.on_room = self._schedule
        rows = found.store.view.scan(METADATA_ID, layout.DROPPED, layout.DROPPED + b"\xff")
        self._dropped = deque(int(key.removeprefix(layout.DROPPED)) for key, _ in rows)
        self._cleaned_count, self._cleaned_up_to = 0, b""
        if not self._is_observing:
            self._is_observing = True
            member.observe(self._on_write_set)
            member.observe_switch(lambda: self._on_switched)
            member.every(TICK_S, self._tick)
        return found

    def _begin(self, tree: DerivingTree) -> None:
        """Find what there is of a tree, or a pair for it."""
        environment = self._environment
        assert environment is not None, "it is open"
        rows = environment.store.view.scan(
            METADATA_ID, layout.REGISTERED, layout.REGISTERED + b"\xff"
        )
        registered = {key: found for key, row in rows if (found := layout.registered_of(row))}
        kept = registered.get(layout.registered_name(tree.name))
        taken = {it.pair for it in registered.values()} | {*self._dropped}
        taken |= {it.pair for it in self._trees.values()}
        pair = kept.pair if kept else next(it for it in range(1, 1 << 15) if it not in taken)
        txn = environment.store.begin()
        rows_id = txn.tree(layout.rows_tree(pair)).id
        back_id = txn.tree(layout.back_tree(pair)).id
        environment.commit(txn)
        if kept is None or kept.made_by != layout.made_by(tree.derivation):
            logger.info("%s is made anew, version %d", tree.name, tree.derivation.version)
        tree.begin(pair, rows_id, back_id, kept)

    @property
    def applied_index(self) -> int:
        """How far the member has come."""
        return self._member.store.applied_index

    @property
    def view(self) -> View:
        """What is derived, now.

        Raises:
            Rebuilding: the environment is being made anew.

        """
        if self._environment is None:
            raise Rebuilding("the store of derived trees is being made anew")
        return self._environment.store.view

    def _on_write_set(self, index: int, changes: Changes) -> None:
        for it in self._line:
            it.note(index, changes)
        self._schedule_if_due()

    def _on_switched(self) -> None:
        """A snapshot took the place of everything."""
        for it in self._line:
            it.look_at_all()
        self._schedule_if_due()

    def _tick(self) -> None:
        environment = self._environment
        if environment is None or self._is_over:
            return
        environment.look(self._world.clock_s())
        applied = self._member.store.applied_index
        for it in self._line:
            is_idle = it.state is State.LIVE and it.dirty.is_empty
            if is_idle and it.kept and applied - it.kept.done_index >= KEEP_ENTRIES:
                self._keep(environment, it)
        self._schedule_if_due()

    def _keep(self, environment: Environment, tree: DerivingTree) -> None:
        txn = environment.store.begin()
        tree.keep(txn)
        environment.commit(txn)

    def _schedule_if_due(self) -> None:
        if any(it.is_pressing for it in self._line):
            self._schedule()
        elif self._dropped or any(it.has_work for it in self._line):
            loop = asyncio.get_running_loop()
            if loop.time() >= self._walk_at_s:
                self._schedule()
            elif self._timer is None:
                self._timer = loop.call_at(self._walk_at_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._is_over:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Have one tree look at a slice."""
        self._is_scheduled = False
        environment = self._environment
        if environment is None or self._is_over or environment.store.is_backed_up:
            return
        try:
            self._go_on(environment)
        except StoreError as error:
            self._on_failure(error)
            return
        self._schedule_if_due()

    def _go_on(self, environment: Environment) -> None:
        spent_s = self._world.spent_s()
        may_walk = asyncio.get_running_loop().time() >= self._walk_at_s
        for _ in range(len(self._line)):
            tree = self._line[0]
            self._line.rotate(-1)
            if not tree.has_work:
                continue
            if tree.state is not State.LIVE:
                tree.look()
                tree.tell_waiting()
                return
            if tree.dirty.has_keys or may_walk:
                is_walk = may_walk and bool(tree.dirty.ranges)
                self._work(environment, tree, may_walk=may_walk)
                if is_walk:
                    self._pause(spent_s)
                return
        if self._dropped and may_walk:
            self._clean(environment)
            self._pause(spent_s)

    def _pause(self, spent_s: float) -> None:
        """A slice of a walk began then and is over: leave the loop to others, if there are some."""
        applied = self._member.store.applied_index
        if applied != self._seen_index:
            took_s = self._world.spent_s() - spent_s
            self._walk_at_s = asyncio.get_running_loop().time() + PAUSE_PARTS * took_s
        self._seen_index = applied

    def _work(self, environment: Environment, tree: DerivingTree, *, may_walk: bool) -> None:
        was_built = tree.is_built
        txn = environment.store.begin()
        txn.gather()  # rows, and what was made of which: nobody asks which came first
        try:
            tree.work(txn, may_walk=may_walk)
        except DerivedFailed as error:
            logger.exception("the derived tree %s stands still", tree.name)
            tree.end(error)
            return
        environment.commit(txn)
        if tree.is_built and not was_built:
            logger.info("%s is complete", tree.name)
        tree.tell_waiting()

    def _clean(self, environment: Environment) -> None:
        """Remove some of what was dropped."""
        pair = self._dropped[0]
        txn = environment.store.begin()
        names = (layout.rows_tree(pair), layout.back_tree(pair))
        tree_id = txn.tree(names[self._cleaned_count]).id
        # What was removed before is passed by going on behind it.
        walk = Walk(environment.store.view, tree_id, self._cleaned_up_to, None, keys_only=True)
        for key, _ in walk.take(CLEANED_ROWS):
            txn.delete(tree_id, key)
        self._cleaned_up_to = walk.place
        if walk.is_done:
            self._cleaned_up_to = b""
            self._cleaned_count += 1
        if self._cleaned_count == len(names):
            self._cleaned_count = 0
            self._dropped.popleft()
            txn.delete(METADATA_ID, layout.dropped_name(pair))
        environment.commit(txn)

    async def drop(self, name: str) -> bool:
        """Have a tree no more: it is gone at once, and emptied later.  Whether there was one.

        Raises:
            DerivedLost: the environment cannot be opened.

        """
        async with self._opening:
            self._check()
            environment = await self._open()
            tree = self._trees.pop(name, None)
            if tree is not None:
                self._line.remove(tree)
                tree.end(DerivedDropped(f"the derived tree {name!r} was dropped"))
            txn = environment.store.begin()
            pair = layout.drop_from(txn, name)
            environment.commit(txn)
            if pair:
                self._dropped.append(pair)
                self._schedule()
            return tree is not None or pair > 0

    def _on_failure(self, error: StoreError) -> None:
        """The environment cannot be used any more; we may be deep inside it."""
        if self._is_over or self._environment is None:
            return
        environment, self._environment = self._environment, None
        self._renewal_count += 1
        logger.warning("the store of derived trees has failed, and is made anew: %s", error)
        for it in self._line:
            it.lose()
        self._tasks.start(self._renew(environment))

    async def _renew(self, environment: Environment) -> None:
        async with self._opening:
            environment.abandon()
            try:
                await self._open(is_anew=True)
                for it in self._line:
                    if it.state is not State.ENDED:
                        self._begin(it)
            except (RoostError, OSError) as error:
                if not self._is_over:
                    logger.exception("derived trees are given up")
                    for it in self._line:
                        it.end(DerivedLost(f"the derived tree {it.name!r} is lost: {error}"))
                return
        self._schedule_if_due()

    @property
    def renewal_count(self) -> int:
        """How often the environment has failed, and was made anew."""
        return self._renewal_count

    def statuses(self) -> tuple[DerivedStatus, ...]:
        """What is derived here, by name."""
        return tuple(derived_status(self._trees[name]) for name in sorted(self._trees))

    async def close(self) -> None:
        """The member has ended: what there is is kept, and whoever waits is told."""
        environment = self._end()
        await self._tasks.close()
        if environment is not None:
            try:
                for it in self._line:
                    if it.state is State.LIVE:
                        self._keep(environment, it)
                environment.close()
            except StoreError as error:
                logger.warning("the store of derived trees was not closed in order: %s", error)
                environment.abandon()
        self._tell_all()

    def abandon(self) -> None:
        """End as a crash would: nothing is kept."""
        environment = self._end()
        self._tasks.cancel()
        if environment is not None:
            environment.abandon()
        self._tell_all()

    def _end(self) -> Environment | None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        environment, self._environment = self._environment, None
        return environment

    def _tell_all(self) -> None:
        for it in self._line:
            it.end(Closed("the database was closed: open it again"))
