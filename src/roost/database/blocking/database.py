"""The asyncio face of a database: trees, operations and transactions, on a member in this process.

    with open_database("data") as db: ...

What cannot be reached from where it is called says so: see `roost.database.errors`.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, overload

from roost.database.aio import database as aio
from roost.database.blocking.derived import Derivable
from roost.database.blocking.trees import MultiTree, Queue, ReadMultiTree, ReadTree, Tree
from roost.database.bounds import K, V
from roost.database.errors import BadArgument, Conflict
from roost.database.host import Host
from roost.database.moments import Moment
from roost.database.operations import Operation, P, R
from roost.database.status import MemberInfo, Status
from roost.database.transaction import Transaction
from roost.faces import Face
from roost.member import Backup


class Reads(Face):
    """Trees that can be read, and not be written; see `Local` and `View`."""

    _inner: aio.Reads

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
        return ReadTree._of(self._inner.tree(name, key=key, value=value), self._loop)

    def multi_tree(self, name: str, *, key: type[K], value: type[V]) -> ReadMultiTree[K, V]:
        """The tree of that name, which begins with `@`: many values under a key.

        Raises:
            BadTreeName, BadKey: as `tree`.

        """
        return ReadMultiTree._of(self._inner.multi_tree(name, key=key, value=value), self._loop)


class Local(Reads):
    """Reads of what this member has applied, without asking others.

    They may be behind what was acknowledged elsewhere; `Status.lag_entries` says how far, as far as
    this member knows.

    """


class View(Reads):
    """One state of all trees, for a `with` block; see `Database.view`."""

    _inner: aio.View

    def __enter__(self) -> Self:
        """Hold what was acknowledged before.

        Raises:
            NoLeader: no majority could be asked in time.
            Overloaded: as many states are held as can be; try again.
            BadArgument: it is held already, by a block around this one.

        """
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """Let it go."""
        self._loop.call(self._inner.__aexit__(*exc))

    @property
    def index(self) -> int:
        """The position in the log whose state it is; 0 before the block."""
        return self._inner.index


class Attempt(Face):
    """A transaction that is written where it runs, for a `with` block: `Database.transaction`."""

    _inner: aio.Attempt

    def __enter__(self) -> Transaction:
        """Begin.

        Raises:
            NoLeader: no majority could be asked in time.

        """
        return self._loop.call(self._inner.__aenter__())

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """Commit, unless the block raised.

        Raises:
            Conflict: something that it read has changed; nothing of it is kept.
            Refused, OutcomeUnknown, NotExecuted: as `Database.run`.

        """
        self._loop.call(self._inner.__aexit__(kind, *_rest))


class Database(Derivable):
    """Replicated ordered trees; see the module."""

    _inner: aio.Database

    def __enter__(self) -> Self:
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hand leadership over, stop, and close all files; more than once does nothing.

        What was acknowledged is durable already: nothing is lost without it.

        Raises:
            WrongLoop: the event loop is another one than that which opened it.

        """
        self._close(self._inner.close())

    @property
    def name(self) -> str:
        """The name of the member in this process."""
        return self._inner.name

    @property
    def host(self) -> Host:
        """What a data model of your own needs of this member; on its event loop only."""
        return self._inner.host

    @property
    def local(self) -> Local:
        """Reads without asking others: what this member has applied."""
        return Local._of(self._inner.local, self._loop)

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
        return Tree._of(self._inner.tree(name, key=key, value=value), self._loop)

    def multi_tree(self, name: str, *, key: type[K], value: type[V]) -> MultiTree[K, V]:
        """The tree of that name, which begins with `@`: many values under a key.

        Raises:
            BadTreeName, BadKey: as `tree`.

        """
        return MultiTree._of(self._inner.multi_tree(name, key=key, value=value), self._loop)

    @overload
    def queue(self, name: str) -> Queue[bytes]: ...

    @overload
    def queue(self, name: str, *, value: type[V]) -> Queue[V]: ...

    def queue(self, name: str, *, value: type[Any] = bytes) -> Queue[Any]:
        """The queue of that name: append at the end, take from the start.

        Raises:
            BadTreeName, BadValue: as `tree`.

        """
        return Queue._of(self._inner.queue(name, value=value), self._loop)

    def describe(
        self, tree: str, purpose: str, *, key_bytes_max: int = 0, value_bytes_max: int = 0
    ) -> None:
        """Say what a tree is for, and how large its keys and values may be; 0 = as the database.

        Raises:
            BadTreeName: no tree can have that name.
            BadValue: the purpose is no text, or too long; or no key or value can be so large.
            Refused: it is somebody else's.

        """
        self._loop.call(
            self._inner.describe(
                tree, purpose, key_bytes_max=key_bytes_max, value_bytes_max=value_bytes_max
            )
        )

    @overload
    def run(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def run(
        self, operation: Operation[..., R], *args: Any, once: str | None, **kwargs: Any
    ) -> R: ...

    def run(
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
        return self._loop.call(self._inner.run(operation, *args, once=once, **kwargs))

    def view(self) -> View:
        """One state of all trees, over any number of reads: `with db.view() as view: ...`.

        It holds everything that was acknowledged before the block, and does not stop writes.  It
        lasts 60 s at most, and less where memory runs short; a read after that raises
        `ViewClosed`.

        """
        return View._of(self._inner.view(), self._loop)

    def transaction(self) -> Attempt:
        """A transaction as a block: `with db.transaction() as txn: ...`.

        It runs here, whoever leads.  What it reads is noted, what it writes is kept, and the end of
        the block is one operation that commits all of it if nothing that was read has changed, else
        raises `Conflict`.  A block that raises writes nothing.  It costs a round to a majority at
        its beginning, one operation at its end, and on the leader each read again; while it runs,
        it may see some of what others write meanwhile, and then it ends in `Conflict`.

        """
        return Attempt._of(self._inner.transaction(), self._loop)

    def transact(self, function: Callable[[Transaction], R], *, retries: int = 10) -> R:
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
                with self.transaction() as txn:
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

    def serve(
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
        self._loop.call(self._inner.serve(client_urls, metrics_urls=metrics_urls))

    def snapshot(self, path: str | Path) -> Backup:
        """Save everything that was acknowledged before as a file, while writes go on.

        It is the file that `roost snapshot save` makes: `roost.restore` makes a directory of it,
        `roost snapshot status` looks at it.  It appears under its name when it is whole and
        durable, in place of one that was there.

        Raises:
            NoLeader: no majority could be asked in time.
            SnapshotFailed, BackupFailed: it could not be made; the text says why.

        """
        return self._loop.call(self._inner.snapshot(path))

    def members(self) -> list[MemberInfo]:
        """All members of the cluster, by their ids.

        Raises:
            NoLeader: no majority could be asked in time.

        """
        return self._loop.call(self._inner.members())

    def add_member(self, peer_urls: str | Sequence[str], *, learner: bool = False) -> MemberInfo:
        """Add a member by its URLs, `10.0.0.4:2380` or `http://10.0.0.4:2380`; then open it there.

        It is opened with `join=` and `listen_peer_urls=` these.  A learner gets everything and has
        no vote, until it is promoted.

        Raises:
            Refused: `code` says why: PeerUrlsTaken, TooFewStarted, and so on; ChangeNotTaken: the
                change before is not over, ask again.
            OutcomeUnknown, NotExecuted: as `run`; look at `members`.

        """
        return self._loop.call(self._inner.add_member(peer_urls, learner=learner))

    def replace_member(self, member_id: int, peer_urls: str | Sequence[str]) -> MemberInfo:
        """Put a new member in another's place, in one step; see `add_member`.

        Raises:
            BadArgument: that is no id.
            Refused, OutcomeUnknown, NotExecuted: as `add_member`.

        """
        return self._loop.call(self._inner.replace_member(member_id, peer_urls))

    def remove_member(self, member_id: int) -> None:
        """Remove a member for good; its directory is of no use any more.

        Raises:
            BadArgument: that is no id.
            Refused, OutcomeUnknown, NotExecuted: as `add_member`.

        """
        self._loop.call(self._inner.remove_member(member_id))

    def promote_member(self, member_id: int) -> None:
        """Make a learner a voter, when it has caught up.

        Raises:
            BadArgument: that is no id.
            Refused, OutcomeUnknown, NotExecuted: as `add_member`; LearnerBehind: try later.

        """
        self._loop.call(self._inner.promote_member(member_id))

    def move_leader(self, member_id: int) -> None:
        """Have another member lead; to be asked of the one that does.

        Raises:
            BadArgument: that is no id.
            Refused: another member leads, or that one cannot.
            OutcomeUnknown: it has not happened in time.

        """
        self._loop.call(self._inner.move_leader(member_id))

    def moment(self) -> Moment:
        """Now, by the clock of this member, which never goes back; see `Transaction.moment`."""
        return self._inner.moment()

    def unique(self) -> bytes:
        """16 bytes that no other call gives, of this member or another, in this life or another."""
        return self._inner.unique()

    def status(self) -> Status:
        """What this member says of itself and of its cluster."""
        return self._loop.call(self._inner.status())
