"""All keys of two clusters, side by side: what differs, and one hash of each.

Both are read in the order of their keys, in pages that are of one revision, so neither is held in
memory.  A page that is compacted on the way begins the reading anew, where the caller says so.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from roost.client import Client, Item

ALL = b"\0"
_HEAD = Struct(">IQQ")
_REVISIONS = Struct(">QQQ")


@dataclass(frozen=True, slots=True)
class Digest:
    """The SHA-256 of keys, values and leases, and with `has_revisions` of where they come from."""

    digest: str
    key_count: int
    revision: int
    has_revisions: bool


def digest_of(
    client: Client,
    revision: int,
    *,
    has_revisions: bool,
    lease_of: Callable[[int], int] = lambda it: it,
) -> Digest:
    """Read all keys as of a revision; 0 is now.  `lease_of` says which lease counts for which.

    Raises:
        Compacted: it is forgotten.
        ClientError: no endpoint answered.

    """
    digest, count = hashlib.sha256(), 0
    for page in client.pages(ALL, ALL, revision=revision):
        revision = page.revision
        for it in page.items:
            count += 1
            digest.update(_HEAD.pack(len(it.key), len(it.value), lease_of(it.lease) % (1 << 64)))
            digest.update(it.key)
            digest.update(it.value)
            if has_revisions:
                said = _REVISIONS.pack(it.create_revision, it.mod_revision, it.version)
                digest.update(said)
    return Digest(digest.hexdigest(), count, revision, has_revisions)


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that is not alike: `wanted` is None where it should not be."""

    key: bytes
    wanted: Item | None


class Comparing:
    """Walks over both sides; afterwards `revision` is where the first was read."""

    def __init__(self, first: Client, second: Client) -> None:
        """Nothing is read yet."""
        self._first, self._second = first, second
        self.revision = 0
        self.key_count = 0

    def differences(self) -> Iterator[Difference]:
        """What must be done to the second to make it what the first is, in the order of keys.

        Raises:
            Compacted: the first has forgotten what it was read at.
            ClientError: no endpoint answered.

        """
        ours, theirs = self._wanted(), self._items(self._second)
        want, have = next(ours, None), next(theirs, None)
        while want is not None or have is not None:
            if have is None or (want is not None and want.key < have.key):
                assert want is not None, "one of them is there"
                yield Difference(want.key, want)
                want = next(ours, None)
            elif want is None or have.key < want.key:
                yield Difference(have.key, None)
                have = next(theirs, None)
            else:
                if (want.value, want.lease) != (have.value, have.lease):
                    yield Difference(want.key, want)
                want, have = next(ours, None), next(theirs, None)

    def _wanted(self) -> Iterator[Item]:
        for page in self._first.pages(ALL, ALL, revision=self.revision):
            self.revision = page.revision
            for it in page.items:
                self.key_count += 1
                yield it

    def _items(self, client: Client) -> Iterator[Item]:
        for page in client.pages(ALL, ALL):
            yield from page.items
