"""Changes of the tree: what the differential run cannot show, because etcd 3.5 is wrong or slow."""

import random
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from roost.database.model import Long
from roost.etcd.model.alarms import ALARM_OPERATION
from roost.etcd.v2 import history, nodes, values
from roost.etcd.v2.changes import CHANGE, EXPIRED_MAX
from roost.etcd.v2.expiry import EXPIRE
from roost.etcd.v2.paths import parent_of, path_of
from roost.etcd.v2.values import Action, Change, Event, Flags, Kind
from roost.outcome import Outcome
from roost.proto import rpc_pb2
from roost.sim.members.loop import run_virtually
from tests.etcd.v2.face import Face, json_of


def check_tree(face: Face) -> None:
    """See that parents are directories, and that what runs out stands in order."""
    view, trees = face.replica.view, nodes.trees_of(face.replica.store)
    expiring = set()
    for key, row in view.iterate(trees.nodes):
        path, node = path_of(key), nodes.decode(row)
        parent = nodes.get(trees, view, parent_of(path))
        assert parent is not None
        assert parent.is_dir
        assert not (node.is_dir and node.value)
        if node.expires_ns:
            expiring.add(nodes.expiry_key(node.expires_ns, path))
    assert expiring == {key for key, _ in view.iterate(trees.expiries)}


def run(story: Coroutine[Any, Any, None]) -> None:
    run_virtually(story)


def events(face: Face) -> list[Event]:
    trees = nodes.trees_of(face.replica.store)
    return [history.decode(key, row) for key, row in face.replica.view.iterate(trees.events)]


def expire(face: Face) -> None:
    face.replica.transact_nowait(EXPIRE, b"", lambda _: None)


def test_whatever_is_done_the_tree_is_whole() -> None:
    dice = random.Random(7)
    paths = ["/a", "/b", "/a/x", "/a/x/y", "/b/_h", "/b/_h/z"]
    kinds = [it for it in Kind if it is not Kind.POST] + [Kind.SET] * 4

    async def story() -> None:
        with Face() as face:
            for _ in range(600):
                asked = Change(
                    dice.choice(kinds),
                    dice.choice(paths).encode(),
                    value=dice.choice([b"", b"1", b"2"]),
                    is_dir=dice.random() < 0.3,
                    ttl_s=dice.choice([None, None, 0, 3, 9]),
                    is_refresh=dice.random() < 0.1,
                    prev_value=dice.choice([b"", b"1"]),
                    is_recursive=dice.random() < 0.3,
                )
                before = events(face)
                said = list[Outcome]()
                face.replica.transact_nowait(CHANGE, values.encode(asked), said.append)
                check_tree(face)
                assert isinstance(said[0], bytes)
                answer = values.decode_outcome(said[0])
                after = events(face)
                assert len(after) - len(before) == isinstance(answer, values.Done)
                assert answer.index == len(after)
                if dice.random() < 0.1:
                    face.now_s += dice.randrange(5)
                    expire(face)
                    check_tree(face)
            assert {it.action for it in events(face)} == set(Action)

    run(story())


def test_the_time_to_live_of_a_directory_can_be_changed() -> None:
    """As in etcd 2.3, where the directory keeps the index of its last change."""

    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/d", dir="true")
            answer = await face.ask("PUT", "/d", prevExist="true", ttl=30)
            assert answer.status == 200
            assert json_of(answer) == {
                "action": "update",
                "node": {
                    "key": "/d",
                    "dir": True,
                    "expiration": "2026-01-01T12:00:30Z",
                    "ttl": 30,
                    "modifiedIndex": 2,
                    "createdIndex": 1,
                },
                "prevNode": {"key": "/d", "dir": True, "modifiedIndex": 1, "createdIndex": 1},
            }
            node = json_of(await face.ask("GET", "/d"))["node"]
            assert (node["ttl"], node["modifiedIndex"]) == (30, 1)
            await face.ask("PUT", "/d", prevExist="true")
            assert "ttl" not in json_of(await face.ask("GET", "/d"))["node"]
            check_tree(face)

    run(story())


async def fill(face: Face, directory: str, count: int, **form: Any) -> None:  # Any: as `ask`
    for number in range(count):
        await face.ask("PUT", f"{directory}/{number % 7}/{number}", value=number, **form)


