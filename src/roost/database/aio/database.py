"""The asyncio face of a database: trees, operations and transactions, on a member in this process.

    async with open_database("data") as db: ...

What cannot be reached from where it is called says so: see `roost.database.errors`.
"""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, overload

from roost.database.aio.derived import Derivable
from roost.database.aio.trees import MultiTree, Queue, ReadMultiTree, ReadTree, Tree
from roost.database.bounds import K, V, check_users_name
from roost.database.builtin import DESCRIBE
from roost.database.carried import CarriedRows
from roost.database.cluster import AddMember, PromoteMember, RemoveMember, ReplaceMember
from roost.database.committing import commit_there
from roost.database.embedded import Embedded, Served
from roost.database.errors import BadArgument, BadOpening, Conflict, ViewClosed
from roost.database.host import Host
from roost.database.limits import Limits, TreeLimits
from roost.database.moments import Moment
from roost.database.operations import Operation, P, R
from roost.database.optimistic import GuardedRows
from roost.database.ordered import utf8
from roost.database.place import urls_of
from roost.database.rows import check_description
from roost.database.source import LiveSource, Source
from roost.database.status import MemberInfo, Status, info_of, status_of
from roost.database.transaction import Transaction
from roost.faces import translated
from roost.member import Backup
from roost.store import HeldView

ONCE_BYTES_MAX = 256


class Reads:
    """Trees that can be read, and not be written; see `Local` and `View`."""

    def __init__(self, embedded: Embedded) -> None:
        """Read what `embedded` holds."""
        self._embedded = embedded
        self._source: Source = LiveSource(embedded.member.view, self._ready, self._check)

    def _check(self) -> None:
        self._embedded.check()

    async def _ready(self) -> None:
        self._check()

    @overload
    def tree(self, name: str) -> ReadTree[bytes, bytes]: ...
    @overload
    def tree(self, name: str, *, key: type[K]) -> ReadTree[K, bytes]: ...
    @overload
    def tree(self, name: str, *, value: type[V]) -> ReadTree[bytes, V]: ...
    @overload
    def tree(self, name: str, *, key: type[K], value: type[V]) -> ReadTree[K, V]: ...
    def tree(
        self, name: str, *, key: type[Any] = bytes, value: type[Any] = bytes
    ) -> ReadTree[Any, Any]:
        """The tree of that name.

        Raises:
            BadTreeName: no tree can have that name.
            BadKey, BadValue: keys or values cannot be of these types.

        """
        return ReadTree(name, key, value, self._source)

    def multi_tree(self, name: str, *, key: type[K], value: type[V]) -> ReadMultiTree[K, V]:
        """The tree of that name, which begins with `@`: many values under a key.

        Raises:
            BadTreeName, BadKey: as `tree`.

        """
        return ReadMultiTree(name, key, value, self._source)


class Local(Reads):
    """Reads of what this member has applied, without asking others.

    They may be behind what was acknowledged elsewhere; `Status.lag_entries` says how far, as far as
    this member knows.
    """


