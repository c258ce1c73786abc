"""Our house, as whoever greets us finds it: who we are, and what the cluster knows of others."""

from collections.abc import Callable

from roost.peer.dialled import Dialled
from roost.peer.frame import Invitation, Join
from roost.peer.greeter import Greeter
from roost.peer.local import Known


class OwnHouse:
    """One member's `greeting.House`: who is known is who is dialled."""

    def __init__(
        self,
        greeter: Greeter,
        dialled: Dialled,
        *,
        peer_count_max: int,
        is_removed: Callable[[int], bool],
        invite: Callable[[Join], tuple[Invitation, Known]],
        names_of: Callable[[int], tuple[str, ...]],
        ask_about: Callable[[int], None],
    ) -> None:
        """Look things up; the callables are the roster's, see `greeting.House`."""
        self.local = greeter.local
        self.lives = greeter.lives
        self.secrets = greeter.secrets
        self.is_greeting = greeter.is_greeting
        self.is_removed = is_removed
        self.invite = invite
        self.ask_about = ask_about
        self._dialled = dialled
        self._names_of = names_of
        self._peer_count_max = peer_count_max

    def known(self, member_id: int) -> Known | None:
        """A member that we dial, because the roster or somebody of it says so."""
        if member_id not in self._dialled:
            return None
        return Known(tuple(self._dialled.addresses_of(member_id)), self._names_of(member_id))

    def is_full(self) -> bool:
        """Whether nobody else can be known."""
        return len(self._dialled) >= self._peer_count_max
