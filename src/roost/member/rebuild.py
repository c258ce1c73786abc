"""A store that is damaged is fetched anew from a peer; the journal, and every promise, is kept.

What LMDB holds has checksums of ours (D2), a running digest, and the other members to compare
with.  Whatever is found wrong with it, the directory is marked first, durably, so that nobody is
ever served from it again; then the member starts anew, and before it takes part it fetches the
store of any peer, as a newcomer does.  The journal goes on behind it: what is in the log above
the fetched store is replayed, what lies below is not needed any more.

A member without peers cannot do that: it does not start, and says which backup would help.
"""

import asyncio
import logging

import msgspec

from roost.errors import UNDECODABLE, PeerFault
from roost.journal import Identity, OsDisk, Twin, load_identity, lock_directory
from roost.member.config import Address, MemberConfig, address_of
from roost.member.errors import CannotRebuild
from roost.member.home import SNAPSHOTS, StoreRecord, place_store
from roost.member.protocol import PROTOCOL_VERSION, STORAGE_VERSION
from roost.member.world import World
from roost.peer import Incoming, Join, join

logger = logging.getLogger(__name__)
ROUNDS_MAX = 60
_RETRY_S = 1.0


def mark_damaged(config: MemberConfig, reason: str, world: World | None = None) -> None:
    """Remember durably that the store must not be used any more."""
    twin = Twin((world or World()).disk, config.data_dir, "store")
    try:
        held = twin.load()
        record = msgspec.json.decode(held, type=StoreRecord) if held else StoreRecord()
        twin.save(msgspec.json.encode(msgspec.structs.replace(record, damage=reason)))
    finally:
        twin.close()


async def rebuild_store(config: MemberConfig, world: World | None = None) -> None:
    """Put a peer's store in the place of a damaged one, before the member starts.

    Raises:
        CannotRebuild: there is no peer, or none of them sends its store.
        DeviceFault: see `roost.journal`.

    """
    world = world or World()
    identity = load_identity(world.disk, config.data_dir)
    assert identity is not None, "a store that is damaged belongs to somebody"
    own = {address_of(url) for url in config.advertise_peer_urls}
    urls = [url for of_one in config.initial_cluster.values() for url in of_one]
    others = [address_of(url) for url in urls if address_of(url) not in own]
    if not others:
        text = "the store is damaged and there is no other member to fetch it from"
        raise CannotRebuild(f"{text}; restore a backup with `roost snapshot restore`")
    lock = lock_directory(world.disk, config.data_dir)
    try:
        await _try_all(others, config, identity, world)
    finally:
        lock.close()


async def _try_all(
    others: list[Address], config: MemberConfig, identity: Identity, world: World
) -> None:
    last: BaseException | None = None
    for _ in range(ROUNDS_MAX):
        for address in others:
            try:
                await _fetch(address, config, identity, world)
            except (OSError, TimeoutError, PeerFault, *UNDECODABLE) as error:
                logger.warning("fetching the store of %s:%d: %s", *address, error)
                last = error
            else:
                return
        await asyncio.sleep(_RETRY_S)
    raise CannotRebuild(f"no member sends its store; the last said: {last}")


async def _fetch(address: Address, config: MemberConfig, identity: Identity, world: World) -> None:
    directory = config.data_dir / SNAPSHOTS
    OsDisk().make_directory(directory)
    path = directory / "incoming.mdb"
    stream = await world.dial(address)
    try:
        asked = Join(
            peer_urls=config.advertise_peer_urls,
            protocol_version=PROTOCOL_VERSION,
            storage_version=STORAGE_VERSION,
        )
        invitation, head = await join(stream, asked)
        invited = (invitation.cluster_id, invitation.member_id)
        if invited != (identity.cluster_id, identity.member_id):
            raise PeerFault(f"it takes us for member {invited[1]:x} of cluster {invited[0]:x}")
        with Incoming(path) as incoming:
            await incoming.take(stream, head)
            await incoming.finish(head, world.sync_file)
    finally:
        stream.close()
    place_store(config.data_dir, path, head.index, head.term, world)
    logger.warning("the store was fetched anew; it holds everything up to entry %d", head.index)
