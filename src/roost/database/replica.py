"""What a data model asks of the member that it stands on; see `model`.

A member is all of these.  Whoever writes a data model says in a protocol of its own which of them
it asks for, so that its tests fake these and no others, and the checker holds it to them:

    class Replica(model.Replica, model.Periodic, Protocol): ...

Nothing stands between a data model and the member: a call of these is a call of the member's.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from roost.database.events import Event
from roost.flow import OWN, Flow
from roost.member import Light, MemberRecord
from roost.outcome import Done, ReadDone, Waiting
from roost.store import Changes, Counted, HeldView, Layer, Long, Tree, Txn, View

# Runs where the cluster leads: (transaction, what was asked) -> the answer, or the long operation
# that it is.  It may raise `Refused`, and nothing of it is kept then.
Operation = Callable[[Txn, bytes], bytes | Long]


class HeldViews(Protocol):
    """States of the store that stay readable over many turns; there are few at a time."""

    @property
    def has_room(self) -> bool:
        """Whether the state of now can be held."""

    @property
    def newest_index(self) -> Callable[[], int]:
        """Tells the log position of the state of now."""

    def glimpse(self) -> HeldView:
        """The state of now, for this turn of the loop, or longer if it is held in it."""

    def hear_room(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever a state was let go."""


class Store(Protocol):
    """What is applied on this member; nothing is written here but by operations."""

    @property
    def view(self) -> View:
        """What is applied now; it is one object for ever, and shows each time what is newest."""

    @property
    def held_views(self) -> HeldViews:
        """For reads that take more than a turn of the loop."""

    def tree(self, name: str) -> Tree:
        """An existing tree.

        Raises:
            UnknownTree: no operation has made one of that name yet.

        """

    def count_keys(
        self,
        tree_id: int,
        newness: Callable[[View], Callable[[bytes], bool]],
        growth: Callable[[View, Layer], int],
    ) -> Counted:
        """Keep how many keys the ranges of a tree have.

        `newness(before)(value)` says whether what is written may be of a key that was not there,
        `growth(before, written)` how many keys more there are then.
        """


class Replica(Protocol):
    """One member of a replicated store: operations, reads, observers, and where it stands."""

    @property
    def member_id(self) -> int:
        """Its own id."""

    @property
    def cluster_id(self) -> int:
        """The cluster's."""

    @property
    def term(self) -> int:
        """The current term; whoever leads keeps what is in memory only for one term."""

    @property
    def leader_id(self) -> int:
        """Who leads, as far as this member knows; 0 = nobody known."""

    @property
    def is_learner(self) -> bool:
        """Whether it has no vote."""

    @property
    def view(self) -> View:
        """What is applied here now: `Store.view`."""

    @property
    def store(self) -> Store:
        """The trees."""

    def register(self, name: str, operation: Operation | Light) -> None:
        """Name an operation, before the member starts; every member must know the same names."""

    def transact_nowait(
        self,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        """Run an operation where the cluster leads, and call `done(outcome)` once.

        A result is durable on a majority then, and applied here if this member leads.  Else it is
        an error: `Refused`, a leaf of `NotExecuted` or one of `OutcomeUnknown`.  What nobody is
        `waiting` for any more before it has begun is not begun.
        """

    def read_nowait(self, done: ReadDone, flow: Flow = OWN) -> None:
        """Call `done` when `view` holds everything that was acknowledged before this call."""

    def observe(
        self, callback: Callable[[int, Changes], None], trees: Iterable[int] | None = None
    ) -> None:
        """Call `callback(index, changes)` for what is applied and writes one of `trees`.

        None is every write set.  It is called on every member, in the order of the log, and must
        return soon and raise nothing.  A snapshot that replaces everything is not told by it.
        """

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        """Call `prepare()` before a snapshot replaces everything, and what it returns after."""

    def members(self) -> Sequence[MemberRecord]:
        """All members, in the order of their ids."""


class Periodic(Protocol):
    """Who calls again and again."""

    def every(self, interval_s: float, work: Callable[[], None]) -> None:
        """Have `work` called so often while the member runs; it must return soon."""


class Frames(Protocol):
    """Frames of a data model's own between members, beside the log: for what is no consensus."""

    def register_frame(self, kind: int, handler: Callable[[int, bytes], None]) -> None:
        """Have `handler(sender, body)` take all frames of a kind; before the member starts.

        `handler` raises a PeerFault when the body breaks its format, which closes the link.
        """

    def send_frame(self, member_id: int, kind: int, buffers: Sequence[bytes]) -> bool:
        """Send one; False when it was dropped: there is no link, or too much waits for it."""


class Files(Protocol):
    """The files of one member."""

    def state_digest(self) -> bytes:
        """A digest of what is applied."""

    def defragment(self, done: ReadDone) -> None:
        """Write the store's file anew, without what is free in it."""

    def make_durable(self, done: ReadDone) -> None:
        """Call `done` when what is applied now is in the file."""

    def lend_snapshot(self) -> AbstractAsyncContextManager[Path]:
        """A copy of the store, as long as the block lasts."""

    def entries_since(self, index: int, term: int) -> AsyncIterator[bytes]:
        """What was applied since a log position."""


class Standing(Protocol):
    """The figures of a member that a status shows; positions are of the log."""

    @property
    def leader_id(self) -> int:
        """Who leads; 0 = nobody known."""

    @property
    def term(self) -> int:
        """The current term."""

    @property
    def last_index(self) -> int:
        """The end of the log."""

    @property
    def applied_index(self) -> int:
        """Up to here it is applied."""

    @property
    def db_bytes(self) -> int:
        """What the store's file takes."""

    @property
    def db_in_use_bytes(self) -> int:
        """What of it is in use."""


class Space(Protocol):
    """What a member says of its space, and of whose state differs."""

    @property
    def store_bytes(self) -> int:
        """What the store's file takes, once all that is in memory stands in it."""

    @property
    def disk_free_bytes(self) -> int:
        """What the file system has left then."""

    @property
    def disk_reserve_bytes(self) -> int:
        """What must be left."""

    @property
    def corrupt_members(self) -> frozenset[int]:
        """Members whose state differs from that of the others."""

    @property
    def forgetful_members(self) -> frozenset[int]:
        """Members that came back with less than they had acknowledged."""


class PeerTimes(Protocol):
    """What is known of one peer's answers, in seconds; see `roost.member.round_trips`."""

    @property
    def count(self) -> int: ...
    @property
    def lost_count(self) -> int: ...
    @property
    def last_s(self) -> float: ...
    @property
    def mean_s(self) -> float: ...
    @property
    def deviation_s(self) -> float: ...
    @property
    def least_s(self) -> float: ...
    @property
    def most_s(self) -> float: ...


class Administration(Protocol):
    """What operators ask of a member."""

    @property
    def files(self) -> Files:
        """Its files."""

    def space(self) -> Space:
        """What they take, and what is left for them."""

    def status(self) -> Standing:
        """A snapshot."""

    def peer_times(self) -> Mapping[int, PeerTimes]:
        """How long each peer takes to answer, as far as this member has led."""

    def transfer_leadership(self, target: int, done: ReadDone) -> None:
        """Have another member lead.

        Raises:
            CallerFault: it cannot.

        """

    def tell(self, event: Event) -> None:
        """Tell whoever listens to this member's events."""
