"""A store that is damaged is fetched anew from a peer; the journal, and every promise, is kept.

What LMDB holds has checksums of ours (D2), a running digest, and the other members to compare
with.  Whatever is found wrong with it, the directory is marked first, durably, so that nobody is
ever served from it again; then the member starts anew, and before it takes part it fetches the
store of any peer, as a newcomer does.  Whom to ask is in the initial cluster or, since that may
be left out of later starts, in the store's record.  The journal goes on behind it: what is in the
log above the fetched store is replayed, what lies below is not needed any more.

A member without peers cannot do that: it does not start, and says what can be done.
"""

import logging

from roost.errors import PeerFault
from roost.journal import load_identity, lock_directory
from roost.member.config import MemberConfig
from roost.member.directory.fetching import StoreFetch, others_of
from roost.member.directory.home import directory_of
from roost.member.directory.store_record import change_record, renew_record
from roost.member.errors import CannotJoin, CannotRebuild
from roost.member.machine.world import World
from roost.peer import Invitation

logger = logging.getLogger(__name__)
ROUNDS_MAX = 60
_RETRY_S = 1.0


def mark_damaged(config: MemberConfig, reason: str, world: World | None = None) -> None:
    """Remember durably that the store must not be used any more."""
    change_record((world or World()).disk, config.data_dir, damage=reason)


def mark_suspect(config: MemberConfig, reason: str, world: World | None = None) -> None:
    """Remember durably that the store must be read before it is used again."""
    change_record((world or World()).disk, config.data_dir, suspicion=reason)


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

    lock = lock_directory(world.disk, config.data_dir)
    try:
        file = renew_record(world.disk, config.data_dir)
        file.close()
        others = others_of(config, file.record.peers)
        if not others:
            raise CannotRebuild(no_way_out(config, file.record.damage))
        fetching = StoreFetch(
            config, world, others=others, directory=directory_of(identity), check=check
        )
        _, head = await fetching.run(rounds_max=ROUNDS_MAX, retry_s=_RETRY_S)
    except CannotJoin as error:
        raise CannotRebuild(f"no member sends its store: {error}") from error
    finally:
        lock.close()
    logger.warning("the store was fetched anew; it holds everything up to entry %d", head.index)


def no_way_out(config: MemberConfig, damage: str) -> str:
    """What to tell the operator of a member whose store nobody else has."""
    text = f"the store in {config.data_dir} is damaged ({damage})"
    text += " and there is no other member to fetch it from; it is left as it is: move the"
    return f"{text} directory away and restore a backup with `roost snapshot restore`"
