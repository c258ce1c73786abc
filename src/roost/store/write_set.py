"""Write sets: what a transaction wrote, in order.  This is what Raft replicates (D1).

A write set is records one after another, integers big-endian:

    0  u8   kind
    1  u16  tree id
    3  u32  length of the key
    7  u32  length of the value
   11       key, then value

    kind 1  put           key, value
         3  delete        key; no value
         4  delete range  key = first, value = stop; both inclusive-exclusive
         5  delete from   key = first, to the end of the tree; no value
         6  annotation    tree id = annotation kind, key = b"", value = data for higher layers;
                          kind 0 ends what those before it are about (`Txn.tell`)
         7  rows          tree id = 0, key = columns, value = keys: puts and deletes that follow
                          from a list of keys; see `columns`, also for how many these may be
         8  effect        stands alone: a write set that was carried in parts; see `long_write`
         9  puts          tree id = 0, key = b"", value = rows: puts and deletes of several trees;
                          see `puts`

A transaction writes its rows as puts of kind 9; what changes the configuration has a put of kind 1
behind it.  `decode` checks everything, once; to it an effect is malformed, because what it stands
for is not in these bytes.

Limits: what a write set takes of the disk is bounded by its own size, and rows have a bound of
their own (`columns.EXPANDED_BYTES_MAX`).
"""

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError
from typing import Final

from roost.store.columns import EXPANDED_BYTES_MAX, Rows, expand
from roost.store.errors import MalformedWriteSet
from roost.store.puts import decode_puts, encode_puts
from roost.store.rows import Puts
from roost.store.runs import Run

PUT, DELETE, DELETE_RANGE, DELETE_FROM, ANNOTATION = 1, 3, 4, 5, 6
ROWS: Final = 7
EFFECT: Final = 8
PUTS: Final = 9
# The kind of annotation that ends what others are about.
END_OF_ANNOTATED: Final = 0
HEAD: Final = Struct(">BHII")
HEAD_BYTES: Final = HEAD.size
_PUTS_BYTE: Final = bytes([PUTS])


# One record: kind, tree id, key, value.  The value is None for a delete; for ranges it is the
# stop, None = the end.  A plain tuple: a named one costs more than all the rest of `decode`.
Write = tuple[int, int, bytes, bytes | None]


def decode(payload: bytes) -> list[Write]:
    """Split a write set into its records; what stands for others becomes puts and deletes.

    Raises:
        MalformedWriteSet: the bytes do not follow the format.

    """
    writes: list[Write] = []
    for it in split(payload):
        if isinstance(it, tuple):
            writes.append(it)
        else:
            writes += _writes_of(it)
    return writes


def split(payload: bytes) -> list[Write | Rows | Run]:
    """Split a write set into its records; rows stay together.

    Raises:
        MalformedWriteSet: the bytes do not follow the format.

    """
    writes: list[Write | Rows | Run] = []
    offset, end = 0, len(payload)
    room = EXPANDED_BYTES_MAX
    unpack = HEAD.unpack_from
    try:
        while offset < end:
            kind, tree_id, key_bytes, value_bytes = unpack(payload, offset)
            key_end = offset + HEAD_BYTES + key_bytes
            value_end = key_end + value_bytes
            if value_end > end:
                raise MalformedWriteSet("a record ends early")
            key = payload[offset + HEAD_BYTES : key_end]
            offset = value_end
            if kind == PUT:
                writes.append((PUT, tree_id, key, payload[key_end:value_end]))
            elif kind in (DELETE, DELETE_FROM) and not value_bytes:
                writes.append((kind, tree_id, key, None))
            elif kind == DELETE_RANGE or (kind == ANNOTATION and not key_bytes):
                writes.append((kind, tree_id, key, payload[key_end:value_end]))
            elif kind == ROWS and not tree_id:
                rows, room = expand(key, payload[key_end:value_end], room)
                writes += rows
            elif kind == PUTS and not tree_id and not key_bytes:
                writes += decode_puts(payload[key_end:value_end])
            else:
                raise MalformedWriteSet(f"record kind {kind} is unknown or malformed")
    except StructError as error:
        raise MalformedWriteSet("a record's head ends early") from error
    return writes


def _writes_of(rows: Rows | Run) -> list[Write]:
    """The puts and deletes that rows stand for."""
    tree_id = rows.tree_id
    if isinstance(rows, Rows):
        if rows.values is None:
            return [(DELETE, tree_id, name, None) for name in rows.names]
        pairs = zip(rows.names, rows.values, strict=True)
        return [(PUT, tree_id, name, value) for name, value in pairs]
    assert rows.values is not None, "they were read"
    return [
        (DELETE if value is None else PUT, tree_id, key, value)
        for key, value in zip(rows.keys, rows.values, strict=True)
    ]


def encode_rows(all_puts: Sequence[Puts]) -> bytes:
    """Rows as a record."""
    rows = encode_puts(all_puts)
    return HEAD.pack(PUTS, 0, 0, len(rows)) + rows


def rows_of(payload: bytes) -> list[Run] | None:
    """The rows of a write set that is one record of them; None where it is another.

    Raises:
        MalformedWriteSet: the bytes do not follow the format.

    """
    if payload[:1] != _PUTS_BYTE or len(payload) < HEAD_BYTES:
        return None
    _, tree_id, key_bytes, value_bytes = HEAD.unpack_from(payload)
    if tree_id or key_bytes or value_bytes != len(payload) - HEAD_BYTES:
        return None
    return decode_puts(payload[HEAD_BYTES:])


def encode_put(tree_id: int, key: bytes, value: bytes) -> bytes:
    """One put as a record, to be put behind a write set."""
    return b"".join((HEAD.pack(PUT, tree_id, len(key), len(value)), key, value))


class Changes:
    """What one applied entry wrote; decoded only when somebody looks."""

    __slots__ = ("_trees", "_writes", "payload")

    # Whether it is a long write: then its records are many, and whoever does not want to walk
    # over all of them in one step looks at `layer` (see `LongChanges`).
    is_long = False

    def __init__(self, payload: bytes, *, trees: frozenset[int] | None = None) -> None:
        """Keep the payload; `trees` are the trees it writes, where they are known already."""
        self.payload = payload
        self._writes: list[Write] | None = None
        self._trees = trees

    @property
    def writes(self) -> list[Write]:
        """All records in order, annotations included."""
        if self._writes is None:
            self._writes = self._decode()
        return self._writes

    def of_tree(self, tree_id: int) -> list[Write]:
        """The records of one tree."""
        return [row for row in self.writes if row[1] == tree_id and row[0] != ANNOTATION]

    def _decode(self) -> list[Write]:
        return decode(self.payload)

    @property
    def trees(self) -> frozenset[int]:
        """Ids of the trees that were written."""
        if self._trees is None:
            self._trees = frozenset([row[1] for row in self.writes if row[0] != ANNOTATION])
        return self._trees

    @property
    def annotations(self) -> list[tuple[int, bytes]]:
        """(kind, data) of each annotation, in order."""
        return [
            (annotation, data or b"")
            for kind, annotation, _, data in self.writes
            if kind == ANNOTATION
        ]
