"""How much a key, a value and an operation may have; what is more is refused by the limit's name.

The member that leads enforces its own limits, so all members should be opened with the same.
"""

from dataclasses import dataclass

from roost.database.errors import BadOpening, KeyTooLarge, ValueTooLarge, WriteSetTooLarge
from roost.journal import PAYLOAD_BYTES_MAX

# What the members' own rows and the heads of records take of an entry besides.
_ROOM_BYTES = 1 << 20
KEY_BYTES_HARD_MAX = 1 << 20
WRITE_SET_BYTES_HARD_MAX = PAYLOAD_BYTES_MAX - _ROOM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one database; bytes, rows, seconds.

    `write_set_bytes_max` and `write_set_rows_max` are for one operation; `hold_s` is how long one
    may take before it is warned of and counted, because it holds the member up meanwhile.

    Raises:
        BadOpening: on construction, when one cannot be.

    """

    key_bytes_max: int = 4 << 10
    value_bytes_max: int = 8 << 20
    write_set_bytes_max: int = WRITE_SET_BYTES_HARD_MAX
    write_set_rows_max: int = 1_000_000
    hold_s: float = 0.05
    # How many results are kept for `once`, and for how long.
    once_count_max: int = 100_000
    once_age_s: float = 24 * 3600.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, field in self.__dataclass_fields__.items():
            it, wanted = getattr(self, name), (int, float) if field.type is float else int
            if not isinstance(it, wanted) or isinstance(it, bool) or not it > 0:
                raise BadOpening(f"{name}={it!r} must be a number, and more than 0")
        if self.key_bytes_max > KEY_BYTES_HARD_MAX:
            raise BadOpening(f"key_bytes_max must be at most {KEY_BYTES_HARD_MAX}")
        most = WRITE_SET_BYTES_HARD_MAX
        if self.write_set_bytes_max > most:
            raise BadOpening(f"write_set_bytes_max must be at most {most}: an entry holds no more")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """Bytes of a key and a value of one tree; 0 = the database's limit."""

    key_bytes_max: int = 0
    value_bytes_max: int = 0


def check_key(key: bytes, tree: str, own: TreeLimits, limits: Limits) -> None:
    """Refuse a key that is too large.

    Raises:
        KeyTooLarge: it is; the text names the limit.

    """
    most = own.key_bytes_max or limits.key_bytes_max
    if len(key) > most:
        raise KeyTooLarge(f"a key of {len(key)} bytes; {_whose(tree, own.key_bytes_max)} "
                          f"key_bytes_max={most}")  # fmt: skip


def check_value(value: bytes, tree: str, own: TreeLimits, limits: Limits) -> None:
    """Refuse a value that is too large.

    Raises:
        ValueTooLarge: it is; the text names the limit.

    """
    most = own.value_bytes_max or limits.value_bytes_max
    if len(value) > most:
        raise ValueTooLarge(f"a value of {len(value)} bytes; {_whose(tree, own.value_bytes_max)} "
                            f"value_bytes_max={most}")  # fmt: skip


def check_write_set(written_bytes: int, row_count: int, limits: Limits) -> None:
    """Refuse an operation that wrote too much.

    Raises:
        WriteSetTooLarge: it did; the text names the limit.

    """
    for name, count, unit in (
        ("write_set_bytes_max", written_bytes, "bytes"),
        ("write_set_rows_max", row_count, "rows"),
    ):
        most: int = getattr(limits, name)
        if count > most:
            raise WriteSetTooLarge(
                f"one operation wrote {count} {unit}; the database has {name}={most}: do it in "
                "several"
            )


def _whose(tree: str, own: int) -> str:
    return f"the tree {tree!r} has" if own else "the database has"
