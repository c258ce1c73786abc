r"""Machines: what was asked of them, in order, and a snapshot of what became of it.

    tree "machines/" + name    b"\x00"           ->  `MachineHead`
                               b"\x01" + u64     ->  `Row`: a command by its index, from 1, no gaps
                               b"\x02"           ->  u64, the index of the last one
    tree machines.parts        (name, index + nonce + part)  ->  a part of a snapshot, in order

The trees alone are enough: a snapshot counts when its row in the head is written, which says how
many parts it has and their digest, and commands go only when a snapshot that counts has them, and
TAIL more than that.  So whoever has the trees has the machine: a member that was started again, one
that was behind, one that has joined, one whose store was rebuilt, a cluster that was made of a
backup.

A snapshot is of the state after the command `index`; the nonce tells two apart that were begun at
one index.  Parts of one that was given up go with the next one that counts and is newer.

The parts begin with the u32 length of a `Prelude`, and that, and go on with what `save` wrote.
"""

from collections.abc import Callable
from struct import Struct

import msgspec

from roost.database import Refused, Transaction
from roost.objects.layouts.heads import HEAD, ITEM, OTHER, Head, Shape, decode_head

PREFIX, PARTS = "machines/", "machines.parts"
LAST = OTHER
# What stands before the state in a snapshot: its length.
LENGTH = Struct(">I")
PART_BYTES = 64 << 10
COMMAND_BYTES_MAX = 1 << 20
_ROOM_BYTES = 4 << 10
NONCE_BYTES, CALL_BYTES = 16, 16
# So many commands go in one operation at most.
TRIM_MAX = 1000
_INDEX = Struct(">Q")
_PART = Struct(f">Q{NONCE_BYTES}sI")
BEHIND, NOT_OPEN, STOPPED = "roost.machine:behind", "roost.machine:closed", "roost.machine:stopped"
STALE = "roost.machine:stale"


class Row(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One command.

    `call` is the caller's own, `is_kept` says that its result is kept for whoever asks again.
    `member`, `term`, `commit_index` and `at_s` are of the member that led.  `checked_index` and
    `digest` are what came of the commands up to that one there (`replica.Replica.digest`), by
    `version` of the machine.
    """

    command: str
    body: bytes
    call: bytes
    is_kept: bool
    member: str
    term: int
    commit_index: int
    at_s: float
    version: int
    checked_index: int
    digest: bytes


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The state after the command `index`, whose digest is there so that it can go on."""

    index: int
    nonce: bytes
    parts: int
    size_bytes: int
    checksum: bytes
    at_s: float
    member: str
    digest: bytes


class MachineHead(Head, frozen=True, array_like=True):
    """`kept_index`: commands up to that one may be gone."""

    snapshot: Snapshot | None = None
    kept_index: int = 0


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A result that is kept: what the command returned, or `text` and `code` of its refusal."""

    content: bytes
    is_refusal: bool = False
    text: str = ""
    code: str = ""


class Prelude(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot has besides the machine's state: results that are kept, by index."""

    kept: dict[int, Kept]


def shape_of(name: str) -> Shape:
    """A machine, as it is opened."""
    return Shape(PREFIX + name, "machine", "", "")


def command_key(index: int) -> bytes:
    """Where a command is."""
    return ITEM + _INDEX.pack(index)


def part_key(name: str, index: int, nonce: bytes, part: int) -> tuple[str, bytes]:
    """Where a part of a snapshot is."""
    return name, _PART.pack(index, nonce, part)


_encode = msgspec.msgpack.Encoder().encode
_row = msgspec.msgpack.Decoder(Row)


def decode_row(content: bytes) -> Row:
    """A command that was written."""
    return _row.decode(content)


def head_of(txn: Transaction, name: str) -> MachineHead:
    """The head of a machine, as a new one has it when there is none.

    Raises:
        OtherCodec: it is something else.

    """
    shape = shape_of(name)
    return decode_head(txn.tree(shape.tree).get(HEAD), shape, MachineHead)


def last_of(content: bytes | None) -> int:
    """The index of the last command, as it is at LAST; 0 = there was none."""
    return 0 if content is None else int(_INDEX.unpack(content)[0])


def append(txn: Transaction, name: str, make: Callable[[int], Row]) -> int:
    """Write the command that `make` makes of its index; that index.

    What `make` raises is raised, and nothing is written.
    """
    tree = txn.tree(PREFIX + name)
    index = last_of(tree.get(LAST)) + 1
    row = make(index)
    if index == 1:
        shape = shape_of(name)
        txn.describe(shape.tree, "machine", value_bytes_max=COMMAND_BYTES_MAX + _ROOM_BYTES)
        tree[HEAD] = msgspec.msgpack.encode(MachineHead(shape.kind, shape.key, shape.value))
    tree[command_key(index)] = _encode(row)
    tree[LAST] = _INDEX.pack(index)
    return index


def _check_newer(head: MachineHead, index: int) -> None:
    if head.snapshot is not None and head.snapshot.index >= index:
        raise Refused(f"there is a snapshot of {head.snapshot.index} already", code=STALE)


def put_part(txn: Transaction, name: str, index: int, nonce: bytes, part: int, it: bytes) -> None:
    """Write a part of a snapshot that does not count yet; again, it is the same.

    Raises:
        Refused: there is one that counts and is as new.

    """
    _check_newer(head_of(txn, name), index)
    if part == 0:
        txn.describe(PARTS, "snapshots of machines", value_bytes_max=PART_BYTES)
    parts = txn.tree(PARTS, key=tuple[str, bytes])
    parts[part_key(name, index, nonce, part)] = it


def keep(txn: Transaction, name: str, snapshot: Snapshot) -> None:
    """Have a snapshot count, whose parts are all there; older ones go.  Again, it is the same.

    Raises:
        Refused: there is one that is as new, or parts of this one are not there.

    """
    head = head_of(txn, name)
    if head.snapshot == snapshot:
        return
    _check_newer(head, snapshot.index)
    parts = txn.tree(PARTS, key=tuple[str, bytes])
    first = part_key(name, snapshot.index, snapshot.nonce, 0)
    if part_key(name, snapshot.index, snapshot.nonce, snapshot.parts - 1) not in parts:
        raise Refused("its last part is not there", code=STALE)
    parts.delete_range(first=part_key(name, 0, b"", 0), stop=first)
    head = msgspec.structs.replace(head, snapshot=snapshot)
    txn.tree(PREFIX + name)[HEAD] = msgspec.msgpack.encode(head)


def trim(txn: Transaction, name: str, tail: int) -> bool:
    """Remove commands that the snapshot has, but for the `tail` last; whether some are left to be.

    TRIM_MAX go at a time, because each of them is something that members tell of.
    """
    head = head_of(txn, name)
    if head.snapshot is None:
        return False
    due = head.snapshot.index - tail
    upto = min(due, head.kept_index + TRIM_MAX)
    if upto <= head.kept_index:
        return False
    tree = txn.tree(PREFIX + name)
    tree.delete_range(first=command_key(0), stop=command_key(upto + 1))
    tree[HEAD] = msgspec.msgpack.encode(msgspec.structs.replace(head, kept_index=upto))
    return upto < due
