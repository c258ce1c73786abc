"""etcd's tree of v2: what the log asks for behind its state, in our trees."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from roost.etcd.v2 import history, nodes
from roost.etcd.v2.paths import path_of
from roost.etcd.v2.users import Names, Users
from roost.etcd.v2.values import Node, Now
from roost.moving import EtcdFileDamaged, EtcdFileRefused
from roost.moving.v2_replay import V2Replay, V2Taken, v2_replay
from roost.moving.v2_snapshot import read_snapshot
from roost.moving.wal import Entry
from roost.restoring import bootstrap_models
from roost.store import InlineKeeper, Store, StoreConfig, Txn
from tests.moving.test_v2_snapshot import node, save_snapshot, tree
from tests.moving.test_wal import data, number

SECOND = 1_000_000_000


def request(method: str, path: str, value: str = "", *more: bytes) -> bytes:
    return b"".join(
        [number(1, 7), data(2, method.encode()), data(3, path.encode()), data(4, value.encode()),
         *more]
    )  # fmt: skip


@dataclass
class Came:
    """What was written here."""

    taken: V2Taken
    nodes: dict[bytes, Node]
    now: Now
    users: Users
    store: Store


def come_to(root: Path, kept: bytes | None, do: Callable[[V2Replay], None]) -> Came:
    """Let etcd's tree begin with `kept`, do something to it, and take it."""
    store_directory = root / "store"
    store_directory.mkdir()
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(store_directory))
    store.bootstrap(bootstrap_models, guid=uuid.UUID(int=0))

    def end(txn: Txn) -> None:
        store.apply(store.applied_index + 1, txn.encode(), 1)

    snapshot = None if kept is None else read_snapshot(save_snapshot(root, 30, kept))
    with v2_replay(bootstrap_models, store_directory, snapshot) as replay:
        do(replay)
        taken = replay.give(store, store.begin, end)
    trees = nodes.trees_of(store)
    held = {path_of(key): nodes.decode(row) for key, row in store.view.iterate(trees.nodes)}
    users = Users(trees, store.view)
    return Came(taken, held, history.now(trees, store.view), users, store)


def entries(*bodies: bytes, kind: int = 0) -> Callable[[V2Replay], None]:
    def do(replay: V2Replay) -> None:
        for position, body in enumerate(bodies):
            replay.take(Entry(31 + position, kind, body), Path("wal"))

    return do


def test_requests_are_what_etcd_makes_of_them(tmp_path: Path) -> None:
    came = come_to(
        tmp_path,
        None,
        entries(
            request("PUT", "/1/a/b", "1"),
            request("PUT", "/1/a/b", "2", number(8, 0)),  # is there already
            request("PUT", "/1/a/b", "3", number(8, 1)),
            request("PUT", "/1/a/b", "4", data(6, b"2")),  # is 3
            request("PUT", "/1/a/b", "5", number(7, 2)),
            request("POST", "/1/q", "6"),
            request("PUT", "/1/d", "", number(5, 1)),
            request("DELETE", "/1/d"),  # a directory
            request("DELETE", "/1/d", "", number(5, 1)),
            request("DELETE", "/1/a/b", "", data(6, b"no")),
            request("DELETE", "/1", "", number(12, 1)),
            request("GET", "/1/a/b"),
            data(100, number(1, 7)) + data(2, request("PUT", "/1/c", "7")),
        ),
    )
    assert came.nodes == {
        b"/a": Node(True, 1, 1, 0, b""),
        b"/a/b": Node(False, 1, 3, 0, b"5"),
        b"/q": Node(True, 4, 4, 0, b""),
        b"/q/00000000000000000004": Node(False, 4, 4, 0, b"6"),
        b"/c": Node(False, 7, 7, 0, b"7"),
    }
    # No events are kept: who watches from before is told so.
    assert came.now == Now(7, 8, 0)
    assert came.taken == V2Taken(7, 5, 0, 0)


