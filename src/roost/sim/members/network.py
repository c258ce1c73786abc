"""A network between simulated machines: connections that delay, break, fill, and are cut one way.

It behaves as TCP does: what arrives on a connection arrives in order; what is lost is lost
because the connection breaks, and everything behind it is lost too.  A cut direction swallows what
is sent until somebody notices, within DETECT_S_MAX: the one that sent, and the other side too,
unless connections are left half open.  Who sends more than the other side reads is told to wait,
as by a full socket.

A `Host` is a machine's `peer.Network`, and a `SimSocket` its `peer.Connection`: all above them,
links, greetings and snapshots, is what runs in production.
"""

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Callable, Sequence
from errno import EADDRINUSE, EBADF
from selectors import EVENT_READ, EVENT_WRITE

from roost.peer import Connection
from roost.peer.frame import HELLO, PROOF
from roost.sim.members.loop import virtual_loop

Address = tuple[str, int]
DETECT_S_MAX = 1.0
# What a connection takes before the other side reads it, unless a run says otherwise.
WINDOW_BYTES = 256 << 10
OVERHEARD_MAX = 64
_KIND_AT, _GREETINGS = 6, (HELLO, PROOF)
# How often a dialler that hears nothing is refused in the end, and how soon it first tries again.
REFUSED_ODDS, SYN_AGAIN_S = 0.5, 1.0


class SimNetwork:
    """Who listens where, which directions are cut, and how long a message takes."""

    def __init__(
        self,
        dice: random.Random,
        *,
        delay_s_mean: float,
        window_bytes: int = WINDOW_BYTES,
        leaves_half_open: bool = False,
    ) -> None:
        """Nobody listens."""
        self.dice = dice
        self.delay_s_mean = delay_s_mean
        self.window_bytes = window_bytes
        self.leaves_half_open = leaves_half_open
        self.listening: dict[Address, SimListener] = {}
        self.cut: set[tuple[Address, Address]] = set()
        # Until when what goes from one to another is held up.
        self.clogged: dict[tuple[Address, Address], float] = {}
        # Until when a machine reads nothing that comes.
        self.deaf: dict[Address, float] = {}
        # On which way the next bytes change.
        self.garbled: set[tuple[Address, Address]] = set()
        # What was lately said in greetings, and when: anybody may have listened.
        self.overheard: deque[tuple[float, bytes]] = deque(maxlen=OVERHEARD_MAX)
        self.delivered = 0
        # Every byte that arrived anywhere, so that two runs can be told apart.
        self.digest = hashlib.blake2b(digest_size=16)

    def heal(self) -> None:
        """Every direction is open, and everybody reads."""
        self.cut.clear()
        self.clogged.clear()
        self.deaf.clear()
        self.garbled.clear()

    def delay_s(self) -> float:
        """How long the next message takes."""
        return self.dice.expovariate(1 / self.delay_s_mean)

    def is_cut(self, source: Address, target: Address) -> bool:
        """Whether nothing gets from one to the other."""
        return (source, target) in self.cut

    def garble(self, data: bytes) -> bytes:
        """Some bytes, one of them changed."""
        place = self.dice.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1 << self.dice.randrange(8)]) + data[place + 1 :]

    def is_reading(self, address: Address) -> bool:
        """Whether a machine takes what has come."""
        return not self.deaf or self.deaf.get(address, 0.0) <= virtual_loop().time()

    async def reach(self, source: "Host", target: Address) -> "SimSocket":
        """A new connection, after a round trip.

        Raises:
            ConnectionRefusedError: nobody answers there, or a router between says so.

        """
        again_s = SYN_AGAIN_S
        while self.is_cut(source.address, target) or self.is_cut(target, source.address):
            if self.dice.random() < REFUSED_ODDS:
                await asyncio.sleep(self.delay_s())
                raise ConnectionRefusedError(f"no way leads to {target}")
            await asyncio.sleep(again_s)
            again_s *= 2
        await asyncio.sleep(2 * self.delay_s())
        listener = self.listening.get(target)
        if listener is None:
            raise ConnectionRefusedError(f"nobody answers at {target}")
        near, far = SimSocket(self, source), SimSocket(self, listener.host)
        near.other, far.other = far, near
        virtual_loop().call_soon(listener.take, far, source.address[0])
        return near


