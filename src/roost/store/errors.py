"""What the store can say no with, and what it can find on its disk."""

from roost.errors import CallerFault, DeviceFault, NotExecuted, PeerFault, Refused


class UnknownTree(CallerFault):
    """No tree has that name."""


class BadTreeName(CallerFault):
    """Tree names are 1 to 128 printable ASCII characters without spaces."""


class TooManyTrees(Refused):
    """A store gives each tree a number of its own, and all numbers are given."""


class HeldViewLost(NotExecuted):
    """The state that was read over many turns is gone; a read may begin anew."""


class MalformedWriteSet(PeerFault):
    """Bytes are no write set of ours."""


class StoreError(DeviceFault):
    """Base of what the disk under the store does."""


class StoreBroken(StoreError):
    """The keeper failed or ended; nothing more will become durable."""


class DiskFull(StoreError):
    """There is no room for a commit; what the store holds is the state before."""


class StoreCorrupt(StoreError):
    """What the store's disk holds is not what was written there."""


class ValueCorrupt(StoreCorrupt):
    """A value does not have its checksum any more; it was never handed out."""


class PageCorrupt(StoreCorrupt):
    """LMDB cannot follow its own pages, or the file is not long enough for them."""


class StoreSuspect(StoreError):
    """The keeper was ended by a signal: maybe by what it read in the store."""


class StoreForeign(StoreError):
    """The directory holds the store of another cluster, or of another version of Roost."""
