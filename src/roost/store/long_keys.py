"""Keys that are longer than LMDB's may be: cut into pieces, a record for each.

A key of LONG_KEY_BYTES or more is cut into pieces of so many bytes; what is left at the end, maybe
nothing, is its last one.  Each piece but the last is a *stem*, a record without a value:

    space, piece   ->   b""                 of all keys that begin so, once
    space, last    ->   the value

The *space* of the first piece is the id of its tree, as of any short key; the space of another is
PIECES and the hash of the tree's id and all pieces before it, as a name has room for no more.  So
in each space names stand in the order of the keys: a shorter key comes before a stem exactly when
it comes before all that lie below that.  And a key is found by one hash of its head, in one call.

How a key stands in the file follows from the key alone, so members that hold the same have the same
records (`digest`), and whatever is done to one key touches a record for each of its pieces, however
many keys begin alike (D14, record 0041).

Who reads in order goes down and up between pieces, a level a piece: thousands may lie between two
keys.  Whoever has turns asks for a `Cut` each LEVELS_A_PART, goes away, and comes back to it.

A stem is there as long as something lies below it.  Of the hash, 160 bits of SHA-256, nobody is
known to find two heads that have the same.
"""

from collections.abc import Iterator
from enum import Enum
from hashlib import sha256

import lmdb

LONG_KEY_BYTES = 480
# The id that no tree has (`catalog`): here are all pieces but the first ones.
PIECES = b"\xff\xff"
_HASH_BYTES = 20
SPACE_BYTES = len(PIECES) + _HASH_BYTES
# Levels after which a reader may go away; each takes three microseconds, or four.
# Whoever comes back goes one to where it was: a part must have two at least.
LEVELS_A_PART = 128
# Behind whatever is in a space.
_BEHIND = b"\xff" * (LONG_KEY_BYTES + 1)
# Of up to so many pieces before ours the hashes are kept, and of others one in so many.
_KEPT_COUNT = 64


class Cut(Enum):
    """In place of a value: the reader may go away here; the key beside it says how far it is."""

    # All before this key are passed; with `reverse`, it and all behind it.
    PASSED = "passed"
    # With `reverse`: all behind those keys that begin so are passed, and these are to come.
    INSIDE = "inside"


def after_all(head: bytes) -> bytes | None:
    """The first key behind all that begin so; None when there is none."""
    cut = head.rstrip(b"\xff")
    return b"".join([memoryview(cut)[:-1], bytes([cut[-1] + 1])]) if cut else None


def name_of(tree_id: int, key: bytes) -> bytes:
    """The name of the record of a long key's value."""
    head_bytes = len(key) - len(key) % LONG_KEY_BYTES
    hasher = sha256(tree_id.to_bytes(2, "big"))
    hasher.update(memoryview(key)[:head_bytes])
    return PIECES + hasher.digest()[:_HASH_BYTES] + key[head_bytes:]


def names_of(tree_id: int, key: bytes) -> list[bytes]:
    """The names of the stems of a key, the first one first, and of the record of its value."""
    way, names = _Way(tree_id, b"", 0), list[bytes]()
    for begin in range(0, len(key) + 1, LONG_KEY_BYTES):
        piece = key[begin : begin + LONG_KEY_BYTES]
        names.append(way.space + piece)
        if len(piece) == LONG_KEY_BYTES:
            way.go_down(piece)
    return names


def space_of(name: bytes) -> bytes:
    """The space in which a record is."""
    return name[: SPACE_BYTES if name.startswith(PIECES) else len(PIECES)]


def is_stem(name: bytes) -> bool:
    """Whether a record is a stem."""
    return len(name) >= len(space_of(name)) + LONG_KEY_BYTES


class _Way:
    """The pieces above a space, and the hashes of all that lead to it.

    Each level further is a hash more, and each level back one less; of a way that is long from the
    beginning only few are kept, and others found again from those.
    """

    __slots__ = ("_begun", "_begun_count", "_hashers", "_marks", "_pieces", "_tree", "count",
                 "space")  # fmt: skip

    def __init__(self, tree_id: int, key: bytes, count: int) -> None:
        """Be in the space below the first pieces of a key."""
        self.count = count
        # Some are still in the key that we have begun with: to take it apart, or to copy it, takes
        # longer than all else.
        self._begun, self._begun_count, self._pieces = key, count, list[bytes]()
        self._tree = self.space = tree_id.to_bytes(2, "big")
        hasher, step = sha256(self._tree), _KEPT_COUNT * LONG_KEY_BYTES
        # The hashes below each _KEPT_COUNT pieces, and from the last of them on to where we are.
        self._marks = [hasher.copy()]
        for begin in range(0, count * LONG_KEY_BYTES - step + 1, step):
            hasher.update(key[begin : begin + step])
            self._marks.append(hasher.copy())
        self._hashers = [hasher]
        self._catch_up()

    def head(self, last: bytes = b"") -> bytes:
        """All pieces, of which there may be thousands, and what comes behind them."""
        begun = memoryview(self._begun)[: self._begun_count * LONG_KEY_BYTES]
        return b"".join([begun, *self._pieces, last])

    def _catch_up(self) -> None:
        """Find the hashes from the last mark on to where we are."""
        hasher = self._marks[-1]
        self._hashers = [hasher]
        for number in range((len(self._marks) - 1) * _KEPT_COUNT, self.count):
            hasher = hasher.copy()
            if number < self._begun_count:
                hasher.update(self._begun_piece(number))
            else:
                hasher.update(self._pieces[number - self._begun_count])
            self._hashers.append(hasher)
        self._name_space()

    def _begun_piece(self, number: int) -> bytes:
        begin = number * LONG_KEY_BYTES
        return self._begun[begin : begin + LONG_KEY_BYTES]

    def _name_space(self) -> None:
        if self.count:
            self.space = PIECES + self._hashers[-1].digest()[:_HASH_BYTES]
        else:
            self.space = self._tree

    def go_down(self, piece: bytes) -> None:
        """Be in the space below a stem of this one."""
        hasher = self._hashers[-1].copy()
        hasher.update(piece)
        self._pieces.append(piece)
        self.count += 1
        if self.count % _KEPT_COUNT:
            self._hashers.append(hasher)
        else:
            self._marks.append(hasher)
            self._hashers = [hasher]
        self.space = PIECES + hasher.digest()[:_HASH_BYTES]

    def go_up(self) -> bytes:
        """Be in the space above, in which the stem was that is told."""
        self.count -= 1
        if self._pieces:
            piece = self._pieces.pop()
        else:
            self._begun_count -= 1
            piece = self._begun_piece(self.count)
        self._hashers.pop()
        if self._hashers:
            self._name_space()
        else:
            self._marks.pop()
            self._catch_up()
        return piece


