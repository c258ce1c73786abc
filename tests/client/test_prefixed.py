"""A namespace is a cluster of its own, as far as keys go."""

from pathlib import Path

from roost.client import Delete, Get, Key, Put, Txn
from tests.client.virtual import VirtualCluster, run_cluster


def test_keys_ranges_and_transactions_stay_within(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            for key in ("a", "app1", "app2/k", "b"):
                await client.put(key, "outside")
            app = client.prefixed("app1/")
            for key in ("k", "l", "m"):
                await app.put(key, key)
            assert [it.key async for it in app.items()] == [b"k", b"l", b"m"]
            assert [it.key for it in await app.range("l", b"\0")] == [b"l", b"m"]
            assert [it.key for it in await app.range("k", "m")] == [b"k", b"l"]
            said = await app.txn(
                when=[Key("k").value == "k", Key("k", "m").version > 0],
                then=[
                    Put("n", "n"),
                    Get("k", prefix=True),
                    Delete("m"),
                    Txn(when=[Key("l").version == 1], then=[Get("l")]),
                ],
            )
            assert said.succeeded
            found = said.item(1)
            assert found is not None and found.key == b"k"
            before = await app.replace("k", "2")
            assert before is not None and before.key == b"k"
            assert [it.key for it in await app.remove("", prefix=True)] == [b"k", b"l", b"n"]
            whole = [it.key async for it in client.items()]
            assert whole == [b"a", b"app1", b"app2/k", b"b"]

    run_cluster(tmp_path, story)


def test_watches_leases_locks_and_elections_stay_within(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            inner = client.prefixed("a/").prefixed("b/")
            granted = await client.leases.grant(60)
            await client.put("elsewhere", "1", lease=granted.lease_id)
            await inner.put("k", "1", lease=granted.lease_id)
            left = await inner.leases.time_to_live(granted.lease_id, keys=True)
            assert left.keys == (b"k",)
            changes = inner.watch(since=1, before=True)
            change = await anext(changes)
            assert (change.key, change.value, change.is_delete) == (b"k", b"1", False)
            await inner.delete("k")
            change = await anext(changes)
            assert change.before is not None
            assert (change.key, change.before.key, change.is_delete) == (b"k", b"k", True)
            await changes.aclose()
            async with inner.lock("l") as held, client.lock("l") as other:
                assert held.key.startswith(b"l/") and other.key.startswith(b"l/")
                assert await client.count("a/b/l/", prefix=True) == 1
            async with inner.election("e").lead("me"):
                leader = await inner.election("e").leader()
                assert leader is not None and leader.value == b"me"
                assert await client.election("e").leader() is None

    run_cluster(tmp_path, story)


def test_a_namespace_ends_with_the_client_that_it_is_of(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            async with client.prefixed("a/") as part:
                await part.put("k", "1")
            assert await client.get("a/k") is not None

    run_cluster(tmp_path, story)
