"""Where watchers stand that are behind: in a party, or nowhere, because their stream has no room.

A crowd that comes all at once stands in its party at once.  Each of it is noted in turns to come,
and found in its crowd till then: a hundred thousand that are noted in one step take tens of
milliseconds (D14).

Full?  One entry a watcher; the hub bounds how many there are.
"""

from collections.abc import Iterator

from roost.etcd.v3.watchers import Watcher, WatcherIndex


class Party:
    """Watchers that stand at one revision: the next that they want."""

    __slots__ = ("members", "revision")

    def __init__(self, revision: int, members: WatcherIndex | None = None) -> None:
        """Nobody stands there, or these do."""
        self.revision = revision
        self.members = WatcherIndex() if members is None else members


class Places:
    """The places of all who are behind."""

    def __init__(self) -> None:
        """Nobody is."""
        self._count = 0
        # None = it rests.
        self._noted: dict[Watcher, Party | None] = {}
        # Parties of which some were not noted yet.
        self._crowds: list[Party] = []

    def __len__(self) -> int:
        """How many are behind."""
        return self._count

    def __contains__(self, watcher: Watcher) -> bool:
        """Whether a watcher is behind."""
        return watcher in self._noted or self._crowd_of(watcher) is not None

    def _crowd_of(self, watcher: Watcher) -> Party | None:
        return next((it for it in self._crowds if watcher in it.members), None)

    def party_of(self, watcher: Watcher) -> Party | None:
        """Where one stands; None where it rests, or is not behind."""
        return self._noted.get(watcher) or self._crowd_of(watcher)

    def note(self, watcher: Watcher, party: Party | None) -> None:
        """One stands in a party from now on, of which it becomes a member next; or it rests."""
        if watcher not in self:
            self._count += 1
        self._noted[watcher] = party

    def note_crowd(self, party: Party) -> Iterator[None]:
        """All members of a party stand there from now on; what is returned notes one a step."""
        self._count += len(party.members)
        self._crowds.append(party)
        return self._noting(party)

    def _noting(self, party: Party) -> Iterator[None]:
        for watcher in party.members.each():
            if watcher in party.members:  # some may have gone on
                self._noted.setdefault(watcher, party)
            yield
        self._crowds.remove(party)

    def forget(self, watcher: Watcher) -> Party | None:
        """One that is behind stands nowhere any more; where it stood, None = it rested.

        It is a member of its party yet.
        """
        self._count -= 1
        crowd = self._crowd_of(watcher)
        return self._noted.pop(watcher, crowd)
