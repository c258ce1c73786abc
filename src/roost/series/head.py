"""The first row of all: numbers that go up, and how far staging and sealing are.

    tree "series.head"     b"head"      MessagePack array of a `Head`
    tree "series.staged"   u32 u64      generation and number of a record -> the record (`records`)
    tree "series.states"   u32          a series' number -> MessagePack array of a `State`

What is appended goes into the generation that is active.  When that is full, and the one before is
sealed, it is frozen, and the next one becomes active.  A frozen one is put into blocks series by
series, in the order of their numbers; `mark` says how far that is.  When all is done its records go
in one range.  So there are two generations at most, and whoever reads a series lays first the
frozen one over its blocks, as far as it is not sealed, and then the active one.
"""

from struct import Struct

import msgspec

from roost.database import Transaction, WritableTree
from roost.series.blocks import ROW_BYTES
from roost.series.levels import DAY_NS, SID_MAX
from roost.series.tables import TIME_MIN, TIME_STOP

HEAD_TREE, STAGED_TREE, STATES_TREE = "series.head", "series.staged", "series.states"
HEAD_KEY = b"head"
RECORD_KEY = Struct(">IQ")
SID_KEY = Struct(">I")
# A generation is full with so many points, or records.  Readers look at each record.
GENERATION_POINTS_MAX = 1 << 19
GENERATION_RECORDS_MAX = 1024


class Mark(msgspec.Struct, frozen=True, array_like=True, order=True):
    """How far a generation is sealed: series below `sid` are, and of `sid` itself a part.

    Of that one deletions are done before `time`, or, when `is_inserting`, all of them, and the
    points before `time`.  Behind TIME_STOP it is being thinned, as far as its state says.
    """

    sid: int = 0
    is_inserting: bool = False
    time: int = TIME_MIN

    def thinned(self, horizon: int) -> "Mark":
        """Where it is thinned so far: each day is further than the one before."""
        return Mark(self.sid, is_inserting=True, time=TIME_STOP + (horizon - TIME_MIN) // DAY_NS)

    def behind(self) -> "Mark":
        """The one where the next series begins."""
        return Mark(self.sid + 1)


END = Mark(SID_MAX + 1)


class Generation(msgspec.Struct, frozen=True, array_like=True):
    """One generation: its number, its records' first number, and how many it has."""

    number: int
    first: int
    point_count: int = 0
    record_count: int = 0

    @property
    def records(self) -> range:
        """The numbers of its records."""
        return range(self.first, self.first + self.record_count)

    def with_record(self, point_count: int) -> "Generation":
        """What it is with one more."""
        return Generation(
            self.number, self.first, self.point_count + point_count, self.record_count + 1
        )


class Head(msgspec.Struct, frozen=True, array_like=True):
    """`epoch` goes up when a series is deleted: numbers that were looked up before may be gone."""

    next_sid: int = 1
    epoch: int = 0
    next_record: int = 1
    active: Generation = Generation(1, 1)
    frozen: Generation | None = None
    mark: Mark = Mark()

    @property
    def is_full(self) -> bool:
        """Whether the active generation takes no more."""
        held = self.active
        return (
            held.point_count >= GENERATION_POINTS_MAX or held.record_count >= GENERATION_RECORDS_MAX
        )

    def freeze(self) -> "Head":
        """The active generation is to be sealed."""
        assert self.frozen is None, "one at a time"
        begun = Generation(self.active.number + 1, self.next_record)
        return msgspec.structs.replace(self, frozen=self.active, active=begun, mark=Mark())


class State(msgspec.Struct, frozen=True, array_like=True):
    """What sealing knows of a series.

    Its blocks have no point before `first`, and none after `last`, and where points were thinned
    so is what the rows sum up.  `last` never goes down.  Rows are of buckets before that of
    `summed`, which is a `last` of some time ago; `pending` points have come since.
    `row_bytes` is what a point takes, about.  Before `horizon`, which is a day's beginning and
    never goes back, there are no points any more, and each quarter of an hour that had numbers has
    its row.
    """

    first: int = TIME_STOP
    last: int = TIME_MIN - 1
    row_bytes: float = ROW_BYTES
    horizon: int = TIME_MIN
    summed: int = TIME_MIN - 1
    pending: int = 0


_decoder = msgspec.msgpack.Decoder(Head)
_state_decoder = msgspec.msgpack.Decoder(State)


def decode_head(row: bytes | None) -> Head:
    """The head in a row."""
    return Head() if row is None else _decoder.decode(row)


def decode_state(row: bytes | None) -> State:
    """The state in a row."""
    return State() if row is None else _state_decoder.decode(row)


def read_head(txn: Transaction) -> Head:
    """The head in a transaction."""
    return decode_head(_tree(txn).get(HEAD_KEY))


def write_head(txn: Transaction, head: Head) -> None:
    """Write it."""
    _tree(txn)[HEAD_KEY] = msgspec.msgpack.encode(head)


def _tree(txn: Transaction) -> WritableTree[bytes, bytes]:
    return txn.tree(HEAD_TREE)


def record_key(generation: int, number: int) -> bytes:
    """The key of a record."""
    return RECORD_KEY.pack(generation, number)


def sid_key(sid: int) -> bytes:
    """The key of a series in trees that have a row for each."""
    return SID_KEY.pack(sid)