class View(Reads):
    """One state of all trees, for a `with` block; see `Database.view`."""

    def __init__(self, embedded: Embedded) -> None:
        """Nothing is held before the block begins."""
        super().__init__(embedded)
        self._held: HeldView | None = None

    async def __aenter__(self) -> Self:
        """Hold what was acknowledged before.

        Raises:
            NoLeader: no majority could be asked in time.
            Overloaded: as many states are held as can be; try again.
            BadArgument: it is held already, by a block around this one.

        """
        if self._held is not None and not self._held.is_over:
            raise BadArgument("the view is open already: make another one for a block in its block")
        await self._embedded.barrier()
        self._held = self._embedded.member.store.hold()
        self._source = LiveSource(self._held, self._ready, self._check)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let it go."""
        if self._held is not None:
            self._held.close()

    def _check(self) -> None:
        super()._check()
        if self._held is None or self._held.is_over:
            raise ViewClosed("the view is closed, or lasted for longer than views do: open another "
                             "one, and go on behind the last key that you have")  # fmt: skip

    @property
    def index(self) -> int:
        """The position in the log whose state it is; 0 before the block."""
        return 0 if self._held is None else self._held.index


class Attempt:
    """A transaction that is written where it runs, for a `with` block: `Database.transaction`."""

    def __init__(self, embedded: Embedded, limits: Limits) -> None:
        """Nothing is read before the block begins."""
        self._embedded = embedded
        self._limits = limits
        self._rows: GuardedRows | None = None
        self._txn: Transaction | None = None

    async def __aenter__(self) -> Transaction:
        """Begin.

        Raises:
            NoLeader: no majority could be asked in time.

        """
        await self._embedded.barrier()
        self._rows = GuardedRows(self._embedded.member.store, self._limits)
        self._txn = Transaction(CarriedRows(self._rows), self._embedded.runner.clock.moment)
        return self._txn

    async def __aexit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """Commit, unless the block raised.

        Raises:
            Conflict: something that it read has changed; nothing of it is kept.
            Refused, OutcomeUnknown, NotExecuted: as `Database.run`.

        """
        txn, rows = self._txn, self._rows
        assert txn is not None, "it was begun"
        assert rows is not None, "it was begun"
        txn.end()
        if kind is None:
            await commit_there(rows, _Asker(self._embedded))


class Database(Derivable):
    """Replicated ordered trees; see the module."""

    def __init__(self, embedded: Embedded, limits: Limits) -> None:
        """Use `open_database`."""
        super().__init__(embedded)
        self._limits = limits
        self._asker = _Asker(embedded)
        self._source = LiveSource(embedded.member.view, embedded.barrier, embedded.check)
        self._local = Local(embedded)

    async def __aenter__(self) -> Self:
        return self

    @translated
    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hand leadership over, stop, and close all files; more than once does nothing.

        What was acknowledged is durable already: nothing is lost without it.

        Raises:
            WrongLoop: the event loop is another one than that which opened it.

        """
        await self._embedded.close()

    @property
    def name(self) -> str:
        """The name of the member in this process."""
        return self._embedded.member.config.name

    @property
    def host(self) -> Host:
        """What a data model of your own needs of this member; on its event loop only."""
        return Host(self._embedded, self._limits.hold_s)

    @property
    def local(self) -> Local:
        """Reads without asking others: what this member has applied."""
        return self._local

    @overload
    def tree(self, name: str) -> Tree[bytes, bytes]: ...
    @overload
    def tree(self, name: str, *, key: type[K]) -> Tree[K, bytes]: ...
    @overload
    def tree(self, name: str, *, value: type[V]) -> Tree[bytes, V]: ...
    @overload
    def tree(self, name: str, *, key: type[K], value: type[V]) -> Tree[K, V]: ...
    def tree(
        self, name: str, *, key: type[Any] = bytes, value: type[Any] = bytes
    ) -> Tree[Any, Any]:
        """The tree of that name; its first write makes it, and says what is in it.

        `key` is bytes, str, int, datetime or a tuple of these (`tuple[str, int]`), `value` whatever
        msgspec can encode.

        Raises:
            BadTreeName: no tree can have that name.
            BadKey, BadValue: keys or values cannot be of these types.

        """
        return Tree(name, key, value, self._source, self._asker)

    def multi_tree(self, name: str, *, key: type[K], value: type[V]) -> MultiTree[K, V]:
        """The tree of that name, which begins with `@`: many values under a key.

        Raises:
            BadTreeName, BadKey: as `tree`.

        """
        return MultiTree(name, key, value, self._source, self._asker)

    @overload
    def queue(self, name: str) -> Queue[bytes]: ...
    @overload
    def queue(self, name: str, *, value: type[V]) -> Queue[V]: ...
    def queue(self, name: str, *, value: type[Any] = bytes) -> Queue[Any]:
        """The queue of that name: append at the end, take from the start.

        Raises:
            BadTreeName, BadValue: as `tree`.

        """
        return Queue(name, value, self._source, self._asker)

    async def describe(
        self, tree: str, purpose: str, *, key_bytes_max: int = 0, value_bytes_max: int = 0
    ) -> None:
        """Say what a tree is for, and how large its keys and values may be; 0 = as the database.

        Raises:
            BadTreeName: no tree can have that name.
            BadValue: the purpose is no text, or too long; or no key or value can be so large.
            Refused: it is somebody else's.

        """
        check_users_name(tree)
        check_description(purpose, TreeLimits(key_bytes_max, value_bytes_max))
        await self._asker.ask(DESCRIBE, tree, purpose, key_bytes_max, value_bytes_max)

    @overload
    async def run(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(
        self, operation: Operation[..., R], *args: Any, once: str | None, **kwargs: Any
    ) -> R: ...
    async def run(
        self, operation: Operation[..., Any], *args: Any, once: Any = None, **kwargs: Any
    ) -> Any:
        """Run an operation on the member that leads, wherever that is; what it returns.

        When this returns, what it wrote is durable on a majority, and can be read here.  With
        `once`, a text of yours of 1 to 256 bytes, asking again answers what the first run answered,
        as long as `Limits.once_count_max` and `once_age_s` go back; a refusal is not kept.

        Raises:
            BadArgument: the arguments are not those of its annotations.
            Refused: it said no, or cannot run there; nothing of it is kept.
            OutcomeUnknown: it may have happened; ask again with `once`, or look.
            NotExecuted: it did not run; ask again.

        """
        if not isinstance(operation, Operation):
            raise BadArgument(
                f"{operation!r} is no operation: `run` takes the function itself, declared with "
                "roost.Operations, and not its name"
            )
        if once is not None and not isinstance(once, str):
            raise BadArgument(f"once={once!r}: a key is text")
        key = None if once is None else utf8(once)
        if key is not None and not 0 < len(key) <= ONCE_BYTES_MAX:
            raise BadArgument(f"once= is a key of 1 to {ONCE_BYTES_MAX} bytes; this has {len(key)}")
        body = operation.encode(args, kwargs)
        return operation.result(await self._embedded.ask(operation.name, body, key))

    def view(self) -> View:
        """One state of all trees, over any number of reads: `async with db.view() as view: ...`.

        It holds everything that was acknowledged before the block, and does not stop writes.  It
        lasts 60 s at most, and less where memory runs short; a read after that raises
        `ViewClosed`.
        """
        return View(self._embedded)

    def transaction(self) -> Attempt:
        """A transaction as a block: `async with db.transaction() as txn: ...`.

        It runs here, whoever leads.  What it reads is noted, what it writes is kept, and the end of
        the block is one operation that commits all of it if nothing that was read has changed, else
        raises `Conflict`.  A block that raises writes nothing.  It costs a round to a majority at
        its beginning, one operation at its end, and on the leader each read again; while it runs,
        it may see some of what others write meanwhile, and then it ends in `Conflict`.
        """
        return Attempt(self._embedded, self._limits)

    @translated
    async def transact(self, function: Callable[[Transaction], R], *, retries: int = 10) -> R:
        """Run `function(txn)` as a `transaction`, and again when it met a conflict.

        Raises:
            Conflict: it met one more than `retries` times.
            BadArgument: the function is a coroutine's.
            Refused, OutcomeUnknown, NotExecuted: as `run`.

        """
        if not isinstance(retries, int) or retries < 0:
            raise BadArgument(f"retries={retries!r}: a number from 0")
        left = retries
        while True:
            try:
                async with self.transaction() as txn:
                    result = function(txn)
                    if isinstance(result, Coroutine):
                        result.close()
                        text = "what is run as a transaction ends at once: use a plain `def`"
                        raise BadArgument(f"{function!r}: {text}")
            except Conflict:
                if not left:
                    raise
                left -= 1
            else:
                return result

    async def serve(
        self,
        client_urls: str | Sequence[str] | None = None,
        *,
        metrics_urls: str | Sequence[str] = (),
    ) -> None:
        """Serve clients from this process, until the database is closed; once.

        They get what `roost serve` gives them: etcd's services, the gateway, health and metrics.
        `client_urls` are where, `http://127.0.0.1:2379`, one or several; None =
        `listen_client_urls` as it was opened with.  At `metrics_urls` there are pages only.

        Raises:
            BadOpening: the database was opened without these services, or is served already.
            BadSetting, CannotListen: a URL cannot be listened at; none is then.

        """
        self._embedded.check()
        rooms = self._embedded.rooms
        if not isinstance(rooms, Served):
            raise BadOpening("there are no services to be served: open it with roost.open")
        await rooms.serve(None if client_urls is None else _each(client_urls), _each(metrics_urls))

    async def snapshot(self, path: str | Path) -> Backup:
        """Save everything that was acknowledged before as a file, while writes go on.

        It is the file that `roost snapshot save` makes: `roost.restore` makes a directory of it,
        `roost snapshot status` looks at it.  It appears under its name when it is whole and
        durable, in place of one that was there.

        Raises:
            NoLeader: no majority could be asked in time.
            SnapshotFailed, BackupFailed: it could not be made; the text says why.

        """
        return await self._embedded.save(Path(path))

    async def members(self) -> list[MemberInfo]:
        """All members of the cluster, by their ids.

        Raises:
            NoLeader: no majority could be asked in time.

        """
        await self._embedded.barrier()
        return [info_of(it) for it in self._embedded.member.members()]

    async def add_member(
        self, peer_urls: str | Sequence[str], *, learner: bool = False
    ) -> MemberInfo:
        """Add a member by its URLs, `10.0.0.4:2380` or `http://10.0.0.4:2380`; then open it there.

        It is opened with `join=` and `listen_peer_urls=` these.  A learner gets everything and has
        no vote, until it is promoted.

        Raises:
            Refused: `code` says why: PeerUrlsTaken, TooFewStarted, and so on; ChangeNotTaken: the
                change before is not over, ask again.
            OutcomeUnknown, NotExecuted: as `run`; look at `members`.

        """
        asked = AddMember(peer_urls=urls_of(peer_urls), is_learner=learner)
        return info_of((await self._embedded.change_members(asked))[0])

    async def replace_member(self, member_id: int, peer_urls: str | Sequence[str]) -> MemberInfo:
        """Put a new member in another's place, in one step; see `add_member`.

        Raises:
            BadArgument: that is no id.
            Refused, OutcomeUnknown, NotExecuted: as `add_member`.

        """
        asked = ReplaceMember(_checked_id(member_id), urls_of(peer_urls))
        return info_of((await self._embedded.change_members(asked))[0])

    async def remove_member(self, member_id: int) -> None:
        """Remove a member for good; its directory is of no use any more.

        Raises:
            BadArgument: that is no id.
            Refused, OutcomeUnknown, NotExecuted: as `add_member`.

        """
        await self._embedded.change_members(RemoveMember(_checked_id(member_id)))

    async def promote_member(self, member_id: int) -> None:
        """Make a learner a voter, when it has caught up.

        Raises:
            BadArgument: that is no id.
            Refused, OutcomeUnknown, NotExecuted: as `add_member`; LearnerBehind: try later.

        """
        await self._embedded.change_members(PromoteMember(_checked_id(member_id)))

    async def move_leader(self, member_id: int) -> None:
        """Have another member lead; to be asked of the one that does.

        Raises:
            BadArgument: that is no id.
            Refused: another member leads, or that one cannot.
            OutcomeUnknown: it has not happened in time.

        """
        await self._embedded.move_leader(_checked_id(member_id))

    def moment(self) -> Moment:
        """Now, by the clock of this member, which never goes back; see `Transaction.moment`."""
        return self._embedded.runner.clock.moment()

    def unique(self) -> bytes:
        """16 bytes that no other call gives, of this member or another, in this life or another."""
        return self._embedded.runner.clock.unique()

    async def status(self) -> Status:
        """What this member says of itself and of its cluster."""
        self._embedded.check()
        return status_of(self._embedded)


def _each(urls: str | Sequence[str]) -> Sequence[str]:
    """URLs, of which one may stand alone."""
    return (urls,) if isinstance(urls, str) else urls


def _checked_id(member_id: Any) -> int:  # Any: programs without a type checker give names
    if not isinstance(member_id, int) or not 0 <= member_id < 1 << 64:
        text = "is no id of a member: `members()` has them, in their field `id`"
        raise BadArgument(f"{member_id!r} {text}")
    return member_id


class _Asker:
    """Has operations of the database's own run."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded

    async def ask(self, operation: Operation[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `roost.database.source.Asker`."""
        body = operation.encode(args, kwargs)
        return operation.result(await self._embedded.ask(operation.name, body, None))
