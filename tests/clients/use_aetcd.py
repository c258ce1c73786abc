"""aetcd (gRPC, asyncio): ordinary use.  Run with a port; each line it prints works."""

import asyncio
import sys

import aetcd


async def main(port: int) -> None:
    async with aetcd.Client(host="127.0.0.1", port=port, timeout=10) as client:
        await client.put(b"a/1", b"one")
        await client.put(b"a/2", b"two")
        found = await client.get(b"a/1")
        assert (found.value, found.version) == (b"one", 1)
        assert [it.value for it in await client.get_prefix(b"a/")] == [b"one", b"two"]
        assert await client.replace(b"a/1", b"one", b"uno")
        await client.delete_prefix(b"a/")
        assert await client.get(b"a/1") is None
        print("keys")

        transactions = client.transactions
        succeeded, _ = await client.transaction(
            compare=[transactions.version(b"t") == 0],
            success=[transactions.put(b"t", b"1")],
            failure=[transactions.delete(b"t")],
        )
        assert succeeded
        print("transactions")

        watch = await client.watch(b"w")
        await client.put(b"w", b"1")
        await client.delete(b"w")
        kinds = []
        async for event in watch:
            kinds.append(event.kind)
            if len(kinds) == 2:
                await watch.cancel()
                break
        assert kinds == ["PUT", "DELETE"], kinds
        print("watches")

        lease = await client.lease(20)
        await client.put(b"l", b"1", lease=lease)
        assert (await lease.remaining_ttl()) > 15
        await lease.refresh()
        await lease.revoke()
        assert await client.get(b"l") is None
        print("leases")

        async with client.lock(b"lock", ttl=20) as lock:
            assert await lock.is_acquired()
        print("locks")

        members = [it async for it in client.members()]
        assert [it.name for it in members] == ["m0"]
        assert (await client.status()).version.startswith("3.")
        print("members")


asyncio.run(main(int(sys.argv[1])))
