"""The keys of a range at a revision, part by part (D14).

What is current is read from `kv`.  What is older is found by `history`: for each key its last entry
at or below the revision, unless that is a deletion.  A part of that may have no rows, since many
revisions of one key, or newer ones, may lie between two keys that are to be found.
"""

from collections import deque

from roost.database.model import View, Walk
from roost.etcd.model.mvcc import REVISION_BYTES, TOMBSTONE, Mvcc, escape, main_of

# A part: about a millisecond.
ROWS_MAX = 256
BYTES_MAX = 256 << 10
# What a row is found again by, in `Rows.tree_id`, and its KeyValue.
Row = tuple[bytes, bytes]


class Rows:
    """Where a reader has come; `take` gives the rows of another part."""

    def __init__(self, view: View, tree_id: int) -> None:
        """Rows are found again in that tree."""
        self.view = view
        self.tree_id = tree_id
        self.taken_count = 0
        self.is_done = False

    def take(self, count_max: int = ROWS_MAX) -> list[Row]:
        """The next rows, `count_max` at most, in order; maybe none, though more follow."""
        raise NotImplementedError

    def skip_values(self) -> None:
        """Take only the names of rows from now on: whoever counts needs no more."""
        raise NotImplementedError

    def find(self, name: bytes) -> bytes:
        """The KeyValue of a row that was taken."""
        encoded = self.view.get(self.tree_id, name)
        assert encoded is not None, "a state does not change while it is read"
        return encoded


class CurrentRows(Rows):
    """The newest values."""

    def __init__(
        self,
        mvcc: Mvcc,
        view: View,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
    ) -> None:
        """Begin at the first key, or at the last one."""
        super().__init__(view, mvcc.kv)
        self._walk = Walk(view, mvcc.kv, first, stop, reverse=reverse)

    def take(self, count_max: int = ROWS_MAX) -> list[Row]:
        """As `Rows`."""
        rows = self._walk.take(min(count_max, ROWS_MAX), BYTES_MAX)
        self.is_done = self._walk.is_done
        self.taken_count += len(rows)
        return rows

    def skip_values(self) -> None:
        """As `Rows`."""
        self._walk.keys_only = True


class OldRows(Rows):
    """The values at an older revision."""

    def __init__(
        self,
        mvcc: Mvcc,
        view: View,
        first: bytes,
        stop: bytes | None,
        revision: int,
        *,
        reverse: bool = False,
    ) -> None:
        """Begin at the first key, or at the last one."""
        super().__init__(view, mvcc.revisions)
        end = None if stop is None else escape(stop)
        self._walk = Walk(view, mvcc.history, escape(first), end, reverse=reverse)
        self._revision = revision
        self._is_reverse, self._names_only = reverse, False
        # The newest entry seen of the key that the walk is in; backwards, the key that is settled.
        self._last = self._flag = b""
        # Revisions that are to be answered, and were not yet.
        self._found: deque[bytes] = deque()

    def take(self, count_max: int = ROWS_MAX) -> list[Row]:
        """As `Rows`."""
        if not self._found and not self._walk.is_done:
            rows = self._walk.take(ROWS_MAX, BYTES_MAX)
            if self._is_reverse:
                self._find_backward(rows)
            else:
                self._find_forward(rows)
        taken: list[Row] = []
        size = 0
        while self._found and len(taken) < count_max and size < BYTES_MAX:
            name = self._found.popleft()
            encoded = b"" if self._names_only else self.find(name)
            taken.append((name, encoded))
            size += len(encoded)
        self.is_done = self._walk.is_done and not self._found
        self.taken_count += len(taken)
        return taken

    def skip_values(self) -> None:
        """As `Rows`."""
        self._names_only = True

    def _find_forward(self, rows: list[Row]) -> None:
        """A key's entries come from the oldest on: the last that is not too new counts."""
        for name, flag in rows:
            if self._last[:-REVISION_BYTES] != name[:-REVISION_BYTES]:
                self._end_key()
            if main_of(name[-REVISION_BYTES:]) <= self._revision:
                self._last, self._flag = name, flag
        if self._walk.is_done:
            self._end_key()

    def _end_key(self) -> None:
        if self._last and self._flag != TOMBSTONE:
            self._found.append(self._last[-REVISION_BYTES:])
        self._last = b""

    def _find_backward(self, rows: list[Row]) -> None:
        """A key's entries come from the newest on: the first that is not too new counts."""
        for name, flag in rows:
            escaped, where = name[:-REVISION_BYTES], name[-REVISION_BYTES:]
            if escaped != self._last and main_of(where) <= self._revision:
                self._last = escaped
                if flag != TOMBSTONE:
                    self._found.append(where)
