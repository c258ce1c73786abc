"""etcetra (gRPC, asyncio): ordinary use.  Run with a port; each line it prints works."""

import asyncio
import sys

from etcetra import EtcdClient, HostPortPair
from etcetra.types import CompareKey


async def main(port: int) -> None:
    client = EtcdClient(HostPortPair("127.0.0.1", port))
    async with client.connect() as etcd:
        await etcd.put("a/1", "one")
        await etcd.put("a/2", "two")
        assert await etcd.get("a/1") == "one"
        assert dict(await etcd.get_prefix("a/")) == {"a/1": "one", "a/2": "two"}
        assert list(await etcd.keys_prefix("a/")) == ["a/1", "a/2"]
        await etcd.delete_prefix("a/")
        assert await etcd.get("a/1") is None
        print("keys")

        await etcd.put("t", "0")

        def build(success: object, failure: object) -> None:
            success.put("t", "1")
            failure.delete("t")

        await etcd.txn_compare([CompareKey("t").value == "0"], build)
        assert await etcd.get("t") == "1"
        print("transactions")

        seen = []
        ready = asyncio.Event()

        async def watch() -> None:
            async for event in etcd.watch("w", ready_event=ready):
                seen.append(event.value)
                if len(seen) == 2:
                    return

        watching = asyncio.create_task(watch())
        await ready.wait()
        await etcd.put("w", "1")
        await etcd.put("w", "2")
        await asyncio.wait_for(watching, 10)
        assert seen == ["1", "2"]
        print("watches")

        lease = await etcd.grant_lease(20)
        await etcd.put("l", "1", lease=lease)
        keeping = etcd.create_lease_keepalive_task(lease, 0.1)
        for number in range(200):
            await etcd.put("l", str(number), lease=lease)
        assert not keeping.done()
        keeping.cancel()
        await etcd.revoke_lease(lease)
        assert await etcd.get("l") is None
        print("leases")
    async with client.with_lock("lock") as etcd:
        await etcd.put("locked", "1")
    print("locks")


asyncio.run(main(int(sys.argv[1])))
