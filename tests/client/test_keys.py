"""Keys, ranges and transactions, as values of Python."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from roost.client import (
    Compacted,
    Delete,
    Get,
    Item,
    Key,
    LeaseNotFound,
    Put,
    RequestRefused,
    TooLarge,
    Txn,
)
from roost.client.transactions import Comparison
from tests.client.virtual import VirtualCluster, run_cluster

Thing = TypeVar("Thing")


async def listed(things: AsyncIterator[Thing]) -> list[Thing]:
    return [it async for it in things]


async def value(found: Item | None) -> str | None:
    return None if found is None else found.text


def test_text_and_bytes_are_alike(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            revision = await client.put("ключ", "värde")
            found = await client.get("ключ".encode())
            assert found is not None
            assert (found.text, found.mod_revision, found.version) == ("värde", revision, 1)
            assert await client.get(b"\xff") is None
            before = await client.replace("ключ", b"2")
            assert before is not None and before.text == "värde"
            assert await client.replace("other", "1") is None
            assert await client.get("ключ", revision=revision) == found
            gone = await client.remove("ключ")
            assert [it.value for it in gone] == [b"2"]
            assert (await client.delete("ключ"), await client.delete("other")) == (0, 1)

    run_cluster(tmp_path, story)


def test_a_range_pages_through_by_itself_at_one_revision(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            for number in range(25):
                await client.put(f"k/{number:02}", str(number))
            await client.put("l", "behind")
            seen: list[str] = []
            revisions: set[int] = set()
            async for page in client.pages("k/", prefix=True, page_keys=10):
                # What is written meanwhile is of another revision.
                await client.put(f"k/{len(seen):02}x", "new")
                revisions.add(page.revision)
                assert page.count == 25 - len(seen)
                seen += [it.text for it in page.items]
            assert seen == [str(number) for number in range(25)]
            assert len(revisions) == 1
            assert len(await listed(client.items("k/", prefix=True, page_keys=7))) == 28
            everything = [it.key async for it in client.items()]
            assert everything[-1] == b"l" and len(everything) == 29
            assert await client.count("k/", prefix=True) == 28

    run_cluster(tmp_path, story)


def test_a_range_whose_revision_is_compacted_on_the_way_says_so(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            for number in range(4):
                await client.put(f"k/{number}", "1")
            items = client.items("k/", prefix=True, page_keys=2)
            assert (await anext(items)).key == b"k/0"
            await client.compact(await client.put("k/0", "2"))
            with pytest.raises(Compacted):
                await listed(items)

    run_cluster(tmp_path, story)


def test_a_prefix_and_an_end_exclude_each_other(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            with pytest.raises(ValueError, match="leave out range_end"):
                await client.range("a", "b", prefix=True)

    run_cluster(tmp_path, story)


HOLDS: dict[str, tuple[Comparison, bool]] = {
    "value": (Key("k").value == "1", True),
    "value differs": (Key("k").value != b"1", False),
    "value below": (Key("k").value < "2", True),
    "value above": (Key("k").value > "2", False),
    "version": (Key("k").version == 1, True),
    "not there": (Key("none").version == 0, True),
    "there": (Key("none").create_revision > 0, False),
    "revision": (Key("k").mod_revision < 3, True),
    "lease": (Key("k").lease != 0, False),
    "range": (Key("k", prefix=True).version > 0, True),
}


def test_a_transaction_takes_the_branch_that_its_comparisons_say(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            await client.put("k", "1")
            for name, (comparison, holds) in HOLDS.items():
                said = await client.txn(when=[comparison], then=[Get("k")])
                assert said.succeeded == holds, name
            said = await client.txn(
                when=[Key("k").value == "1", Key("l").version == 0],
                then=[Put("l", "2"), Get("k", prefix=True), Delete("k"), Txn(then=[Get("l")])],
                otherwise=[Get("k")],
            )
            assert said.succeeded
            assert said.item(1) is not None and said.outcomes[2] == 1
            nested = said.outcomes[3]
            assert not isinstance(nested, int | tuple | None)
            assert await value(nested.item(0)) == "2"
            assert nested.revision == said.revision
            with pytest.raises(TypeError, match="at 0 is no Get"):
                said.items(0)

    run_cluster(tmp_path, story)


def test_what_can_not_be_compared_is_refused_where_it_is_said() -> None:
    with pytest.raises(TypeError, match="a version is compared with an int, not '1'"):
        _ = Key("k").version == "1"
    with pytest.raises(TypeError, match="a value is compared with str or bytes, not 1"):
        _ = Key("k").value == 1


def test_a_refusal_is_typed_by_what_to_do_about_it(tmp_path: Path) -> None:
    async def story(cluster: VirtualCluster) -> None:
        async with cluster.client() as client:
            with pytest.raises(LeaseNotFound):
                await client.put("k", "1", lease=77)
            with pytest.raises(TooLarge):
                await client.put("k", b"x" * (2 << 20))
            with pytest.raises(TooLarge):
                await client.txn(then=[Put(f"k{it}", "1") for it in range(200)])
            with pytest.raises(RequestRefused, match="key is not provided"):
                await client.put("", "1")
            with pytest.raises(RequestRefused, match="future revision"):
                await client.get("k", revision=1000)

    run_cluster(tmp_path, story)
