"""One snapshot on its way to a file, from a peer that offered it.

It goes on where it was when the connection is cut, and the whole is checked before anything of
ours is touched.  After ATTEMPTS_MAX attempts without a byte it is given up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from roost.errors import UNDECODABLE
from roost.member.cluster.roster import CONFIGURATION_KEY
from roost.member.config import Address
from roost.member.machine.world import World
from roost.peer import Head, Incoming, SnapshotDamaged, Stream, pull
from roost.raft import Configuration, Snapshot
from roost.store import StoreError, read_applied_file, read_metadata

ATTEMPTS_MAX = 10
_RETRY_S = 0.2
Dial = Callable[[int, Address], Awaitable[Stream]]


def check_content(path: Path, snapshot: Snapshot) -> None:
    """Refuse a file that is not the store that its offer told of.

    It would be put in place, and contradict what the core was told.

    Raises:
        SnapshotDamaged: it is another one, or none.

    """
    try:
        applied = read_applied_file(path)
        encoded = read_metadata(path, CONFIGURATION_KEY)
        held = msgspec.json.decode(encoded or b"", type=Configuration)
    except (StoreError, *UNDECODABLE) as error:
        raise SnapshotDamaged(f"what was sent is no store: {error}") from error
    if applied != (snapshot.index, snapshot.term) or held != snapshot.configuration:
        text = f"{snapshot.term}:{snapshot.index} was offered"
        raise SnapshotDamaged(f"{text}, the file holds {applied[1]}:{applied[0]}, {held}")


class Fetch:
    """One snapshot on its way to a file."""

    def __init__(
        self,
        path: Path,
        snapshot: Snapshot,
        addresses: list[Address],
        dial: Dial,
        world: World,
    ) -> None:
        """Nothing is fetched yet."""
        self._path = path
        self._snapshot = snapshot
        self._addresses = addresses
        self._dial = dial
        self._world = world

    async def run(self) -> Head:
        """Fetch, check and sync the file; what it was said to be.

        Raises:
            PeerFault: the sender has it no more, or sent something else.
            OSError, TimeoutError: the sender cannot be reached, or the disk failed.

        """
        with Incoming(self._path) as incoming:
            head = await self._fetch_all(incoming)
            await incoming.finish(head, self._world.sync_file)
        return head

    async def _fetch_all(self, incoming: Incoming) -> Head:
        """Try again, from where we are, until the file is whole or nothing comes any more."""
        attempts = 0
        while True:
            before = incoming.offset
            try:
                address = self._addresses[attempts % len(self._addresses)]
                return await self._attempt(address, incoming)
            except (ConnectionError, TimeoutError):
                attempts = 0 if incoming.offset > before else attempts + 1
                if attempts >= ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(_RETRY_S)

    async def _attempt(self, address: Address, incoming: Incoming) -> Head:
        snapshot = self._snapshot
        stream = await self._dial(snapshot.sender, address)
        try:
            head = await pull(stream, snapshot.index, incoming.offset)
            if (head.index, head.term) != (snapshot.index, snapshot.term):
                raise SnapshotDamaged(f"{head.term}:{head.index} was sent")
            await incoming.take(stream, head)
        finally:
            stream.close()
        return head