class Host:
    """One machine on the network; what it has open ends when it does."""

    def __init__(self, network: SimNetwork, address: Address) -> None:
        """Nothing is open; what it dials comes from `address`."""
        self._network = network
        self.address = address
        self._listeners: list[SimListener] = []
        # In the order in which they were opened.
        self.sockets: dict[SimSocket, None] = {}

    async def listen(
        self, address: Address, on_come: Callable[[Connection, str], None]
    ) -> "SimListener":
        """Hand on every connection to one of our addresses.

        Raises:
            OSError: somebody listens there.

        """
        if address in self._network.listening:
            raise OSError(EADDRINUSE, f"somebody listens at {address}")
        listener = SimListener(self._network, self, address, on_come)
        self._network.listening[address] = listener
        self._listeners.append(listener)
        return listener

    async def connect(self, address: Address) -> tuple[Connection, str]:
        """Connect; names are addresses here."""
        return await self._network.reach(self, address), address[0]

    def shown(self, connection: Connection) -> None:
        """Nobody has certificates."""

    def deafen(self, until_s: float) -> None:
        """Read nothing that comes until then."""
        self._network.deaf[self.address] = until_s
        virtual_loop().call_at(until_s, self._look_again)

    def _look_again(self) -> None:
        for sock in self.sockets:
            sock.note()

    def end(self, *, loses_power: bool) -> None:
        """Close everything, as the operating system does for a process that was killed.

        With the power all of it goes without a word.
        """
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for sock in list(self.sockets):
            if loses_power:
                sock.lose()
            else:
                sock.close()


class SimListener:
    """An address at which a machine listens."""

    def __init__(
        self,
        network: SimNetwork,
        host: Host,
        address: Address,
        on_come: Callable[[Connection, str], None],
    ) -> None:
        """Open."""
        self._network = network
        self._on_come = on_come
        self.host = host
        self.address = address

    def take(self, sock: "SimSocket", source: str) -> None:
        """Somebody was connected."""
        if self._network.listening.get(self.address) is self:
            self._on_come(sock, source)
        else:
            sock.vanish()
            sock.other.reset_later(self._network.delay_s())

    def close(self) -> None:
        """Take nobody any more."""
        if self._network.listening.get(self.address) is self:
            del self._network.listening[self.address]


