"""A new member's first step: its directory is filled by the cluster that it joins.

It was added before (`member add`) under its peer URLs; any member it can reach tells it its ids
and sends a snapshot that knows it.  Only then the directory gets an identity: after a crash before
that, the next start begins anew.
"""

from roost.journal import Identity, Journal
from roost.member.config import MemberConfig
from roost.member.directory.fetching import StoreFetch
from roost.member.machine.world import World

ROUNDS_MAX = 10
_RETRY_S = 0.5


async def join_cluster(config: MemberConfig, world: World | None = None) -> None:
    """Make the directory of a member that was added to a running cluster.

    Raises:
        CannotJoin: nobody reached knows these peer URLs, or nobody was reached.
        OSError: our own peer URLs cannot be listened at.

    """
    world = world or World()
    fetching = StoreFetch(config, world)
    invitation, _ = await fetching.run(rounds_max=ROUNDS_MAX, retry_s=_RETRY_S)
    identity = Identity(
        cluster_id=invitation.cluster_id,
        member_id=invitation.member_id,
        incarnation=world.new_incarnation(),
        created=world.wall_s(),
    )
    Journal.open(
        config.data_dir, identity=identity, disk=world.disk, config=world.journal_config
    ).close()