class Levels:
    """The levels that one reader has gone, in all the long keys that it has come to."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        """None yet."""
        self._count = 0

    def go_one(self) -> bool:
        """One more; whether that are so many that it may go away."""
        self._count += 1
        return self._count % LEVELS_A_PART == 0


def below(
    cursor: lmdb.Cursor,
    root: bytes,
    first: bytes,
    stop: bytes | None,
    *,
    reverse: bool,
    inside: bytes | None = None,
    levels: Levels | None = None,
) -> Iterator[tuple[bytes, bytes | Cut]]:
    """The keys below the stem `root` of a tree in a range, in order, and what their records are.

    Those are told by name, and the cursor stands at the one of each that is handed out.  With
    `levels` there are cuts as well.  `inside`: who goes back has come to the end of what begins so.
    """
    tree_id, begins = int.from_bytes(root[:2], "big"), root[2:]
    way, rest = _way_to(tree_id, begins, stop if reverse else first, inside, reverse=reverse)
    # All of the range begins so: above that there is nothing to look for.
    top, place = max(1, _shared_count(first, stop)), way.space + rest
    while True:
        is_on = _seek_before(cursor, place) if reverse else cursor.set_range(place)
        name = bytes(cursor.key()) if is_on else b""
        if name.startswith(way.space) and not is_stem(name):
            key = way.head(name[len(way.space) :])
            if key < first if reverse else stop is not None and key >= stop:
                return
            yield key, name
            place = name if reverse else name + b"\0"
            continue
        if name.startswith(way.space):
            way.go_down(name[-LONG_KEY_BYTES:])
            place, piece, is_behind = way.space + (_BEHIND if reverse else b""), b"", reverse
        elif way.count <= top:
            return
        else:
            piece, is_behind = way.go_up(), not reverse
            place = way.space + piece + (b"" if reverse else b"\0")
        if levels is not None and levels.go_one():
            at = way.head(piece)
            behind = after_all(at) if is_behind else at
            if _is_beyond(behind, first, stop, reverse=reverse):
                return
            if reverse and is_behind:
                yield at, Cut.INSIDE
            else:
                assert behind is not None, "that is beyond, or has been gone inside"
                yield behind, Cut.PASSED


def _is_beyond(place: bytes | None, first: bytes, stop: bytes | None, *, reverse: bool) -> bool:
    """Whether nothing of a range lies on the way from a place on; None is the end of all keys."""
    if reverse:
        return place is not None and place <= first
    return place is None or (stop is not None and place >= stop)


def _way_to(
    tree_id: int, begins: bytes, bound: bytes | None, inside: bytes | None, *, reverse: bool
) -> tuple[_Way, bytes]:
    """Where reading begins below the first piece, and from what name on, or before which."""
    if inside is not None and inside.startswith(begins):
        return _Way(tree_id, inside, len(inside) // LONG_KEY_BYTES), _BEHIND
    if bound is not None and len(bound) > LONG_KEY_BYTES and bound.startswith(begins):
        # Who goes back from a bound of whole pieces has no use for what begins so.
        count = (len(bound) - reverse) // LONG_KEY_BYTES
        return _Way(tree_id, bound, count), bound[count * LONG_KEY_BYTES :]
    return _Way(tree_id, begins, 1), _BEHIND if reverse else b""


def _shared_count(first: bytes, stop: bytes | None) -> int:
    """With how many pieces that are the same two keys begin."""
    if stop is None:
        return 0
    low, high = 0, min(len(first), len(stop)) // LONG_KEY_BYTES
    while low < high:
        # Looked at is only what has not been yet: twice the key's bytes in all.
        middle = (low + high + 1) // 2
        begin, end = low * LONG_KEY_BYTES, middle * LONG_KEY_BYTES
        if first[begin:end] == stop[begin:end]:
            low = middle
        else:
            high = middle - 1
    return low


def _seek_before(cursor: lmdb.Cursor, place: bytes) -> bool:
    """Stand at the last record before a name."""
    return cursor.prev() if cursor.set_range(place) else cursor.last()