class SimSocket:
    """One end of a connection."""

    other: "SimSocket"

    def __init__(self, network: SimNetwork, host: Host) -> None:
        """Open; the two ends know each other before anything is sent."""
        self._network = network
        self.host = host
        self._loop = virtual_loop()
        self._descriptor = self._loop.attach(self)
        self._received: deque[bytes] = deque()
        # What comes to this side, in order; timers that are due at one time are not in order.
        self.on_way: deque[bytes] = deque()
        # What was sent and not read by the other side yet.
        self.unread_bytes = 0
        # When the last of what was sent arrives: nothing overtakes it.
        self._last_s = 0.0
        self._is_open = True
        self._is_closed = False  # by whoever had it; the machine may have gone before
        self._is_ended = False  # the other side has closed
        self._is_reset = False
        self._is_doomed = False  # something that this side sent was lost
        host.sockets[self] = None

    def events(self) -> int:
        """What can be done now."""
        if not self._is_open:
            return 0
        is_readable = self._received or self._is_ended or self._is_reset
        is_writable = self._is_reset or self.unread_bytes < self._network.window_bytes
        reads = EVENT_READ if is_readable and self._network.is_reading(self.host.address) else 0
        return reads | (EVENT_WRITE if is_writable else 0)

    def note(self) -> None:
        """Something has changed."""
        self._loop.note(self._descriptor)

    def fileno(self) -> int:
        """What the event loop knows it by."""
        return -1 if self._is_closed else self._descriptor

    def send(self, data: bytes) -> int:
        """Send a beginning of `data`, as far as there is room."""
        self._check()
        room = self._network.window_bytes - self.unread_bytes
        if room <= 0:
            raise BlockingIOError
        taken = data if len(data) <= room else data[:room]
        self.unread_bytes += len(taken)
        self._carry(taken)
        return len(taken)

    def sendmsg(self, buffers: Sequence[bytes | memoryview]) -> int:
        """Send a beginning of all that."""
        return self.send(b"".join(buffers))

    def recv(self, count: int) -> bytes:
        """What has come."""
        if not self._network.is_reading(self.host.address):
            raise BlockingIOError
        if self._received and not self._is_reset:
            data = self._received.popleft()
            if len(data) > count:
                self._received.appendleft(data[count:])
                data = data[:count]
            other = self.other
            is_full = other.unread_bytes >= self._network.window_bytes
            other.unread_bytes -= len(data)
            if is_full:
                other.note()
            return data
        self._check()
        if not self._is_ended:
            raise BlockingIOError
        return b""

    def _check(self) -> None:
        if not self._is_open:
            raise OSError(EBADF, "it is closed")
        if self._is_reset:
            raise ConnectionResetError("the connection is gone")

    def close(self) -> None:
        """Say that nothing follows."""
        self._is_closed = True
        if self._is_open:
            self.vanish()
            if not self._is_reset:
                self._carry(b"")

    def vanish(self) -> None:
        """Be gone, without a word to the other side."""
        self._is_open = False
        self._received.clear()
        self._loop.detach(self._descriptor)
        self.host.sockets.pop(self, None)

    def lose(self) -> None:
        """Be gone with the machine; the other side notices, if it has reason to."""
        self.vanish()
        network = self._network
        if self.other.unread_bytes or not network.leaves_half_open:
            self.other.reset_later(network.dice.uniform(0, DETECT_S_MAX))

    def reset_later(self, delay_s: float) -> None:
        """Notice in a while that the connection is gone."""
        self._loop.call_later(delay_s, self._reset)

    def _reset(self) -> None:
        if self._is_open and not self._is_reset:
            self._is_reset = True
            self._received.clear()
            self.note()

    def _carry(self, data: bytes) -> None:
        """Carry bytes, or the end; or lose them and, in time, the connection."""
        network, loop = self._network, self._loop
        way = (self.host.address, self.other.host.address)
        if self._is_doomed or way in network.cut:
            self._doom()
            return
        if len(data) > _KIND_AT and data[_KIND_AT] in _GREETINGS:
            network.overheard.append((loop.time(), data))
        if data and way in network.garbled:
            network.garbled.discard(way)
            data = network.garble(data)
        open_s = network.clogged.get(way, 0.0)
        self._last_s = max(self._last_s, loop.time() + network.delay_s(), open_s)
        other = self.other
        other.on_way.append(data)
        loop.call_at(self._last_s, other.arrive)

    def _doom(self) -> None:
        """Something was lost: the connection breaks when that is noticed."""
        if self._is_doomed:
            return
        self._is_doomed = True
        network = self._network
        self.reset_later(network.dice.uniform(0, DETECT_S_MAX))
        if not network.leaves_half_open:
            self.other.reset_later(network.dice.uniform(0, DETECT_S_MAX))

    def arrive(self) -> None:
        """Something that the other side sent is here; b"" is the end."""
        network, data = self._network, self.on_way.popleft()
        if not self._is_open or self._is_reset:
            if data:
                # Whoever sends to somebody that is gone hears of it.
                self.other.reset_later(network.delay_s())
            return
        if data:
            network.delivered += 1
            network.digest.update(data)
            self._received.append(data)
        else:
            self._is_ended = True
        self.note()
