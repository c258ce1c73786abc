"""A store that is damaged is fetched anew from a peer; the journal, and every promise, is kept.

What LMDB holds has checksums of ours (D2), a running digest, and the other members to compare
with.  Whatever is found wrong with it, the directory is marked first, durably, so that nobody is
ever served from it again; then the member starts anew, and before it takes part it fetches the
store of any peer, as a newcomer does.  The journal goes on behind it: what is in the log above
the fetched store is replayed, what lies below is not needed any more.

A member without peers cannot do that: it does not start, and says which backup would help.
"""

import logging

import msgspec

from roost.errors import PeerFault
from roost.journal import Twin, load_identity, lock_directory
from roost.member.config import MemberConfig
from roost.member.errors import CannotJoin, CannotRebuild
from roost.member.home import StoreRecord, directory_of
from roost.member.joining import StoreFetch
from roost.member.world import World
from roost.peer import Invitation

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

    def check(invitation: Invitation) -> None:
        invited = (invitation.cluster_id, invitation.member_id)
        if invited != (identity.cluster_id, identity.member_id):
            raise PeerFault(f"it takes us for member {invited[1]:x} of cluster {invited[0]:x}")

    fetching = StoreFetch(config, world, directory=directory_of(identity), check=check)
    if not fetching.others:
        text = "the store is damaged and there is no other member to fetch it from"
        raise CannotRebuild(f"{text}; restore a backup with `roost snapshot restore`")
    lock = lock_directory(world.disk, config.data_dir)
    try:
        _, head = await fetching.run(rounds_max=ROUNDS_MAX, retry_s=_RETRY_S)
    except CannotJoin as error:
        raise CannotRebuild(f"no member sends its store: {error}") from error
    finally:
        lock.close()
    logger.warning("the store was fetched anew; it holds everything up to entry %d", head.index)
