"""Members of a run that are databases with a program's operations, and what must hold of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from roost.database import Limits, Operation, Transaction, declared
from roost.database.embedded import Bare, Embedded, Rooms
from roost.database.rows import Row, scan_view
from roost.member import Member
from roost.program.aio import Database
from roost.settings import Settings
from roost.sim.members.judge import Violation
from roost.sim.members.machines import Life, Machine
from roost.sim.members.turns import aside
from roost.sim.programs.errors import InvariantWrote
from roost.store import Changes, View, check_name

Invariant = Callable[[Transaction], object]


class Look:
    """Rows of what a member has applied, for somebody who only looks; see `database.rows.Rows`."""

    def __init__(self, view: View) -> None:
        """Look at `view`."""
        self._view = view

    def open(self, tree: str, key: str, value: str) -> None:
        """See `Rows.open`."""
        declared.check_codecs(tree, self._find(tree).declared, key, value)

    def _find(self, tree: str) -> declared.Found:
        check_name(tree)
        return declared.find(self._view, tree)

    def get(self, tree: str, key: bytes) -> bytes | None:
        """See `Rows.get`."""
        tree_id = self._find(tree).id
        return None if tree_id is None else self._view.get(tree_id, key)

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[Row]:
        """See `Rows.scan`."""
        tree_id = self._find(tree).id
        return scan_view(self._view, tree_id, first, stop, reverse=reverse, limit=limit)

    def put(self, *_: object) -> None:
        """Nobody writes here.

        Raises:
            InvariantWrote: somebody tries.

        """
        raise InvariantWrote(
            "an invariant looks at trees, and writes nothing: return False, or raise"
        )

    delete = delete_range = describe = annotate = put

    def forget(self, *_: object) -> int:
        """Nothing was written here."""
        return 0

    def savepoint(self) -> object:
        """There is nothing to come back to."""
        return None

    def rollback(self, mark: object) -> None:
        """There is nothing to undo."""


def check_invariant(invariant: Invariant, member: Member, *, where: str) -> None:
    """Have the program's invariant look at what a member has applied.

    Raises:
        Violation: it does not hold, or fails.

    """
    index = member.store.applied_index
    txn = Transaction(Look(member.view))
    try:
        with aside():
            held = invariant(txn)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise Violation(f"the invariant fails at entry {index} on {where}: {text}") from error
    finally:
        txn.end()
    if held is False:
        raise Violation(f"the invariant does not hold at entry {index} on {where}")


class _Prepared(Bare):
    """Nothing but the database, seen by the run before it starts."""

    def __init__(self, prepare: Callable[[Member], None]) -> None:
        self._prepare = prepare

    def build(self, embedded: Embedded, settings: Settings) -> Rooms:
        """The member alone."""
        self._prepare(embedded.member)
        return super().build(embedded, settings)


class DatabaseMembers:
    """Opens the members of a run; see `roost.sim.members.machines.Resident`."""

    def __init__(
        self,
        operations: Mapping[str, Operation[Any, Any]],
        limits: Limits,
        look: Callable[[Machine, int, Changes], None],
    ) -> None:
        """All members know `operations`; `look(machine, index, changes)` follows each entry."""
        self._operations = operations
        self._limits = limits
        self._look = look
        self.databases: dict[int, Database] = {}

    async def open(self, machine: Machine, life: Life) -> Member:
        """Open, and start."""

        def prepare(member: Member) -> None:
            life.prepare(member)
            member.observe(lambda index, changes: self._look(machine, index, changes))

        embedded = await Embedded.open(
            machine.config,
            machine.world,
            settings=Settings(),
            builder=_Prepared(prepare),
            operations=self._operations,
            limits=self._limits,
            joins=not machine.is_first,
            on_fatal=life.on_fatal,
        )

        def on_end() -> None:
            self.databases.pop(machine.number, None)
            embedded.on_crash()

        machine.on_end = on_end
        self.databases[machine.number] = Database(embedded, self._limits)
        return embedded.member
