"""Keys that are longer than LMDB's may be: cut into pieces, a record for each.

A key of LONG_KEY_BYTES or more is cut into pieces of so many bytes; what is left at the end, maybe
nothing, is its last one.  Each piece but the last is a *stem*, a record without a value:

    space, piece   ->   b""                 of all keys that begin so, once
    space, last    ->   the value

The *space* of the first piece is the id of its tree, as of any short key; the space of another is
PIECES and the hash of the name of the stem before it, as a name has room for no more.  So in each
space names stand in the order of the keys: a shorter key comes before a stem exactly when it comes
before all that lie below that.

How a key stands in the file follows from the key alone, so members that hold the same have the same
records (`digest`), and whatever is done to one key touches a record for each of its pieces, however
many keys begin alike (D14, record 0041).

A stem is there as long as something lies below it.  Of the hash, 160 bits of BLAKE2b, nobody is
known to find two names that have the same.
"""

from collections.abc import Iterator
from hashlib import blake2b

import lmdb

LONG_KEY_BYTES = 480
# The id that no tree has (`catalog`): here are all pieces but the first ones.
PIECES = b"\xff\xff"
_HASH_BYTES = 20
SPACE_BYTES = len(PIECES) + _HASH_BYTES
# Behind whatever is in a space.
_BEHIND = b"\xff" * (LONG_KEY_BYTES + 1)


def space_below(stem: bytes) -> bytes:
    """The space of the pieces that follow a stem."""
    return PIECES + blake2b(stem, digest_size=_HASH_BYTES).digest()


def names_of(tree_id: int, key: bytes) -> tuple[list[bytes], bytes]:
    """The names of the stems of a key, the first one first, and of the record of its value."""
    space, stems, begin = tree_id.to_bytes(2, "big"), list[bytes](), 0
    while len(key) - begin >= LONG_KEY_BYTES:
        stem = space + key[begin : begin + LONG_KEY_BYTES]
        stems.append(stem)
        space = space_below(stem)
        begin += LONG_KEY_BYTES
    return stems, space + key[begin:]


def is_stem(name: bytes) -> bool:
    """Whether a record is a stem."""
    head = SPACE_BYTES if name.startswith(PIECES) else len(PIECES)
    return len(name) >= head + LONG_KEY_BYTES


def below(
    cursor: lmdb.Cursor, root: bytes, first: bytes, stop: bytes | None, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """The keys below the stem `root` of a tree in a range, in order, and what their records are.

    Those are told by name, and the cursor stands at the one of each that is handed out.
    """
    tree_id, begins = int.from_bytes(root[:2], "big"), root[2:]
    bound = stop if reverse else first
    # The stems above the space in which we are; and before what, or from what on, we look in it.
    stems, place = [root], space_below(root) + (_BEHIND if reverse else b"")
    if bound is not None and len(bound) > LONG_KEY_BYTES and bound.startswith(begins):
        stems, place = names_of(tree_id, bound)
    space, head = _space_of(place), b""
    while True:
        is_on = _seek_before(cursor, place) if reverse else cursor.set_range(place)
        name = bytes(cursor.key()) if is_on else b""
        if not name.startswith(space):
            # There is nothing more below the last stem.
            stem = stems.pop()
            if not stems:
                return
            head, space = b"", _space_of(stem)
            place = stem if reverse else stem + b"\0"
        elif is_stem(name):
            stems.append(name)
            head, space = b"", space_below(name)
            place = space + (_BEHIND if reverse else b"")
        else:
            # A key may have thousands of pieces: they are joined for those that are handed out.
            head = head or b"".join([it[-LONG_KEY_BYTES:] for it in stems])
            key = head + name[len(space) :]
            if key < first if reverse else stop is not None and key >= stop:
                return
            yield key, name
            place = name if reverse else name + b"\0"


def _seek_before(cursor: lmdb.Cursor, place: bytes) -> bool:
    """Stand at the last record before a name."""
    return cursor.prev() if cursor.set_range(place) else cursor.last()


def _space_of(name: bytes) -> bytes:
    return name[: SPACE_BYTES if name.startswith(PIECES) else len(PIECES)]
