"""Walks: a range of a tree read part by part, nothing being open between the parts.

A layer may be merged with another one between two turns, so no iterator outlives its turn: each
part seeks the key behind the last one, which costs a few microseconds.  Every part is of one
state only if the view is (`held`).

Keys that were deleted, and are not gone from the base yet, are passed: a part ends behind
PASSED_MAX of them, if it has rows or not.
"""

from roost.store.view import View

PASSED_MAX = 512
BYTES_MAX = 256 << 10


class Walk:
    """Where a reader of a range has come."""

    __slots__ = ("_first", "_reverse", "_stop", "_tree_id", "_view", "is_done", "keys_only")

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
        # May be changed on the way; see `View.iterate`.
        self.keys_only = keys_only
        # Whether the end has been seen.
        self.is_done = False

    @property
    def place(self) -> bytes:
        """Where the next part begins, for a walk that goes forward."""
        return self._first

    def take(self, count_max: int, bytes_max: int = BYTES_MAX) -> list[tuple[bytes, bytes]]:
        """The next rows: `count_max` at most, and no more once they have `bytes_max` or more.

        There may be none, though more follow.
        """
        rows: list[tuple[bytes, bytes]] = []
        left, passed_count, key = bytes_max, 0, b""
        for key, value in self._view.walk(
            self._tree_id,
            self._first,
            self._stop,
            reverse=self._reverse,
            keys_only=self.keys_only,
        ):
            if value is None:
                passed_count += 1
                if passed_count == PASSED_MAX:
                    break
                continue
            rows.append((key, value))
            left -= 0 if self.keys_only else len(value)
            if len(rows) >= count_max or left <= 0:
                break
        else:
            self.is_done = True
        if self._reverse:
            self._stop = key
        else:
            self._first = key + b"\0"
        return rows