def test_times_to_live_are_dates_and_end_when_the_leader_said(tmp_path: Path) -> None:
    ends = "2031-01-01T00:00:00Z"
    kept = tree(node("/1", children=[node("/1/old", "v", ends=ends), node("/1/stays", "v")]))
    date = 1_924_992_000
    came = come_to(
        tmp_path,
        kept,
        entries(
            request("PUT", "/1/new", "1", number(9, (date + 5) * SECOND)),
            request("PUT", "/1/later", "1", number(9, (date + 9) * SECOND)),
            request("SYNC", "", "", number(15, (date + 5) * SECOND)),
            request("PUT", "/1/stays", "", number(17, 1), number(9, (date + 7) * SECOND)),
        ),
    )
    assert came.nodes == {
        b"/later": Node(False, 11, 11, (date + 9) * SECOND, b"1"),
        b"/stays": Node(False, 14, 14, (date + 7) * SECOND, b"v"),
    }
    trees = nodes.trees_of(came.store)
    due = [nodes.expiring_path(it) for it, _ in came.store.view.iterate(trees.expiries)]
    assert due == [b"/stays", b"/later"]


def test_what_etcd_notes_of_its_members_takes_indexes(tmp_path: Path) -> None:
    def do(replay: V2Replay) -> None:
        entries(number(2, 0), number(2, 1), number(2, 3), kind=1)(replay)
        entries(data(1300, b""), data(1301, b""), request("PUT", "/0/members/1/attributes"))(replay)
        entries(b"", data(100, b"") + data(4, b""))(replay)

    came = come_to(tmp_path, None, do)
    assert (came.now.index, came.nodes) == (7, {})


def role(name: str, read: list[str] | None) -> str:
    return json.dumps({"role": name, "permissions": {"kv": {"read": read, "write": None}}})


def test_users_and_roles_go_to_where_they_stand_here(tmp_path: Path) -> None:
    user = json.dumps({"user": "ada", "password": "$2a$", "roles": ["reader"]})
    kept = tree(
        node("/2", children=[
            node("/2/enabled", "true"),
            node("/2/users", children=[node("/2/users/ada", user)]),
            node("/2/roles", children=[node("/2/roles/reader", role("reader", ["/a/*"])),
                                       node("/2/roles/root", role("root", ["/*"]))]),
        ])
    )  # fmt: skip
    came = come_to(tmp_path, kept, entries())
    view = came.store.view
    ada, reader = came.users.user(view, "ada"), came.users.role(view, "reader")
    assert ada is not None
    assert reader is not None
    names: Names = ("/a/*",)
    assert (ada.password, ada.roles, reader.patterns.read) == (b"$2a$", ("reader",), names)
    assert reader.patterns.write is None
    assert came.users.is_on
    assert (came.nodes, came.taken.user_count) == ({}, 1)


def test_directories_that_etcd_makes_for_users_with_a_slash_behind_are_no_users(
    tmp_path: Path,
) -> None:
    """Who turned v2's users on had `/2/users/` in the log, and could not be imported."""
    user = json.dumps({"user": "ada", "password": "$2a$", "roles": ["reader"]})
    came = come_to(tmp_path, None, entries(
        *(request("PUT", it, "", number(5, 1)) for it in ("/2", "/2/users/", "/2/roles/")),
        request("PUT", "/2/users/ada", user),
        request("PUT", "//2//roles/./reader", role("reader", ["/a/*"])),
    ))  # fmt: skip
    view = came.store.view
    ada, reader = came.users.user(view, "ada"), came.users.role(view, "reader")
    assert ada is not None and reader is not None
    assert reader.patterns.read == ("/a/*",)
    assert (came.taken.user_count, came.taken.role_count) == (1, 1)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (request("PUT", "/1/" + "x" * 5000), EtcdFileRefused, "too long"),
        (request("PUT", "1/x"), EtcdFileDamaged, "is none"),
        (data(2, b"PUT") + number(3, 9), EtcdFileDamaged, "number stands"),
        (data(2, data(2, b"HEAD") + data(3, b"/1/x")), EtcdFileDamaged, "method"),
        (request("PUT", "/2/users/x", "{"), EtcdFileDamaged, "user or a role"),
        (
            request("PUT", "/2/users/x", json.dumps({"user": "x", "roles": ["r"] * 40})),
            EtcdFileRefused,
            "has 40 roles",
        ),
        (
            request("PUT", "/2/roles/x", role("x", ["/" + "y" * 17000])),
            EtcdFileRefused,
            "users and roles may take",
        ),
    ],
)
def test_what_has_no_place_here_is_refused(
    tmp_path: Path, body: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        come_to(tmp_path, None, entries(body))
    assert [it.name for it in tmp_path.iterdir()] == ["store"]
