"""A store from another member, before ours runs: what joining and rebuilding share.

One member after another is asked, until one sends its store.  Whoever is asked calls back at the
asker's peer URLs, so they must be listened at: until the member runs, a doorbell does that.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from roost.errors import UNDECODABLE, PeerFault
from roost.journal import OsDisk
from roost.member.config import Address, MemberConfig, address_of
from roost.member.directory.home import SNAPSHOTS, place_store
from roost.member.errors import CannotJoin
from roost.member.machine.world import World
from roost.member.protocol import PROTOCOL_VERSION
from roost.os_errors import words_of
from roost.peer import (
    NONCE_BYTES,
    AlreadyBootstrapped,
    Doorbell,
    Head,
    Incoming,
    Invitation,
    Join,
    RefusedThere,
    join,
)
from roost.store import STORAGE_VERSION

logger = logging.getLogger(__name__)
_NOBODY = (
    "there is no other member to join: name those that run with --initial-cluster, as `roost "
    "member add` printed it"
)


def _believe(_invitation: Invitation) -> None:
    """A newcomer is whoever it is told it is."""


def others_of(config: MemberConfig, known: Sequence[str]) -> list[Address]:
    """Where the other members are, by the initial cluster and the peer URLs that are `known`."""
    own = {address_of(url) for url in config.advertise_peer_urls}
    urls = [url for of_one in config.initial_cluster.values() for url in of_one]
    addresses = dict.fromkeys(address_of(url) for url in (*urls, *known))
    return [it for it in addresses if it not in own]


class StoreFetch:
    """Asks one member after another for its store, and puts it in place.

    Those of the initial cluster are asked, unless `others` says whom.  `directory` is when our
    own was made, if it has been a member's before; `check` raises a PeerFault when an invitation
    is for somebody else.
    """

    def __init__(
        self,
        config: MemberConfig,
        world: World,
        *,
        others: Sequence[Address] | None = None,
        directory: int = 0,
        check: Callable[[Invitation], None] = _believe,
    ) -> None:
        """Nobody is asked yet."""
        self._config = config
        self._world = world
        self._directory = directory
        self._check = check
        self._others = others_of(config, ()) if others is None else others

    async def run(self, *, rounds_max: int, retry_s: float) -> tuple[Invitation, Head]:
        """Ask until somebody sends its store, and put that in place.

        Raises:
            CannotJoin: nobody does, or the member has lived in another directory.

        """
        if not self._others:
            raise CannotJoin(_NOBODY)
        last = ""
        said: set[str] = set()
        listen = [address_of(url) for url in self._config.listen_peer_urls]
        async with self._world.make_doorbell(listen) as doorbell:
            for _ in range(rounds_max):
                for address in self._others:
                    try:
                        return await self._ask(address, doorbell)
                    except (OSError, PeerFault, *UNDECODABLE) as error:
                        last = f"{address[0]}:{address[1]}: {_words(error)}"
                        if last not in said:
                            logger.warning("joining by %s", last)
                        said.add(last)
                        _give_up_if_final(error)
                await asyncio.sleep(retry_s)
        raise CannotJoin(f"no member lets this one join; the last was {last}")

    async def _ask(self, address: Address, doorbell: Doorbell) -> tuple[Invitation, Head]:
        config, world = self._config, self._world
        directory = config.data_dir / SNAPSHOTS
        for made in (config.data_dir, directory):
            OsDisk().make_directory(made)
        path = directory / "incoming.mdb"
        nonce = world.dice.below(1 << (8 * NONCE_BYTES)).to_bytes(NONCE_BYTES, "big")
        doorbell.nonces.add(nonce)
        stream = await world.dial(address)
        try:
            asked = Join(
                peer_urls=config.advertise_peer_urls,
                protocol_version=PROTOCOL_VERSION,
                storage_version=STORAGE_VERSION,
                nonce=nonce,
                directory=self._directory,
            )
            invitation, head = await join(stream, asked, world.peer_secrets)
            self._check(invitation)
            logger.info("member %x gets a snapshot at %d", invitation.member_id, head.index)
            with Incoming(path) as incoming:
                await incoming.take(stream, head)
                await incoming.finish(head, world.sync_file)
        finally:
            doorbell.nonces.discard(nonce)
            stream.close()
        place_store(config.data_dir, path, head.index, head.term, world)
        return invitation, head


def _words(error: BaseException) -> str:
    text = words_of(error) if isinstance(error, OSError) else str(error)
    return text or type(error).__name__


def _give_up_if_final(error: BaseException) -> None:
    """Asking again is of no use when the cluster knows the member, but not this directory."""
    if not isinstance(error, RefusedThere) or not error.is_proven:
        return
    if isinstance(error.refusal, AlreadyBootstrapped):
        text = "start it on the directory it had, or remove it and add it anew"
        raise CannotJoin(f"{error}: {text}") from error
