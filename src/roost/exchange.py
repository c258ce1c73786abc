"""A request over HTTP and its answer, whoever carries them: the port, tests, the simulator.

What is answered at once, or after a while, is an `Answer`; what goes on for as long as a client
wants to hear it is a `Streaming`, whose pieces are asked for one after another.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from roost.call import Caller
from roost.errors import PeerFault
from roost.outcome import Waiting as Anybody

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
Fields = tuple[tuple[bytes, bytes], ...]


class BodyCut(PeerFault):
    """A body that came as a stream ends before its end: its client has gone."""


class Waiting(Anybody, Protocol):
    """Whoever waits for an answer."""

    def hear_gone(self, on_gone: Callable[[], object]) -> None:
        """Call it when nobody waits any more, and no answer was sent."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks; names of `headers` are in small letters."""

    method: str
    # As it stands in the first line: with its escapes.
    raw_path: bytes
    query: bytes
    caller: Caller
    headers: Mapping[bytes, bytes] = {}
    body: bytes = b""
    # Who waits for the answer, if that may end.
    waiting: Waiting | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: Fields = (JSON,)


class Quick(Protocol):
    """The pieces of an answer, for who has a callback and needs no task for them."""

    def take(self) -> bytes | None:
        """What there is to be sent now, perhaps nothing; None: ask for `pieces` from now on."""

    @property
    def is_over(self) -> bool:
        """Whether all was taken, and nothing more comes."""

    def hear(self, on_news: Callable[[], None]) -> bool:
        """Call it once, when there is something to take, or nothing more comes.

        False when that is so already: then it is not called.
        """


class Streaming(msgspec.Struct, frozen=True):
    """An answer that comes piece by piece; whoever takes none any more calls `close`.

    Where nearly all is short, and nothing comes for long, it may be `quick` to take as well.  What
    `is_made` is all there: it is sent a piece a turn, whether its client takes it or not, since
    then it counts with all that clients have not read, and whoever has the most is given up.
    """

    headers: Fields
    pieces: AsyncIterable[bytes]
    close: Callable[[], None]
    status: int = 200
    quick: Quick | None = None
    is_made: bool = False


Answerer = Callable[[Request], Awaitable[Answer | Streaming]]
# As that, with a body that comes while it is answered.
FlowAnswerer = Callable[[Request, AsyncIterator[bytes]], Awaitable[Answer | Streaming]]
Reply = Callable[[Answer | Streaming], None]
# As that, and answers now or later, once: no task is needed for it.
Beginner = Callable[[Request, Reply], None]


def not_found() -> Answer:
    """Nobody has that page (Go: http.NotFound)."""
    return Answer(404, b"404 page not found\n", (TEXT, (b"x-content-type-options", b"nosniff")))


def not_allowed(*methods: str) -> Answer:
    """The page is there, and cannot be asked so (etcd: allowMethod)."""
    allowed = (b"allow", ",".join(methods).encode())
    nosniff = (b"x-content-type-options", b"nosniff")
    return Answer(405, b"Method Not Allowed\n", (allowed, TEXT, nosniff))
