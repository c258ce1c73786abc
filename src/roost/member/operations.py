"""The operations that every member has of its own, besides what is registered."""

from collections.abc import Callable

from roost.member.cluster.membership import Membership
from roost.member.cluster.roster import PUBLISH_OPERATION, Roster
from roost.member.work.executor import Changing, Operation


def own_operations(
    roster: Roster,
    *,
    token: str,
    is_alive: Callable[[int], bool],
    now_s: Callable[[], float],
) -> dict[str, Operation | Changing]:
    """Publishing, and every change of who is in the cluster, by name."""
    membership = Membership(roster, token=token, is_alive=is_alive, now_s=now_s)
    return {
        PUBLISH_OPERATION: roster.publish,
        **membership.operations(),
        **{name: Changing(run) for name, run in membership.changes().items()},
    }
