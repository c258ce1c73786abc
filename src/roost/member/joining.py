"""A new member's first step: learn who it is, and fetch what the cluster holds.

It was added before (`member add`) under its peer URLs; any member it can reach tells it its ids
and sends a snapshot that knows it.  Only then the directory gets an identity: after a crash
before that, the next start begins anew.
"""

import asyncio
import logging

from roost.errors import UNDECODABLE, PeerFault
from roost.journal import Identity, Journal, OsDisk
from roost.member.config import Address, MemberConfig, address_of
from roost.member.errors import CannotJoin
from roost.member.home import SNAPSHOTS, place_store
from roost.member.protocol import PROTOCOL_VERSION, STORAGE_VERSION
from roost.member.world import World
from roost.peer import Incoming, Invitation, Join, join

logger = logging.getLogger(__name__)
ROUNDS_MAX = 10
_RETRY_S = 0.5


async def join_cluster(config: MemberConfig, world: World | None = None) -> None:
    """Make the directory of a member that was added to a running cluster.

    Raises:
        CannotJoin: nobody reached knows these peer URLs, or nobody was reached.

    """
    world = world or World()
    own = {address_of(url) for url in config.advertise_peer_urls}
    others = [
        address_of(url)
        for urls in config.initial_cluster.values()
        for url in urls
        if address_of(url) not in own
    ]
    last: BaseException | None = None
    for _ in range(ROUNDS_MAX):
        for address in others:
            try:
                await _join_by(address, config, world)
            except (OSError, TimeoutError, PeerFault, *UNDECODABLE) as error:
                logger.warning("joining by %s:%d: %s", *address, error)
                last = error
            else:
                return
        await asyncio.sleep(_RETRY_S)
    raise CannotJoin(f"no member lets this one join; the last said: {last}")


async def _join_by(address: Address, config: MemberConfig, world: World) -> None:
    directory = config.data_dir / SNAPSHOTS
    for made in (config.data_dir, directory):
        OsDisk().make_directory(made)
    path = directory / "incoming.mdb"
    stream = await world.dial(address)
    try:
        asked = Join(
            peer_urls=config.advertise_peer_urls,
            protocol_version=PROTOCOL_VERSION,
            storage_version=STORAGE_VERSION,
        )
        invitation, head = await join(stream, asked)
        logger.info("joining as %x by a snapshot at %d", invitation.member_id, head.index)
        with Incoming(path) as incoming:
            await incoming.take(stream, head)
            await incoming.finish(head, world.sync_file)
    finally:
        stream.close()
    place_store(config.data_dir, path, head.index, head.term, world)
    _save_identity(config, invitation, world)


def _save_identity(config: MemberConfig, invitation: Invitation, world: World) -> None:
    identity = Identity(
        cluster_id=invitation.cluster_id,
        member_id=invitation.member_id,
        incarnation=world.new_incarnation(),
        created=world.wall_s(),
    )
    Journal.open(
        config.data_dir, identity=identity, disk=world.disk, config=world.journal_config
    ).close()
