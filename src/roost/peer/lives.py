"""Which life of each member is the newest, and which directory is its own.

A member's life is told apart by when its directory was made, by how often that was started, and
by a number that no other process draws (`frame.Life`).  Only what was proven is kept here; what
the member itself has published to the cluster counts too.

| directory | incarnation | number | is |
|---|---|---|---|
| none known | any | any | believed: the first |
| the same | newer | any | believed: it was started again |
| the same | the same | the same, or none heard | believed: it is still there |
| the same | the same | another | a copy of the directory: WrongIncarnation |
| the same | older | any | an old state of the directory: WrongIncarnation |
| another | any | any | AlreadyBootstrapped: a member never gets a second directory |

A member whose directory is lost is removed and added anew, since it has forgotten its promises.
"""

from collections.abc import Callable

from roost.peer.errors import AlreadyBootstrapped, WrongIncarnation
from roost.peer.frame import Life

NOBODY = Life(0, 0, 0)


class Lives:
    """What one member knows of the others' lives; bounded by the members there are."""

    def __init__(self, published: Callable[[int], tuple[int, int]]) -> None:
        """`published(member_id)` is (directory, incarnation) as the cluster knows it; 0 = not."""
        self._published = published
        self._heard: dict[int, Life] = {}

    def believe(self, member_id: int, life: Life) -> None:
        """Keep what a proven greeting claims.

        Raises:
            AlreadyBootstrapped, WrongIncarnation: it cannot be; see the table.

        """
        self.check(member_id, life)
        self._heard[member_id] = life

    def check(self, member_id: int, life: Life) -> None:
        """Refuse what cannot be, whoever claims it; nothing is kept.

        Raises:
            AlreadyBootstrapped, WrongIncarnation: see the table.

        """
        heard = self._heard.get(member_id, NOBODY)
        _, newest = self._published(member_id)
        directory = self.directory_of(member_id)
        newest = max(newest, heard.incarnation)
        if directory not in (0, life.directory):
            # The text is etcd's.
            raise AlreadyBootstrapped(f"member {member_id:x} has already been bootstrapped")
        is_copy = life.incarnation == heard.incarnation and life.number != heard.number
        if life.incarnation < newest or (heard is not NOBODY and is_copy):
            text = f"member {member_id:x} came with incarnation {life.incarnation} after {newest}"
            raise WrongIncarnation(f"{text}: its data directory is a copy, or an old state")

    def directory_of(self, member_id: int) -> int:
        """When the directory was made that a member lives in; 0 = it has not lived yet."""
        directory, _ = self._published(member_id)
        return directory or self._heard.get(member_id, NOBODY).directory

    def forget(self, member_id: int) -> None:
        """It was removed: its id is never used again."""
        self._heard.pop(member_id, None)
