"""Which keys of a tree are meant: from `first` to before `stop`, or all that begin with `prefix`.

`first` and `stop` are keys of the tree's own type; `first` is in it, `stop` is not, None is the
beginning and the end.  `prefix` is what keys begin with: bytes, text, or the first parts of a
tuple.
"""

from functools import lru_cache
from typing import Any, Generic, TypeVar

from roost.database.codecs import KeyCodec, ValueCodec, key_codec, value_codec
from roost.database.errors import BadKey
from roost.store import BadTreeName, check_name

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
# Rows that are read in one go: about a millisecond (record 0009).
PAGE_ROWS = 256
# What names of derived trees begin with.
DERIVED_PREFIX = "ix_"


class Range:
    """Where a range begins and stops, in bytes."""

    __slots__ = ("first", "stop")

    def __init__(self, first: bytes, stop: bytes | None) -> None:
        """Keep them."""
        self.first = first
        self.stop = stop

    def behind(self, key: bytes, *, reverse: bool) -> "Range":
        """What is left of it after `key`."""
        return Range(self.first, key) if reverse else Range(key + b"\0", self.stop)


class Shape(Generic[K, V]):
    """A tree's name, and how its keys and values are written."""

    __slots__ = ("keys", "name", "values")

    def __init__(
        self, name: str, key: type[K], value: type[V], *, is_derived: bool = False
    ) -> None:
        """Look both types up.

        Raises:
            BadTreeName: the name breaks the rules.
            BadKey, BadValue: keys or values cannot be of that type.

        """
        check_users_name(name, is_derived=is_derived)
        self.name = name
        self.keys: KeyCodec[K] = key_codec(key)
        self.values: ValueCodec[V] = value_codec(value)

    def range(self, first: K | None, stop: K | None, prefix: Any) -> Range:  # Any: part of a K
        """The range in bytes.

        Raises:
            BadKey: one of them is no such key, or a prefix is given with another bound.

        """
        if prefix is None:
            begin = b"" if first is None else self.keys.encode(first)
            return Range(begin, None if stop is None else self.keys.encode(stop))
        if first is not None or stop is not None:
            raise BadKey("a range has a prefix, or `first` and `stop`, and not both")
        begin = self.keys.encode_prefix(prefix)
        return Range(begin, self.keys.after(begin))

    def row(self, key: bytes, value: bytes) -> tuple[K, V]:
        """A row as the program knows it."""
        return self.keys.decode(key), self.values.decode(value)


def shape_of(name: str, key: type[K], value: type[V]) -> Shape[K, V]:
    """As `Shape`; whoever asks again, as an operation does each time, is given the same one.

    Raises:
        BadTreeName, BadKey, BadValue: as `Shape`.

    """
    asked: Any = (name, key, value)  # Any: types are hashable, which no annotation says
    try:
        found: Shape[K, V] = _shape_of(*asked)
    except TypeError:
        return Shape(name, key, value)  # one of them has no hash, and may be wrong besides
    return found


@lru_cache(maxsize=1024)
def _shape_of(name: str, key: Any, value: Any) -> Shape[Any, Any]:  # Any: as above
    return Shape(name, key, value)


def check_users_name(name: object, *, is_derived: bool = False) -> None:
    """Refuse a name that no tree of a program's can have.

    Raises:
        BadTreeName: it is none, or begins with `$`, as those of the database do, or with `ix_`, as
            those of derived trees do, and is not theirs.

    """
    if not isinstance(name, str):
        raise BadTreeName(f"{name!r} is no tree name: it is a {type(name).__name__}")
    check_name(name)
    if name.startswith("$"):
        raise BadTreeName(f"{name!r}: names that begin with $ are the database's own")
    if name.startswith(DERIVED_PREFIX) and not is_derived:
        raise BadTreeName(
            f"{name!r}: names that begin with {DERIVED_PREFIX} are those of derived trees: read it "
            "by `db.derived`, observe its source, or use another name"
        )


def check_limit(limit: int | None) -> None:
    """Refuse a limit that is no number of rows.

    Raises:
        BadKey: it is negative, or no number.

    """
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise BadKey(f"limit={limit!r}: a number of rows, or None for all")