def test_a_large_directory_goes_over_many_turns_with_one_index_and_event() -> None:
    async def story() -> None:
        with Face() as face:
            await fill(face, "/d", 700, ttl=100)
            await face.ask("PUT", "/dx", value="stays")
            body = values.encode(Change(Kind.DELETE, b"/d", is_recursive=True))
            txn = face.replica.store.begin()
            found = face.v2.operations.change(txn, body)
            assert isinstance(found, Long)
            assert txn.is_empty
            assert sum(1 for _ in found.run(face.replica.store.begin())) >= 2
            answer = await face.ask("DELETE", "/d", recursive="true")
            assert json_of(answer)["node"]["modifiedIndex"] == 702
            assert await face.tree() == {"dx": "stays"}
            assert events(face)[-1].flags is Flags.DIRECTORY_GONE
            check_tree(face)

    run(story())


def test_what_has_run_out_goes_in_order_with_an_event_each() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/late", value="1", ttl=20)
            await face.ask("PUT", "/soon", value="2", ttl=5)
            await face.ask("PUT", "/d", dir="true", ttl=6)
            await face.ask("PUT", "/d/with", value="3", ttl=7)
            await face.ask("PUT", "/stays", value="4")
            face.now_s += 5.0
            expire(face)
            face.now_s += 10.0
            expire(face)
            assert await face.tree() == {"late": "1", "stays": "4"}
            told = [msgspec.json.decode(b"".join(history.pieces_of(it))) for it in events(face)[5:]]
            assert [it["action"] for it in told] == ["expire"] * 2
            assert [it["node"] for it in told] == [
                {"key": "/soon", "modifiedIndex": 6, "createdIndex": 2},
                {"key": "/d", "dir": True, "modifiedIndex": 7, "createdIndex": 3},
            ]
            assert told[0]["prevNode"]["value"] == "2"
            check_tree(face)

    run(story())


def test_so_many_run_out_in_one_operation() -> None:
    async def story() -> None:
        with Face() as face:
            for number in range(EXPIRED_MAX + 20):
                await face.ask("PUT", f"/{number}", ttl=number + 1)
            face.now_s += 1e6
            expire(face)
            assert sorted(map(int, await face.tree())) == [*range(EXPIRED_MAX, EXPIRED_MAX + 20)]
            expire(face)
            assert await face.tree() == {}

    run(story())


def test_nothing_runs_out_early_and_a_date_that_goes_back_is_no_harm() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", ttl=10)
            face.now_s += 9.9
            expire(face)
            face.set_s -= 100.0
            expire(face)
            assert json_of(await face.ask("GET", "/a"))["node"]["ttl"] == 1
            assert len(events(face)) == 1

    run(story())


@pytest.mark.parametrize("kind", ["NOSPACE", "CORRUPT"])
def test_alarms_hold_for_v2_as_for_v3(kind: str) -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", value="1")
            asked = rpc_pb2.AlarmRequest(action="ACTIVATE", memberID=1, alarm=kind)
            face.replica.transact_nowait(ALARM_OPERATION, asked.SerializeToString(), lambda _: None)
            answer = await face.ask("PUT", "/a", value="2")
            assert (answer.status, json_of(answer)["errorCode"]) == (500, 300)
            answer = await face.ask("DELETE", "/a")
            assert answer.status == (200 if kind == "NOSPACE" else 500)

    run(story())


def test_names_that_are_given_are_the_index() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/other", value="1")
            for _ in range(2):
                answer = await face.ask("POST", "/q", value="x")
                assert answer.status == 201
            assert list(await face.tree("/q")) == ["0" * 19 + "2", "0" * 19 + "3"]

    run(story())


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param(Kind.SET, b"/new" + b"/x" * 100, id="all is made"),
        pytest.param(Kind.SET, b"/file" + b"/x" * 100, id="a file is in the way"),
        pytest.param(Kind.SWAP, b"/file" + b"/x" * 100, id="not found"),
        pytest.param(Kind.DELETE, b"/file" + b"/x" * 100, id="nothing to delete"),
    ],
)
def test_a_directory_that_is_looked_for_on_the_way_counts(kind: Kind, path: bytes) -> None:
    """Issue 14: 214 keys below a hundred and twenty new directories each were a turn of 80 ms."""
    with Face() as face:
        operation = face.replica._operations[CHANGE]
        face.replica.transact_nowait(
            CHANGE, values.encode(Change(Kind.SET, b"/file", value=b"v")), lambda _: None
        )
        txn = face.replica.store.begin()
        operation(txn, values.encode(Change(kind, path, value=b"v")))
        assert txn.cost > 100
        txn = face.replica.store.begin()
        operation(txn, values.encode(Change(Kind.SET, b"/file", value=b"v")))
        assert txn.cost == 1
