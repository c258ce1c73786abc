"""Long writes: one write set that is carried by many entries, and takes effect at the last (D14).

An operation that touches many rows runs over many turns, and what it writes is replicated while it
runs.  So an entry of bounded size carries some *parts*, each a write set by itself, and does
nothing but put them into a tree of the engine's own:

    $parts    u32 position, from 0 on   -> a write set

Then one record, which stands alone in its entry, makes them take effect:

    effect    tree id = $parts; key = u64 term, u64 index: of the leader, and before its first part;
              value = u32 count of parts

It stands for the records of all parts, in their order, and empties the tree.  There is one long
write at a time, and its first entry empties the tree as well, so what a leader left that lost its
office is gone, or lies there and does nothing.

Parts are ordinary rows: snapshots, restarts and digests have them as they have everything, and a
member may lose its memory between any two of them.  What takes effect is a matter of the log
alone, so it is all of it or nothing, and the same everywhere.  An effect whose parts are not as
many as it says, or of which one is malformed, changes nothing, on every member alike.

Full?  `LAYER_BYTES_MAX` is what one may come to in memory; a part is as large as a slice of its
operation writes, and an entry has ENTRY_BYTES of them, and one part more at most.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from roost.store.catalog import PARTS_ID
from roost.store.errors import MalformedWriteSet
from roost.store.layer import Layer
from roost.store.txn import Txn
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    EFFECT,
    HEAD,
    HEAD_BYTES,
    PUT,
    Changes,
    Write,
)

ENTRY_BYTES = 256 << 10
LAYER_BYTES_MAX = 1 << 30
_EFFECT_BYTES: Final = HEAD_BYTES + 20
_TAIL: Final = Struct(">QQI")
_POSITION_BYTES: Final = 4
# Where a key's value is looked up; None = there is none.
Lookup = Callable[[int, bytes], bytes | None]
Steps = Generator[None, None, bytes]
_END = object()


@dataclass(frozen=True, slots=True)
class Long:
    """What an operation returns, instead of an answer, that has more to do than a turn allows.

    It must have written nothing by then.  `run(txn)` does it: each `yield` ends a slice of about
    a millisecond, and what it returns is the answer.  It may raise `Refused` at any time, or
    `NothingKept`, and nothing of it is kept then.  Nothing else is executed meanwhile, but flushes
    come and go: who walks over keys begins anew by key in each slice.
    """

    run: Callable[[Txn], Steps]


class NothingKept(Exception):
    """Raised by a long operation that writes nothing after all; `answer` is its caller's."""

    def __init__(self, answer: bytes) -> None:
        """Answer so."""
        super().__init__("nothing of it is kept")
        self.answer = answer


def is_effect(payload: bytes) -> bool:
    """Whether an entry is the end of a long write; bytes that are not quite one are none."""
    return len(payload) == _EFFECT_BYTES and payload[0] == EFFECT and _reads_well(payload)


def _reads_well(payload: bytes) -> bool:
    kind, tree_id, key_bytes, value_bytes = HEAD.unpack_from(payload)
    return (kind, tree_id, key_bytes, value_bytes) == (EFFECT, PARTS_ID, 16, 4)


def encode_effect(term: int, index: int, count: int) -> bytes:
    """The record that makes parts take effect; term and index tell it from every other."""
    return HEAD.pack(EFFECT, PARTS_ID, 16, 4) + _TAIL.pack(term, index, count)


class Parts:
    """The parts of a long write on their way into entries."""

    def __init__(self) -> None:
        """There are none."""
        self._put_count = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def add(self, write_set: bytes) -> None:
        """Another part; an empty one is none."""
        if write_set:
            self._waiting.append(write_set)
            self._waiting_bytes += len(write_set)

    @property
    def is_entry_full(self) -> bool:
        """Whether `put_into` is due."""
        return self._waiting_bytes >= ENTRY_BYTES

    @property
    def is_empty(self) -> bool:
        """Whether no part waits."""
        return not self._waiting

    @property
    def count(self) -> int:
        """How many have been proposed."""
        return self._put_count

    def on_proposed(self) -> None:
        """Those that waited are on their way."""
        self._put_count += len(self._waiting)
        self.forget_waiting()

    def forget_waiting(self) -> None:
        """What waits is not wanted any more."""
        self._waiting, self._waiting_bytes = [], 0

    def put_into(self, txn: Txn) -> None:
        """Write the parts that wait; they wait until they are forgotten."""
        if not self._put_count:
            txn.delete_range(PARTS_ID, b"")
        for position, part in enumerate(self._waiting, self._put_count):
            txn.put(PARTS_ID, position.to_bytes(_POSITION_BYTES, "big"), part)


