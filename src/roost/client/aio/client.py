"""A client of a cluster, Roost's or etcd's, for asyncio.

    async with aio.Client(["127.0.0.1:2379"]) as client:
        await client.put("greeting", "hello")
        item = await client.get("greeting")

Every call has a deadline.  A read is asked of the next endpoint when one is slow or gone, a write
when it certainly has not happened; a watch goes on where it was.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from roost.client.aio.cluster import Cluster
from roost.client.aio.keys import Keys
from roost.client.aio.leases import Leases
from roost.client.aio.locks import Election, Lock, make_lock
from roost.client.aio.maintenance import Maintenance
from roost.client.aio.operations import Operations
from roost.client.aio.users import Users
from roost.client.channel import Manners
from roost.client.connections import Connections
from roost.client.credentials import Credentials
from roost.client.errors import LeaseLost
from roost.client.prefixed import prefixed
from roost.client.shapes import Data, bytes_of
from roost.faces import opening, translated

if TYPE_CHECKING:  # who does not count does not load them
    from roost.client.aio.counters import Counters


class Client(Keys, Cluster, Maintenance, Operations):
    """A cluster, by any of its endpoints; it connects when it is first used."""

    @opening
    def __init__(
        self,
        endpoints: str | Sequence[str],
        *,
        timeout_s: float = 5.0,
        patience_s: float = 300.0,
        retries: bool = True,
        spreads: bool = True,
        credentials: Credentials | None = None,
        manners: Manners | None = None,
    ) -> None:
        """Read the endpoints: host:port or URLs, one text with commas or several.

        A call ends within `timeout_s`, and is tried again within it where that is safe, unless
        `retries` is off: then each endpoint is tried once.  A stream that has begun, as a watch,
        goes on at any endpoint, and ends when none has answered for `patience_s`.  Calls are
        spread over the endpoints, or begin at the one that answered last.  `manners` say all of
        this at once, and more, for tests.

        Raises:
            BadEndpoint: an endpoint is missing or malformed.
            BadCertificate: a file of the credentials cannot be used.
            OSError: a file of the credentials cannot be read.

        """
        self._manners = manners or Manners(
            timeout_s=timeout_s,
            patience_s=patience_s,
            retries=retries,
            spreads=spreads,
            credentials=credentials or Credentials(),
        )
        self._take(Connections(endpoints, self._manners), b"")

    def _take(self, connections: Connections, prefix: bytes) -> None:
        self._connections = connections
        self._prefix = prefix
        self._caller = prefixed(connections, prefix)
        self._patience_s = self._manners.patience_s
        self._is_part = bool(prefix)
        self._users = Users(connections)
        self._leases = Leases(self._caller, self._patience_s)

    async def __aenter__(self) -> Self:
        return self

    @translated
    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; what waits for an answer ends.  A namespace closes nothing."""
        if not self._is_part:
            await self._connections.close()

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, as they were given."""
        return [it.name for it in self._connections.endpoints]

    @property
    def counters(self) -> "Counters":
        """Counters, which count while the cluster is split; they are in no namespace."""
        from roost.client.aio.counters import Counters

        return Counters(self._connections)

    @property
    def users(self) -> Users:
        """Users, roles and what they may do."""
        return self._users

    @property
    def leases(self) -> Leases:
        """Leases, and what rests on them."""
        return self._leases

    def at(self, endpoint: str) -> "Client":
        """A client with the same manners that asks one endpoint and nobody else; to be closed."""
        return Client(endpoint, manners=self._manners)

    def prefixed(self, prefix: Data) -> "Client":
        """The part of the keys that is behind `prefix`, as if it were all there is.

        Keys, ranges, transactions, watches, locks and elections are within it; the keys of a lease
        are named as far as they are.  Members, users and rights are the cluster's: permissions
        have whole keys.  It ends with the client that it is of.
        """
        part = Client.__new__(Client)
        part._manners = self._manners  # noqa: SLF001 - our own
        part._take(self._connections, self._prefix + bytes_of(prefix))  # noqa: SLF001 - our own
        part._is_part = True  # noqa: SLF001 - our own
        return part

    def lock(
        self,
        name: Data,
        *,
        ttl_s: int = 60,
        wait_s: float = 3600.0,
        on_lost: Callable[[LeaseLost], object] | None = None,
    ) -> Lock:
        """A lock for `async with`, which waits until it is ours; see `Lock`.

        It is lost when the cluster cannot be reached for the `ttl_s` of its lease, less a quarter;
        `on_lost` is called then.
        """
        return make_lock(self._leases, name, ttl_s=ttl_s, wait_s=wait_s, on_lost=on_lost)

    def election(
        self,
        name: Data,
        *,
        ttl_s: int = 60,
        wait_s: float = 3600.0,
        on_lost: Callable[[LeaseLost], object] | None = None,
    ) -> Election:
        """An election: `async with client.election("boss").lead("me")`; see `Election`."""
        return Election(self._leases, name, ttl_s=ttl_s, wait_s=wait_s, on_lost=on_lost)
