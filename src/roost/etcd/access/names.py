"""The names of all users, or of all roles, read in steps of one state (D14).

They are measured in one pass and kept while there is room; where there is none they are read again
while they are sent (see `v3/long_reads.py`).
"""

from collections.abc import Generator, Iterator

from roost.database.model import View, Walk
from roost.etcd.model.ranges import Room
from roost.etcd.model.rows import ROWS_MAX
from roost.etcd.model.wire import field


class NamesReading:
    """The answer to a list without its header: `measure` to its end, then `pieces`, then `close`.

    Both lists are `repeated string` with the number 2 (etcd api: AuthUserListResponse.users,
    AuthRoleListResponse.roles).
    """

    last_cost = 1

    def __init__(self, view: View, tree_id: int, room: Room) -> None:
        """Read the keys of a tree of `view`; what is kept takes its place in `room`."""
        self._view, self._tree_id, self._room = view, tree_id, room
        self._kept: list[bytes] | None = []
        self.size = self._kept_bytes = 0

    def measure(self) -> Generator[int, None, None]:
        """Find out how long the answer is; yields what a step has cost."""
        for piece in self._read():
            self.size += len(piece)
            if self._kept is not None and self._room.take(len(piece)):
                self._kept.append(piece)
                self._kept_bytes += len(piece)
            else:
                self._forget()
            yield ROWS_MAX

    @property
    def is_kept(self) -> bool:
        """Whether all pieces are kept, so that the view is read no more."""
        return self._kept is not None

    def pieces(self) -> Iterator[bytes]:
        """The answer, of `size` bytes; a step each."""
        yield from self._read() if self._kept is None else self._kept

    def close(self) -> None:
        """Keep nothing any more."""
        self._forget()

    def _forget(self) -> None:
        self._room.give_back(self._kept_bytes)
        self._kept, self._kept_bytes = None, 0

    def _read(self) -> Iterator[bytes]:
        walk = Walk(self._view, self._tree_id, b"", None, keys_only=True)
        while not walk.is_done:
            yield b"".join([field(b"\x12", name) for name, _ in walk.take(ROWS_MAX)])
