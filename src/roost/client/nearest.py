"""Of which member counters are asked: the nearest of those that count, and then the same again.

Any member counts alone, so whoever answers fastest is as good as any other, and who has counted
there reads it there.  One that answers is stayed with, until it does not, or serves nobody just
now.  Once a minute, beside the calls, all are asked for nothing, which says how long each takes;
one that takes half as long as ours, or less, is asked from then on.  One on this machine
(127.0.0.1, localhost, a socket) is nearer than all others.

The member that we ask also says who counts besides, and where clients find them (its topology):
those are asked like those that were given, once they have shown to know of themselves what the
first has said of them.  An address that leads to another cluster, or nowhere, is left alone, as is
one without TLS where those that were given have it.  Who may not read all counters is not told of
others, and stays with those that were given.

Limits: an address that is being tried is told a user's token, as every endpoint is.
"""

import asyncio
from contextlib import suppress
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from roost.client.endpoints import Endpoint, parse_endpoint
from roost.client.errors import BadEndpoint, ClientError, is_lost
from roost.proto import counters_pb2 as pb
from roost.tasks import Tasks

Answer = TypeVar("Answer", bound=Message)
LOOK_AGAIN_S = 60.0
# What another one has to take of the time that ours takes, to be asked from then on.
BETTER = 0.5
# Of one client; further ones are not learned.
KNOWN_MAX = 64
_PING_S = 1.0
_PINGS = 3
# Of the time of a call, how long ours may take to answer before others are asked.
_PART = 0.25
_READ, _DESCRIBE = "/roost.Counters/Read", "/roost.Counters/Describe"


