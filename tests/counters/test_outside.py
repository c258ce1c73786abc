"""Links to other clusters: counted once, whatever way it came; cut off, refused, removed."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from roost.counters import messages
from roost.counters.environment import MemoryTrees
from roost.counters.errors import LinkRefused, MalformedCounters
from roost.counters.exchange import Exchange
from roost.counters.facts import Facts, Link, Owner
from roost.counters.linking import is_url
from roost.counters.messages import (
    Changes,
    Head,
    Heard,
    Hello,
    Message,
    Page,
    Purpose,
    Refused,
    WantPage,
    WantReport,
)
from roost.counters.outgoing import Stage
from roost.counters.outside import Outside, refuse_ways
from roost.counters.ports import State
from roost.counters.rows import EPOCH_BYTES, PartRow, SeenRow, TombstoneRow
from roost.counters.store import Store
from roost.sim.members.loop import pass_time
from tests.counters.linked import Between, link, run_linked


async def link_all(between: Between) -> None:
    """Every member to each member of the other cluster, both ways."""
    one, two = between.clusters.values()
    for name, cluster in between.clusters.items():
        other = two if cluster is one else one
        for position in range(len(cluster.names)):
            await link(other, between.url(name, position))


def test_two_clusters_of_two_read_one_sum_and_by_names(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one, two = between.clusters["a"], between.clusters["b"]
        await one.desk(0).increment([("a", 1)])
        await two.desk(0).increment([("a", 10)])
        await link_all(between)
        await one.desk(1).increment([("a", 100)])
        await two.desk(1).increment([("a", 1000)])
        for cluster in (one, two):
            await cluster.until_all_read({"a": 1111})
        known = one.at(0).known
        await one.until(lambda: len(known.facts.foreigners) == 2)
        (parts,) = await one.desk(0).read_raw(["a"])
        assert parts == {"m0": 1, "m1": 100, "m0@b": 10, "m1@b": 1000}
        # A delete takes what was seen of all of them; and what is counted meanwhile stays.
        between.cut = {between.url(name, it) for name in "ab" for it in range(2)}
        assert await one.desk(0).delete(["a"]) == [1111]
        await two.desk(0).increment([("a", 5)])
        between.cut = set()
        for cluster in (one, two):
            await cluster.until_all_read({"a": 5})

    run_linked(tmp_path, story, {"a": 2, "b": 2})


def test_clusters_that_were_parted_for_long_agree_a_moment_after_they_can_talk(
    tmp_path: Path,
) -> None:
    async def story(between: Between) -> None:
        one, two = between.clusters["a"], between.clusters["b"]
        await link(one, between.url("b", 0))
        between.cut = {between.url("b", 0)}
        for it in range(40):
            await one.desk(0).increment([(f"n{it % 7}", 1)])
            await pass_time(1.0)
        said = one.operators(0).describe("links")["links"]
        [row] = [it for it in said if it["name"] == between.url("b", 0)]
        assert (row["backlog"], row["error"]) == (7, "nobody is there")
        assert row["behind_s"] > 30
        asked = len(between.asked)
        between.cut = set()
        await pass_time(5.5)  # as long as it waits at most, before it asks again
        assert two.read(0, ["n0"]) == [6]
        assert len(between.asked) - asked == 2, "one question, and one message with everything"

    run_linked(tmp_path, story, {"a": 1, "b": 1})


def test_a_gateway_relays_those_who_reach_nobody_outside_and_who_is_gone(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one, two = between.clusters["a"], between.clusters["b"]
        for position in range(3):
            await one.desk(position).increment([("a", 10**position)])
        await one.until_all_read({"a": 111})
        await one.until_known()
        await one.stop(2)  # what it has counted is known to the others only
        await link(one, between.url("b", 0), source="m0", is_relay=True)
        await two.until_all_read_of([0], {"a": 111})
        await one.desk(1).increment([("a", 1000)])
        await two.until_all_read_of([0], {"a": 1111})
        # And on to the second member there, of what it has heard outside.
        await link(two, between.url("b", 1), source="m0", is_relay=True)
        await two.until_all_read_of([1], {"a": 1111})
        said = two.operators(0).describe("links")["links"]
        [row] = [it for it in said if it["name"] == between.url("b", 1)]
        assert row["stage"] == "refused", "of itself its own link in the cluster tells"
        assert two.at(1).state is State.OPEN

    run_linked(tmp_path, story, {"a": 3, "b": 2})


def test_what_a_relay_and_the_owner_tell_counts_once_and_restarts_change_nothing(
    tmp_path: Path,
) -> None:
    async def story(between: Between) -> None:
        one, two = between.clusters["a"], between.clusters["b"]
        await link(one, between.url("b", 0), is_relay=True)
        count = 0
        for it in range(30):
            await one.desk(it % 2).increment([("a", 1), (f"n{it % 5}", 1)])
            count += 1
            if it == 10:
                two.crash(0)
                await two.start(0)
            if it == 20:
                one.crash(1)
                await one.start(1)
            await pass_time(0.1)
        await two.until_all_read({"a": count})
        exchange = two.at(0).exchange
        assert exchange is not None
        assert exchange.differed_count == 0

    run_linked(tmp_path, story, {"a": 2, "b": 1})


def test_who_is_retired_in_a_linked_cluster_counts_on_and_folds_when_there_is_no_link(
    tmp_path: Path,
) -> None:
    async def story(between: Between) -> None:
        one, two = between.clusters["a"], between.clusters["b"]
        for position in range(3):
            await one.desk(position).increment([("a", 10**position)])
        await one.until_all_read({"a": 111})
        await one.until_known()
        await link(one, between.url("b", 0))
        await two.until_all_read({"a": 111})
        await one.stop(2)
        said = await one.operators(0).administer("retire", who="a test", name="m2")
        assert said["stage"] == "uniting"
        await pass_time(20.0)
        said = await one.operators(0).administer("retire", who="a test", name="m2")
        assert said["stage"] == "uniting"
        assert "linked with another cluster" in said["waits_for"]
        await one.desk(0).delete(["a"])
        await two.until_all_read({"a": None})
        await one.operators(0).administer("unlink", who="a test", name=between.url("b", 0))
        await one.until(lambda: one.at(0).known.facts.current_fold is None)
        await one.until_all_read_of([0, 1], {"a": None})

    run_linked(tmp_path, story, {"a": 3, "b": 1})


def test_links_are_refused_with_the_reason(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one = between.clusters["a"]
        await one.desk(0).increment([("a", 1)])
        for url in ("b0:2379", "ftp://b0", "http://me:secret@b0", "http://b0/x", "http://b0:99999"):
            with pytest.raises(LinkRefused, match="URL"):
                await link(one, url)
        with pytest.raises(LinkRefused, match="nobody counts under the name 'm9'"):
            await link(one, "http://b0", source="m9")
        with pytest.raises(LinkRefused, match="no such link"):
            await one.operators(0).administer("unlink", who="a test", name="http://b0")
        for number in range(64):
            await link(one, f"http://b0:{number + 1}")
        await link(one, "http://b0:1")  # it is there
        with pytest.raises(LinkRefused, match="there are 64 links"):
            await link(one, "http://b0:65")

    run_linked(tmp_path, story, {"a": 1, "b": 1})


def test_a_link_to_a_member_of_the_own_cluster_does_no_harm(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one = between.clusters["a"]
        await one.desk(0).increment([("a", 1)])
        for position in range(2):
            await link(one, between.url("a", position), is_relay=True)
        await one.desk(1).increment([("a", 1)])
        await one.until_all_read({"a": 2})
        await pass_time(3.0)
        assert [one.at(it).state for it in range(2)] == [State.OPEN] * 2
        exchange = one.at(0).exchange
        assert exchange is not None
        stages = {it.stage for partner, it in exchange.links.items() if partner < 0}
        assert stages == {Stage.REFUSED}
        assert await one.desk(0).increment([("a", 1)]) == [3]

    run_linked(tmp_path, story, {"a": 2})


def test_a_directory_that_is_an_old_state_is_found_out_by_another_cluster(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one, two = between.clusters["a"], between.clusters["b"]
        await one.desk(0).increment([("a", 1)])
        await link(one, between.url("b", 0))
        await two.until_all_read({"a": 1})
        old = one.copy_directory(0)
        await one.desk(0).increment([("a", 1)])
        await two.until_all_read({"a": 2})
        one.crash(0)
        one.trees["m0"] = old
        await one.start(0)
        await one.until(lambda: one.at(0).state is State.BROKEN)
        assert "old state" in str(one.at(0).error)
        assert two.read(0, ["a"]) == [2]

    run_linked(tmp_path, story, {"a": 1, "b": 1})


def test_what_others_say_that_they_may_not_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one = between.clusters["a"]
        await one.desk(0).increment([("a", 1)])
        await one.until_all_read({"a": 1})
        await one.until_known()
        store = one.at(0).store
        assert store is not None
        other = one.at(1).store
        assert other is not None
        for epoch in (store.epoch, other.epoch):
            hello = Hello(epoch=epoch, version=1 << 60, opening=1 << 60, nonce=1)
            answer = messages.decode(await one.desk(0).visit(messages.encode(hello)))
            assert isinstance(answer, Refused)
            lie = Changes(epoch=epoch, first=0, last=1 << 60, epochs=[])
            answer = messages.decode(await one.desk(0).visit(messages.encode(lie)))
            assert isinstance(answer, Refused)
        # Pages of somebody who is nobody here, with what they say of others.
        page = Page(
            purpose=Purpose.REPLACE,
            after=b"",
            until=b"",
            epoch=b"e" * 16,
            heads=[Head(b"e" * 16, 5), Head(store.epoch, 1 << 60), Head(other.epoch, 1 << 60)],
            epochs=[b"e" * 16, other.epoch],
            parts=[PartRow(b"a", 0, 7, 3, 0), PartRow(b"a", 1, 1000, 1 << 60, 0)],
            tombstones=[TombstoneRow(b"a", 1, 1 << 60, [SeenRow(1, 1, 1 << 60)])],
        )
        assert messages.decode(await one.desk(0).visit(messages.encode(page)))
        assert await one.desk(0).read(["a"]) == [8]
        assert store.heard[store.owners.numbers[other.epoch]].version < 1 << 60
        # A page of nobody ended all counting of its member, and was never answered.
        with pytest.raises(MalformedCounters, match="owner"):
            await one.desk(0).visit(messages.encode(msgspec.structs.replace(page, epoch=b"")))
        many = Changes(
            epoch=b"e" * 16, first=5, last=6, epochs=[b"%016d" % it for it in range(4096)]
        )
        with pytest.raises(MalformedCounters, match="owners"):
            await one.desk(0).visit(messages.encode(many))
        with pytest.raises(MalformedCounters):
            await one.desk(0).visit(messages.encode(WantReport(b"e" * 16)))
        with pytest.raises(MalformedCounters):
            await one.desk(0).visit(b"anything")
        assert await one.desk(1).increment([("a", 1)]) == [2]
        await one.until_all_read_of([0], {"a": 9})
        await one.until_all_read_of([1], {"a": 2})

    run_linked(tmp_path, story, {"a": 2})


def test_who_is_told_something_tells_nothing_by_that_way(tmp_path: Path) -> None:
    """What was answered to a link was taken as if a member of this cluster had said it."""

    async def story(between: Between) -> None:
        one, url = between.clusters["a"], between.url("b", 0)
        await one.desk(0).increment([("a", 1)])
        rows: dict[str, Any] = {"epochs": [b"e" * 16], "parts": [PartRow(b"a", 0, 1000, 3, 0)]}
        lies: list[Message] = [
            Hello(epoch=b"e" * 16, version=3, opening=1, nonce=1),
            Changes(epoch=b"e" * 16, first=0, last=3, **rows),
            Page(purpose=Purpose.SEED, after=b"", until=b"", heads=[], **rows),
            WantPage(purpose=Purpose.SEED, epoch=b"", after=b""),
            WantReport(b"e" * 16),
        ]
        await link(one, url)
        for it in lies:
            between.lies[url] = messages.encode(it)
            await pass_time(12.0)  # twice as long as it waits at most, before it asks again
            (row,) = one.operators(0).describe("links")["links"]
            assert (row["name"], row["error"]) == (url, "what is no answer to a link")
        assert one.read(0, ["a"]) == [1]
        del between.lies[url]
        await between.clusters["b"].until_all_read({"a": 1})

    run_linked(tmp_path, story, {"a": 1, "b": 1})


def test_only_some_visits_wait_at_a_time(tmp_path: Path) -> None:
    async def story(between: Between) -> None:
        one = between.clusters["a"]
        await one.desk(0).increment([("a", 1)])
        told: list[object] = []
        hello = Hello(epoch=b"e" * 16, version=1, opening=1, nonce=1)
        for _it in range(100):
            one.at(0).visit_nowait(hello, 100, told.append)
        assert sum(type(it).__name__ == "Overloaded" for it in told) == 36
        await one.until(lambda: len(told) == 100)

    run_linked(tmp_path, story, {"a": 1})


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://example.com:2379", True),
        ("http://[::1]:2379/", True),
        ("http://10.0.0.1", True),
        ("https://example.com:0", False),
        ("https://example.com:2379/x?y", False),
        ("https://" + "a" * 600, False),
        ("http://exa mple", False),
        ("http://e\r\nx: y", False),
    ],
)
def test_a_url_leads_to_a_client_port_and_holds_nothing_else(url: str, *, is_good: bool) -> None:
    assert is_url(url) is is_good


def test_an_owner_is_told_of_again_when_it_has_a_name() -> None:
    link_of_all = Link(number=1, url="http://b0:2379", is_relay=True)
    store = Store.open(MemoryTrees(), lambda count: bytes([7]) * count)
    exchange = Exchange(store, lambda: 0.5)
    first, second = b"1" * EPOCH_BYTES, b"2" * EPOCH_BYTES

    async def story() -> None:
        wrong = list[BaseException]()
        outside = Outside(refuse_ways, "a", lambda *_: None, lambda *_: None, wrong.append)
        facts = Facts(links=(link_of_all,))
        store.owners.number_of(first)
        outside.look(exchange, facts, "m0", 0.0)
        store.owners.number_of(second)
        outside.look(exchange, facts, "m0", 0.1)
        assert set(exchange.relays) == {(-1, first), (-1, second)}
        relayed = exchange.relays.get(-1, first)
        assert relayed is not None
        said = relayed.next_message(0.2)
        assert isinstance(said, Hello)
        assert said.name == ""
        relayed.on_heard(Heard(first, 0, store.opening.nonce), 0.3)
        assert relayed.stage is Stage.SENDING
        owner = Owner(name="m1", epoch=first, member_id=2, is_ready=True)
        outside.look(exchange, replace(facts, owners=(owner,)), "m0", 0.4)
        said = relayed.next_message(0.4)
        assert isinstance(said, Hello)
        assert said.name == "m1@a"
        await outside.close()
        assert wrong == []

    asyncio.run(story())
