"""The operations that every member has of its own, besides what is registered."""

from collections.abc import Callable

from roost.member.executor import Changing, Operation
from roost.member.membership import Membership
from roost.member.roster import PUBLISH_OPERATION, Roster


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