class Ways(Protocol):
    """What it asks of the connections."""

    endpoints: list[Endpoint]

    def in_order(self) -> list[str]:
        """Endpoints that were given, in the order in which they are to be asked."""

    def learn(self, endpoint: Endpoint) -> None:
        """Have one endpoint more that can be asked by its name."""

    async def call(self, path: str, request: Message, answer: type[Answer]) -> Answer:
        """Ask whoever was given, for one answer."""

    async def call_at(
        self,
        endpoint: str,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask one endpoint, and nobody else."""

    def forget_token(self, error: ClientError) -> bool:
        """Whether an error means that our token has run out; it is got anew then."""


def _is_here(endpoint: Endpoint) -> bool:
    return endpoint.address.startswith(("localhost:", "127.", "[::1]", "unix"))


class Nearest:
    """One client's; it belongs to the loop of its first call."""

    def __init__(self, ways: Ways, *, timeout_s: float, is_on: bool = True) -> None:
        """Nobody has been asked; unless `is_on` there are those that were given, in their order."""
        self._ways = ways
        self._timeout_s = timeout_s
        self._is_on = is_on
        self._known = {it.name: it for it in ways.endpoints}
        self._favourite = ""
        # Those that were not given, and have shown that they count with the others.
        self._learned: list[str] = []
        self._tasks = Tasks(lambda _error: None)  # nobody waits for what it finds
        self._look_at_s = 0.0
        self._is_closed = False
        # Whoever was asked first was so by chance.
        self._is_first_look = True

    @property
    def favourite(self) -> str:
        """The endpoint that is asked first; empty = none has answered yet."""
        return self._favourite

    async def close(self) -> None:
        """Look at nobody any more."""
        self._is_closed = True
        await self._tasks.close()

    def in_order(self) -> list[str]:
        """Endpoints, in the order in which they are to be asked."""
        self._look_if_due()
        given = sorted(self._ways.in_order(), key=self._is_elsewhere)
        order = [*given, *(it for it in self._learned if it not in given)]
        if self._favourite in order:
            order.remove(self._favourite)
            order.insert(0, self._favourite)
        return order

    async def call_at(
        self,
        endpoint: str,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask one endpoint; one that answers is asked again, and one that does not is left.

        Raises:
            ClientError: as `Connections.call_at`.

        """
        try:
            said = await self._ways.call_at(endpoint, path, request, answer, timeout_s=timeout_s)
        except ClientError as error:
            if endpoint == self._favourite and is_lost(error):
                self._favourite = ""
            raise
        if self._is_on and not self._favourite:
            self._favourite = endpoint
        return said

    async def call(self, path: str, request: Message, answer: type[Answer]) -> Answer:
        """Ask ours, and when it does not answer soon, those that were given.

        Raises:
            ClientError: as `Connections.call`.

        """
        self._look_if_due()
        if self._favourite:
            within_s = _PART * self._timeout_s
            try:
                return await self.call_at(
                    self._favourite, path, request, answer, timeout_s=within_s
                )
            except ClientError as error:
                if not is_lost(error) and not self._ways.forget_token(error):
                    raise
        return await self._ways.call(path, request, answer)

    def _look_if_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if not self._is_on or self._is_closed or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_AGAIN_S
        self._tasks.start(self._look())

    async def _look(self) -> None:
        """Learn who else counts, and see who is the nearest."""
        given = [it.name for it in self._ways.endpoints]
        took_s: dict[str, float] = {}
        for it in (*given, *self._learned):
            await self._measure(it, took_s)
        with suppress(ClientError):
            await self._learn(min(took_s, key=took_s.__getitem__, default=""), given, took_s)
        took_s = {it: took for it, took in took_s.items() if it in (*given, *self._learned)}
        if not took_s or self._is_closed:
            return
        best = min(took_s, key=lambda it: (self._is_elsewhere(it), took_s[it]))
        ours, ours_s = self._favourite, took_s.get(self._favourite)
        if (
            ours_s is None
            or self._is_first_look
            or self._is_elsewhere(best) < self._is_elsewhere(ours)
            or took_s[best] <= BETTER * ours_s
        ):
            self._favourite = best
        self._is_first_look = False

    def _is_elsewhere(self, name: str) -> bool:
        """Whether a member is on another machine than this one: nobody there is nearer."""
        return self._is_on and not _is_here(self._known[name])

    async def _measure(self, endpoint: str, took_s: dict[str, float]) -> None:
        """How long an endpoint takes, the shortest time of a few; left out if it serves nobody."""
        clock_s = asyncio.get_running_loop().time
        request = pb.ReadCountersRequest()
        for _it in range(_PINGS):
            began_s = clock_s()
            try:
                await self._ways.call_at(
                    endpoint, _READ, request, pb.CountersResponse, timeout_s=_PING_S
                )
            except ClientError:
                took_s.pop(endpoint, None)
                return
            took_s[endpoint] = min(took_s.get(endpoint, _PING_S), clock_s() - began_s)

    async def _learn(self, teller: str, given: list[str], took_s: dict[str, float]) -> None:
        """Ask who else counts; those whose own topology has them are learned, and measured."""
        nodes = await self._nodes(teller) if teller else {}
        if not nodes:
            return
        here = {url for urls in nodes.values() for url in urls}
        self._learned = [it for it in self._learned if it in here]
        if self._favourite not in (*self._learned, *given):
            self._favourite = ""
        for epoch, urls in sorted(nodes.items()):
            for url in urls:
                if url in took_s or url in given or not self._may_ask(url):
                    continue
                with suppress(ClientError):
                    if epoch in await self._nodes(url):
                        await self._measure(url, took_s)
                if url in took_s and url not in self._learned:
                    self._learned.append(url)

    def _may_ask(self, url: str) -> bool:
        """Whether an address is known, or new and as safe as those that were given."""
        if url in self._known:
            return True
        try:
            endpoint = parse_endpoint(url)
        except BadEndpoint:
            return False
        given = self._ways.endpoints
        is_safe = endpoint.is_secure or not any(it.is_secure for it in given)
        # By its own machine a member may be found there; by ours it is somebody else.
        is_safe &= not _is_here(endpoint) or any(_is_here(it) for it in given)
        is_new = endpoint.address not in {it.address for it in self._known.values()}
        if not is_safe or not is_new or len(self._known) >= KNOWN_MAX:
            return False
        self._known[url] = endpoint
        self._ways.learn(endpoint)
        return True

    async def _nodes(self, endpoint: str) -> dict[str, list[str]]:
        """Who counts, by epoch, and where clients find each, as a member says."""
        from msgspec import DecodeError, json  # whoever never counts need not load it

        said = await self._ways.call_at(
            endpoint,
            _DESCRIBE,
            pb.DescribeCountersRequest(what="topology"),
            pb.DescribeCountersResponse,
            timeout_s=_PING_S,
        )
        try:
            nodes = json.decode(said.said)["nodes"]
            return {str(it["epoch"]): [str(url) for url in it["client_urls"]] for it in nodes}
        except (DecodeError, KeyError, TypeError):
            return {}  # of another version: it says nothing that we know
