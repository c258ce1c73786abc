"""A client of a cluster, Roost's or etcd's, that blocks.

    with Client(["127.0.0.1:2379"]) as client:
        client.put("greeting", "hello")
        item = client.get("greeting")

Every call has a deadline.  A read is asked of the next endpoint when one is slow or gone, a write
when it certainly has not happened; a watch goes on where it was.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from roost.client.aio import client as aio
from roost.client.blocking.cluster import Cluster
from roost.client.blocking.keys import Keys
from roost.client.blocking.leases import Leases
from roost.client.blocking.locks import Election, Lock
from roost.client.blocking.maintenance import Maintenance
from roost.client.blocking.operations import Operations
from roost.client.blocking.users import Users
from roost.client.channel import Manners
from roost.client.credentials import Credentials
from roost.client.errors import LeaseLost
from roost.client.shapes import Data
from roost.faces import LoopThread

if TYPE_CHECKING:
    from roost.client.blocking.counters import Counters


class Client(Keys, Cluster, Maintenance, Operations):
    """A cluster, by any of its endpoints; it connects when it is first used."""

    _inner: aio.Client

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
        self._loop = LoopThread("roost-client")
        self._inner = aio.Client(
            endpoints,
            timeout_s=timeout_s,
            patience_s=patience_s,
            retries=retries,
            spreads=spreads,
            credentials=credentials,
            manners=manners,
        )
        self._owns_loop = True

    def __enter__(self) -> Self:
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; what waits for an answer ends.  A namespace closes nothing."""
        self._close(self._inner.close())

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, as they were given."""
        return self._inner.endpoints

    @property
    def counters(self) -> "Counters":
        """Counters, which count while the cluster is split; they are in no namespace."""
        from roost.client.blocking.counters import Counters

        return Counters._of(self._inner.counters, self._loop)

    @property
    def users(self) -> Users:
        """Users, roles and what they may do."""
        return Users._of(self._inner.users, self._loop)

    @property
    def leases(self) -> Leases:
        """Leases, and what rests on them."""
        return Leases._of(self._inner.leases, self._loop)

    def at(self, endpoint: str) -> "Client":
        """A client with the same manners that asks one endpoint and nobody else; to be closed."""
        return Client._of(self._inner.at(endpoint), self._loop)

    def prefixed(self, prefix: Data) -> "Client":
        """The part of the keys that is behind `prefix`, as if it were all there is.

        Keys, ranges, transactions, watches, locks and elections are within it; the keys of a lease
        are named as far as they are.  Members, users and rights are the cluster's: permissions
        have whole keys.  It ends with the client that it is of.

        """
        return Client._of(self._inner.prefixed(prefix), self._loop)

    def lock(
        self,
        name: Data,
        *,
        ttl_s: int = 60,
        wait_s: float = 3600.0,
        on_lost: Callable[[LeaseLost], object] | None = None,
    ) -> Lock:
        """A lock for `with`, which waits until it is ours; see `Lock`.

        It is lost when the cluster cannot be reached for the `ttl_s` of its lease, less a quarter;
        `on_lost` is called then.

        """
        return Lock._of(
            self._inner.lock(
                name,
                ttl_s=ttl_s,
                wait_s=wait_s,
                on_lost=None if on_lost is None else self._loop.calling(on_lost),
            ),
            self._loop,
        )

    def election(
        self,
        name: Data,
        *,
        ttl_s: int = 60,
        wait_s: float = 3600.0,
        on_lost: Callable[[LeaseLost], object] | None = None,
    ) -> Election:
        """An election: `with client.election("boss").lead("me")`; see `Election`."""
        return Election._of(
            self._inner.election(
                name,
                ttl_s=ttl_s,
                wait_s=wait_s,
                on_lost=None if on_lost is None else self._loop.calling(on_lost),
            ),
            self._loop,
        )
