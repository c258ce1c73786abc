"""Who dials us: let in while there is room, greeted, and then listened to (`accepting`).

A member that dials again replaces its older connection: that one may be half open, and would be
listened to for as long as nobody notices.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from roost.peer.accepting import Accepted, make_room
from roost.peer.claims import Shown
from roost.peer.config import PeerConfig, TransportStatistics
from roost.peer.dialled import Dialled
from roost.peer.frame import HANDSHAKE_BYTES_MAX
from roost.peer.greeter import Greeter
from roost.peer.greeting import Admitted, CallBack, House, Joins
from roost.peer.local import BULK, CONTROL, Address
from roost.peer.network import Connection, Listener, Network
from roost.peer.refusals import Refusals
from roost.peer.snapshot import Pull
from roost.peer.stream import Stream
from roost.tasks import Tasks

logger = logging.getLogger(__name__)


class Gate:
    """The connections that others have dialled; the `Reception` of each."""

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        house: House,
        greeter: Greeter,
        dialled: Dialled,
        *,
        network: Network,
        config: PeerConfig,
        tasks: Tasks,
        statistics: TransportStatistics,
        on_frame: Callable[[int, int, bytes], None],
        on_batch_end: Callable[[], None],
        on_pull: Callable[[Stream, Pull], None],
        on_join: Callable[[Stream, Joins], None],
    ) -> None:
        """Nobody can come before `open`; see `Transport` for the callables."""
        self.house = house
        self.config = config
        self.tasks = tasks
        self.statistics = statistics
        self.on_frame = on_frame
        self.on_batch_end = on_batch_end
        self.on_pull = on_pull
        self.on_join = on_join
        self.draw_nonce = greeter.draw_nonce
        self._greeter = greeter
        self._dialled = dialled
        self._network = network
        self._listeners: list[Listener] = []
        # In the order in which they came.
        self._accepted: dict[Accepted, None] = {}
        self._by_channel: dict[tuple[int, int], Accepted] = {}
        self._refusals = Refusals()

    async def open(self, addresses: Sequence[Address]) -> None:
        """Listen there.

        Raises:
            OSError: an address cannot be bound.

        """
        self.loop = asyncio.get_running_loop()
        for address in addresses:
            self._listeners.append(await self._network.listen(address, self._on_come))

    @property
    def addresses(self) -> list[Address]:
        """Where we really listen."""
        return [it.address for it in self._listeners]

    def _on_come(self, connection: Connection, host: str) -> None:
        """Somebody at `host` has dialled: have it greet us, if there is room."""
        waiting = [it for it in self._accepted if it.hello is None]
        leaving = make_room(waiting, host, self._dialled.known_hosts(), self.config)
        if leaving is not None:
            logger.debug("a connection from %s has not greeted, and makes room", leaving.host)
            leaving.close()
        if len(self._accepted) >= self.config.incoming_count_max:
            connection.close()
            return
        accepted = Accepted(self, Stream(connection, HANDSHAKE_BYTES_MAX), host)
        self._accepted[accepted] = None
        accepted.begin()

    def certificate_of(self, stream: Stream) -> Shown | None:
        """What the other side has shown, when it had to show something."""
        return self._network.shown(stream.connection)

    async def call_back(self, step: CallBack, host: str) -> str:
        """Ask a member whether it greets us; see `Greeter`."""
        return await self._greeter.call_back(step, host)

    def note_refused(self, host: str, error: Exception) -> None:
        """Somebody was not let in."""
        self._refusals.note(host, error, self.loop.time())

    def on_greeted(self, accepted: Accepted, admitted: Admitted) -> None:
        """A peer has greeted: it replaces its older connection, and is there to be dialled."""
        hello, dialled = admitted.hello, self._dialled
        is_new = hello.member_id not in dialled
        if is_new:
            logger.info("member %x is new to this one", hello.member_id)
        if admitted.new_addresses or is_new:
            dialled.hear_of(hello.member_id, admitted.new_addresses)
        key = (hello.member_id, hello.channel)
        old = self._by_channel.get(key)
        self._by_channel[key] = accepted
        if old is not None:
            old.close()
        dialled.wake(hello.member_id)
        accepted.listen()

    def forget(self, accepted: Accepted) -> None:
        """Somebody else owns that connection now."""
        self._accepted.pop(accepted, None)

    def on_accepted_closed(self, accepted: Accepted) -> None:
        """An accepted connection ended."""
        self.forget(accepted)
        hello = accepted.hello
        if hello is None:
            return
        key = (hello.member_id, hello.channel)
        if self._by_channel.get(key) is accepted:
            del self._by_channel[key]
            self._dialled.on_unreachable(hello.member_id)

    def turn_out(self, member_id: int) -> None:
        """Close what a member has dialled."""
        for channel in (CONTROL, BULK):
            accepted = self._by_channel.get((member_id, channel))
            if accepted is not None:
                accepted.close()

    def stop(self) -> None:
        """Let nobody in any more."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()

    def close(self) -> None:
        """Close everything."""
        self.stop()
        for accepted in list(self._accepted):
            accepted.close()
