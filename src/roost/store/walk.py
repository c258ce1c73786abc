"""Walks: a range of a tree read part by part, nothing being open between the parts.

A layer may be merged with another one between two turns, so no iterator outlives its turn: each
part seeks the key behind the last one, which costs a few microseconds.  Every part is of one
state only if the view is (`held`).

Keys that were deleted, and are not gone from the base yet, are passed: a part ends behind
PASSED_MAX of them, if it has rows or not.  A key may be as long as a value: its bytes count alike,
whether it is handed out or passed.  And on the way from one long key to another a part ends after
so many levels (`long_keys`), and between ranges that were deleted after so many gaps (`view`).
"""

from typing import Final

from roost.store.long_keys import LEVELS_A_PART, LONG_KEY_BYTES, Cut
from roost.store.view import View

PASSED_MAX = 512
BYTES_MAX = 256 << 10
# What a part has cost, in rows: so many keys that were passed, and so many bytes, are one.
_PASSED_A_ROW_LOG2, _BYTES_A_ROW_LOG2 = 1, 13
# A long key is hashed, and is put together of pieces: its bytes count for more.
_LONG_LOG2: Final = 3


class Walk:
    """Where a reader of a range has come."""

    __slots__ = (
        "_first",
        "_inside",
        "_reverse",
        "_stop",
        "_tree_id",
        "_view",
        "cost",
        "is_done",
        "keys_only",
    )

    def __init__(
        self,
        view: View,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> None:
        """Begin at `first`, or with `reverse` before `stop`."""
        self._view = view
        self._tree_id = tree_id
        self._first, self._stop = first, stop
        self._reverse = reverse
        # Where the last part of one that goes back has ended, on the way to a long key.
        self._inside: bytes | None = None
        # May be changed on the way; see `View.iterate`.
        self.keys_only = keys_only
        # Whether the end has been seen.
        self.is_done = False
        # What the last part has cost, in rows that are read (`etcd.model.costs`).
        self.cost = 0

    @property
    def place(self) -> bytes:
        """Where the next part begins, for a walk that goes forward."""
        return self._first

    def take(self, count_max: int, bytes_max: int = BYTES_MAX) -> list[tuple[bytes, bytes]]:
        """The next rows: `count_max` at most, and no more once they have `bytes_max` or more.

        Keys that were passed count as well.  There may be none, though more follow.
        """
        rows: list[tuple[bytes, bytes]] = []
        left, passed_count, key, level_count = bytes_max, 0, None, 0
        found = self._view.walk(
            self._tree_id,
            self._first,
            self._stop,
            reverse=self._reverse,
            keys_only=self.keys_only,
            inside=self._inside,
        )
        self._inside = None
        for at, value in found:
            if isinstance(value, Cut):
                level_count = LEVELS_A_PART
                self._go_to(key)
                self._go_away(at, value)
                key = None
                break
            key = at
            left -= len(key) if len(key) < LONG_KEY_BYTES else len(key) << _LONG_LOG2
            if value is None:
                passed_count += 1
                if passed_count == PASSED_MAX or left <= 0:
                    break
                continue
            rows.append((key, value))
            left -= 0 if self.keys_only else len(value)
            if len(rows) >= count_max or left <= 0:
                break
        else:
            self.is_done = True
        self._go_to(key)
        passed, read = passed_count >> _PASSED_A_ROW_LOG2, bytes_max - left >> _BYTES_A_ROW_LOG2
        self.cost = 1 + len(rows) + passed + read + level_count
        return rows

    def _go_to(self, key: bytes | None) -> None:
        """The last key that has been come to, if there is one."""
        if key is None:
            return
        if self._reverse:
            self._stop = key
        else:
            self._first = key + b"\0"

    def _go_away(self, at: bytes, cut: Cut) -> None:
        """Come back to where a cut is."""
        if cut is Cut.INSIDE:
            self._inside = at
        elif self._reverse:
            self._stop = at
        else:
            self._first = at