class Assembly:
    """What the parts of a long write come to, made of one part after another."""

    def __init__(self, payload: bytes, lookup: Lookup) -> None:
        """Assemble what `payload`, an effect, stands for; `lookup` finds the parts."""
        assert is_effect(payload), "it was asked before"
        self.payload = payload
        self.layer = Layer()
        # What is wrong with it; then it changes nothing.
        self.fault: MalformedWriteSet | None = None
        self._lookup = lookup
        self._position = 0
        # What is left of the part that is being taken over.
        self._steps: Iterator[None] | None = None
        # The last steps, when all parts are taken over.
        self._survey: Iterator[None] | None = None
        self._is_done = False
        self._count: int = _TAIL.unpack_from(payload, HEAD_BYTES)[2]

    def go_on(self) -> bool:
        """Take over a part, or look at some of what they came to; say whether that was all."""
        if self._is_done:
            return True
        is_left = self._steps is not None or self._position < self._count
        if is_left and self.fault is None and self._take_part():
            return False
        if self._survey is None:
            if self.fault is None and self._part(self._count) is not None:
                self.fault = MalformedWriteSet(f"a long write has more than {self._count} parts")
            self._survey = close_layer(self.layer)
        self._is_done = self.fault is not None or next(self._survey, _END) is _END
        return self._is_done

    def finish(self) -> None:
        """Take over all the parts that are left."""
        while not self.go_on():
            pass

    def _part(self, position: int) -> bytes | None:
        return self._lookup(PARTS_ID, position.to_bytes(_POSITION_BYTES, "big"))

    def _take_part(self) -> bool:
        """Take over some of the next part, nearly always all of it; say whether that went well."""
        steps = self._steps
        if steps is None:
            part = self._part(self._position)
            self._position += 1
            if part is None:
                self.fault = MalformedWriteSet(f"a long write has not all its {self._count} parts")
                return False
            steps = self._steps = self.layer.carry_out_part(part)
        try:
            is_over = next(steps, _END) is _END
        except MalformedWriteSet as error:
            self.fault = error
            return False
        if is_over:
            self._steps = None
            self.layer.put_in_order()
        return True


def close_layer(layer: Layer) -> Iterator[None]:
    """A long write is complete: it takes its parts away; what is left to be done is in steps."""
    layer.delete_range(PARTS_ID, b"", None)
    layer.put_in_order()
    return layer.survey()


class LongChanges(Changes):
    """What a long write came to; `writes` makes a list of all of it, which takes as long.

    The layer is that of whoever applies it, and good while observers are told.
    """

    __slots__ = ("layer",)

    is_long = True

    def __init__(self, payload: bytes, layer: Layer) -> None:
        """`layer` is all that it wrote; nobody may change it."""
        super().__init__(payload, trees=frozenset(layer.trees))
        self.layer = layer

    def of_tree(self, tree_id: int) -> list[Write]:
        """What was written to one tree: deleted ranges, then what came of each key, in order."""
        tree = self.layer.trees.get(tree_id)
        if tree is None:
            return []
        writes: list[Write] = [
            (DELETE_FROM if stop is None else DELETE_RANGE, tree_id, first, stop)
            for first, stop in tree.ranges
        ]
        values = tree.values
        for key in tree.keys():  # noqa: SIM118 - in order, which iterating a dict is not
            value = values[key]
            writes.append((DELETE if value is None else PUT, tree_id, key, value))
        return writes

    def _decode(self) -> list[Write]:
        return [
            *[(ANNOTATION, kind, b"", data) for kind, data in self.layer.said],
            *[row for tree_id in sorted(self.trees) for row in self.of_tree(tree_id)],
        ]
