"""A registry of services: who is there now, known to everybody, for asyncio.

    python examples/service_registry.py 127.0.0.1:2379 serve web 10.0.0.7:80
    python examples/service_registry.py 127.0.0.1:2379 show web

An instance is a key that lives as long as a lease: it goes when the instance ends, or some seconds
after it died.  Who uses a service follows the keys: what it knows is at most as old as the way to
its member, whatever happens to other members, and to the history.
"""

import asyncio
import random
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from roost import aio
from roost.client import Change

LEASE_S = 10


@asynccontextmanager
async def registered(
    client: aio.Client, service: str, address: str, *, ttl_s: int = LEASE_S
) -> AsyncGenerator[None, None]:
    """Be known as an instance of a service, from here to the end of the block."""
    async with client.leases.session(ttl_s) as session:
        await client.put(f"services/{service}/{address}", address, lease=session.lease_id)
        # When the lease is lost others know us no more: what is within ends with `LeaseLost`.
        async with session.scope.holding():
            yield


class Registry:
    """The instances of a service, as they come and go."""

    def __init__(self, client: aio.Client, service: str) -> None:
        self._keys = client.prefixed(f"services/{service}/")
        self.addresses: set[str] = set()
        self._changed = asyncio.Condition()

    async def follow(self) -> None:
        """Keep `addresses` right, for ever; to be run in a task."""
        async for change in self._keys.follow():
            await self._take(change)

    async def _take(self, change: Change) -> None:
        address = change.key.decode()
        async with self._changed:
            if change.is_delete:
                self.addresses.discard(address)
            else:
                self.addresses.add(address)
            self._changed.notify_all()

    async def pick(self) -> str:
        """The address of an instance, any of them; wait until there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.addresses)
            return random.choice(sorted(self.addresses))

    async def until(self, addresses: set[str]) -> None:
        """Wait until exactly these are there."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.addresses == addresses)


async def serve(client: aio.Client, service: str, address: str) -> None:
    """Be an instance that does nothing, until interrupted."""
    async with registered(client, service, address):
        print(f"{service} is at {address}")
        await asyncio.Event().wait()


async def show(client: aio.Client, service: str) -> None:
    """Print who comes and goes, until interrupted."""
    async for change in client.prefixed(f"services/{service}/").follow():
        print("-" if change.is_delete else "+", change.key.decode())


async def main() -> None:
    """Serve, or show."""
    endpoints, command, service, *words = sys.argv[1:]
    async with aio.Client(endpoints) as client:
        if command == "serve":
            await serve(client, service, *words)
        else:
            await show(client, service)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
