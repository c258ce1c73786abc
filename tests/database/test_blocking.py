"""The blocking face on a real machine: safe from any thread, and nothing is left of it."""

import asyncio
import errno
import gc
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import roost
from roost.client import Client
from roost.database import BadKey, Conflict, WrongLoop, opening
from roost.database.blocking import Database
from roost.faces import CalledInsideLoop, Closed
from roost.journal import DirectoryLocked
from roost.settings import BadSetting
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from roost.testing.processes import children_of

counting = roost.Operations("counting")


@counting.operation
def count(txn: roost.Transaction, name: str) -> int:
    counts = txn.tree("counts", key=str, value=int)
    counts[name] = counts.get(name, 0) + 1
    return counts[name]


inside: list[Callable[[], object]] = []


@counting.operation
def call_back(txn: roost.Transaction) -> str:
    try:
        inside[-1]()
    except CalledInsideLoop as error:
        return str(error)
    return "it returned"


def threads() -> set[str]:
    return {it.name for it in threading.enumerate() if it.name.startswith(("roost", "journal"))}


def test_a_tree_is_a_mapping_and_what_is_in_it_is_there_again(tmp_path: Path) -> None:
    before = threads(), children_of(os.getpid())
    with roost.open(tmp_path / "data") as db:
        people = db.tree("people", key=str, value=int)
        people["ada"] = 1815
        people.update({"grace": 1906, "alan": 1912})
        assert people["ada"] == 1815
        assert ("ada" in people, "bob" in people, len(people)) == (True, False, 3)
        assert list(people) == ["ada", "alan", "grace"]
        assert list(people.items(prefix="a", reverse=True)) == [("alan", 1912), ("ada", 1815)]
        assert (people.get("bob"), people.get("bob", 0)) == (None, 0)
        del people["alan"]
        with pytest.raises(KeyError):
            del people["alan"]
        with pytest.raises(KeyError):
            _ = people["alan"]
        with pytest.raises(BadKey):
            people[b"ada"] = 1  # type: ignore[index]  # that is the point
        jobs = db.queue("jobs", value=str)
        assert [jobs.append("one"), jobs.append("two")] == [0, 1]
        assert (jobs.peek(), jobs.take(), jobs.length()) == ("one", "one", 1)
    with roost.open(tmp_path / "data") as db:
        again = db.tree("people", key=str, value=int)
        assert list(again.items()) == [("ada", 1815), ("grace", 1906)]
        assert db.queue("jobs", value=str).take() == "two"
    assert (threads(), children_of(os.getpid())) == before


@pytest.mark.slow
def test_every_method_is_safe_from_any_thread() -> None:
    with roost.open(None, operations=[counting]) as db, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: db.run(count, "n"), range(64)))
        assert sorted(found) == list(range(1, 65))

        def add(_: int) -> None:
            def change(txn: roost.Transaction) -> None:
                names.add(threading.current_thread().name)
                tree = txn.tree("counts", key=str, value=int)
                tree["m"] = tree.get("m", 0) + 1

            db.transact(change, retries=1000)

        names: set[str] = set()
        list(pool.map(add, range(16)))
        assert db.tree("counts", key=str, value=int)["m"] == 16
        assert not {it for it in names if it.startswith("roost")}, "it runs in the caller's thread"


def test_a_block_commits_what_it_read_or_nothing() -> None:
    with roost.open(None) as db:
        tree = db.tree("t", key=str, value=int)
        tree["a"] = 1
        with db.transaction() as txn:
            rows = txn.tree("t", key=str, value=int)
            rows["b"] = rows["a"] + 1
            assert "b" not in tree, "nobody sees it before its end"
        assert tree["b"] == 2
        with pytest.raises(Conflict), db.transaction() as txn:  # noqa: PT012 - its end raises
            rows = txn.tree("t", key=str, value=int)
            read = rows["a"]
            tree["a"] = 7
            rows["b"] = read
        assert tree["b"] == 2


def test_a_view_is_one_state_in_any_thread() -> None:
    with roost.open(None) as db:
        tree = db.tree("t", key=int)
        tree.update(dict.fromkeys(range(600), b""))
        with db.view() as view:
            rows = view.tree("t", key=int)
            found = iter(rows)
            assert next(found) == 0
            tree.delete_range()
            assert list(found) == list(range(1, 600))
            assert (len(rows), len(tree)) == (600, 0)


def test_what_cannot_return_is_refused() -> None:
    db = roost.open(None, operations=[counting])
    inside.append(lambda: db.run(count, "n"))
    assert "would never return" in db.run(call_back)
    rows = db.tree("counts", key=str, value=int).items()
    db.close()
    db.close()
    for ask in (
        lambda: db.run(count, "n"),
        lambda: db.tree("t").get(b"a"),
        lambda: next(rows),
        lambda: db.local.tree("t").get(b"a"),
        db.status,
        db.transaction().__enter__,
    ):
        with pytest.raises(Closed):
            ask()


def test_a_generator_that_is_left_half_way_keeps_nothing() -> None:
    with roost.open(None) as db:
        tree = db.tree("t", key=int)
        tree.update(dict.fromkeys(range(600), b""))
        for number in tree:
            if number == 3:
                break
        tree[600] = b""
        assert len(tree) == 601


def test_an_observer_that_is_left_is_forgotten_and_one_that_is_ended_stops() -> None:
    with roost.open(None) as db:
        tree = db.tree("t", key=int)
        store = db._inner._embedded.member.store
        told: list[int] = []
        over = threading.Event()

        def follow() -> None:
            for change in changes:
                assert isinstance(change, roost.Change)
                told.append(change.key)
                over.set()

        with db.observe("t", key=int) as changes:
            following = threading.Thread(target=follow)
            following.start()
            tree.update(dict.fromkeys(range(3), b""))
            assert over.wait(60)
        following.join()
        assert told == [0, 1, 2]
        for event in db.observe("t", key=int, since=0):
            assert isinstance(event, roost.Overrun), "the tree began behind the log"
            break
        gc.collect()
        wait_until(lambda: store.witness is None)


def opens_here(path: Path) -> None:
    with pytest.raises(DirectoryLocked):
        roost.open(path)


def test_a_directory_is_opened_once_and_a_refusal_leaves_nothing(tmp_path: Path) -> None:
    before = threads()
    with roost.open(tmp_path / "data") as db:
        db.tree("t")[b"a"] = b"1"
        opens_here(tmp_path / "data")
    for wrong in (
        {"heartbeat_intervall": 5},
        {"election_timeout": 1},
        {"members": {"m1": "10.0.0.1:2380"}},
        {"members": {"default": "10.0.0.1:2380"}, "join": ["10.0.0.2:2380"]},
        {"members": {"default": ""}},
        {"join": ["10.0.0.2:2380"]},
        {"join": "10.0.0.2:2380"},
        {"auto_compaction_mode": "sometimes"},
        {"operations": [count]},
        {"operations": counting},
        {"limits": 5},
        {"snapshot_count": "100"},
        {"lease_reads": "no"},
        {"election_timeout": "1s"},
        {"listen_peer_urls": [5]},
        {"data_dir": "elsewhere"},
    ):
        settings: Any = wrong
        with pytest.raises(roost.RoostError):
            roost.open(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()
    assert threads() == before


def test_what_is_no_directory_and_no_setting_is_told_by_name_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(roost.BadOpening, match="is a file: a database is a directory"):
        roost.open(tmp_path / "file")
    with pytest.raises(roost.BadSetting, match="heartbeat-interval must be > 0"):
        roost.open(tmp_path / "new", heartbeat_interval=-1)
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/proc/x", "no directory can be made there: name another place"),
        ("/dev/null/x", "/dev/null is no directory: move it away, or name another place"),
        ("file/x", "file is no directory: move it away, or name another place"),
        ("nowhere", "nowhere is no directory: move it away, or name another place"),
        ("itself/x", "itself is no directory: move it away|a link that leads to itself"),
        ("n" * 300, "longer than a file system takes: name a shorter one"),
        ("/".join(["n" * 200] * 30), "longer than a file system takes: name a shorter one"),
    ],
)
def test_a_place_that_no_database_can_be_in_says_so_and_what_to_do(
    tmp_path: Path, place: str, said: str
) -> None:
    """It was a bare error of the system's, `[Errno 2] No such file or directory`."""
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "not there" / "x")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    with pytest.raises(roost.BadOpening, match=said) as caught:
        roost.open(tmp_path / place)
    assert len(str(caught.value)) < 500
    assert isinstance(caught.value.__cause__, OSError)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["file", "itself", "nowhere"]


@pytest.mark.parametrize(
    ("number", "is_its"),
    [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOSPC, False), (errno.EIO, False)],
)
def test_what_is_no_fault_of_the_place_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, is_its: bool
) -> None:
    def mkdir(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(roost.BadOpening if is_its else OSError, match=r"data") as caught:
        roost.open(tmp_path / "data")
    assert isinstance(caught.value, OSError) != is_its


@pytest.mark.parametrize(
    ("path", "given", "error"),
    [
        ("\udcff", {}, "is no path of a directory"),
        ("", {}, "is no path of a directory"),
        (b"data", {}, "is no path of a directory"),
        (5, {}, "is no path of a directory"),
        ("a\0b", {}, "is no path of a directory"),
        ("data", {"name": 5}, "name=5 is no text"),
        ("data", {"members": ["m1"]}, "a mapping of names to addresses"),
        ("data", {"members": {"default": 5}}, "5 is no address"),
        ("data", {"operations": 5}, "a list of groups"),
    ],
)
def test_what_cannot_be_opened_says_why_and_nothing_is_left(
    path: Any, given: dict[str, Any], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((roost.BadOpening, roost.BadDeclaration), match=error):
        roost.open(path, **given)
    assert not list(tmp_path.iterdir())


def test_what_is_no_call_is_refused_before_anything_is_done() -> None:
    async def later(txn: roost.Transaction) -> None:
        txn.tree("t")[b"a"] = b"1"

    given: Any = later  # type checkers say so, too
    with roost.open(None, operations=[counting]) as db:
        with pytest.raises(roost.BadArgument, match="use a plain `def`"):
            db.transact(given)
        assert not db.tree("t").has(b"a")
        key: Any = 5
        with pytest.raises(roost.BadArgument, match="a key is text"):
            db.run(count, "a", once=key)
        pairs: Any = [(b"a", b"1", b"2")]
        with pytest.raises(roost.BadArgument, match="pairs of a key and its value"):
            db.tree("t").update(pairs)
        with pytest.raises(roost.BadArgument, match="is no id of a member"):
            db.remove_member(1 << 64)
        with pytest.raises(roost.BadOpening, match="5 is no address"):
            db.add_member(5)  # type: ignore[arg-type]  # as above
        with pytest.raises(roost.BadTreeName):
            db.drop_derived(5)  # type: ignore[arg-type]  # as above
        for wrong in (-1, "many"):
            with pytest.raises(roost.BadArgument, match="retries="):
                db.transact(lambda txn: txn.tree("t").clear(), retries=wrong)  # type: ignore[arg-type]  # that is the point
        assert not db.tree("counts", key=str, value=int).count()


def test_a_member_of_stale_compiled_modules_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_compiled_fault", lambda: "they were made of other sources")
    with pytest.raises(roost.BadOpening, match="made of other sources: `make fast` or `make slow`"):
        roost.open(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_member_that_nobody_can_reach_takes_no_other_and_keeps_its_majority() -> None:
    with roost.open(None) as db:
        (alone,) = db.members()
        for learner in (False, True):
            with pytest.raises(roost.Refused, match="listen_peer_urls") as refused:
                db.add_member("127.0.0.1:1", learner=learner)
            assert refused.value.code == "TooFewAlive"
        with pytest.raises(roost.Refused, match="listen_peer_urls"):
            db.replace_member(alone.id, "127.0.0.1:1")
        db.tree("t")[b"a"] = b"1"
        assert db.members() == [alone]


def test_a_url_may_stand_alone_and_a_path_for_its_text(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url, saved = f"http://127.0.0.1:{port}", tmp_path / "saved"
    saved.mkdir()
    one: Any = {"listen_peer_urls": url, "initial_advertise_peer_urls": url, "backup_dir": saved}
    with roost.open(tmp_path / "data", members={"default": url}, **one) as db:
        assert db.members()[0].peer_urls == (url,)


def test_what_no_queue_has_room_for_is_refused_and_not_to_be_asked_again() -> None:
    with roost.open(None) as db, pytest.raises(roost.Refused, match="do it in several"):
        db.tree("big", key=str)["a"] = bytes(65 << 20)


def test_a_directory_of_a_cluster_is_not_opened_alone(tmp_path: Path) -> None:
    ports = free_ports(2)
    members = {f"m{it}": f"127.0.0.1:{port}" for it, port in enumerate(ports)}
    roost.open(tmp_path / "m0", name="m0", members=members).close()
    with pytest.raises(roost.BadOpening, match="a member of a cluster of 2"):
        roost.open(tmp_path / "m0", name="m0")


def in_a_fork(db: Database, said: Any, is_over: Any) -> None:
    try:
        db.tree("t").get(b"a")
    except roost.Forked as error:
        said.put(str(error))
    db.close()  # not ours to close: it does nothing
    assert is_over.wait(60)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_is_told_that_the_database_is_not_its_own(tmp_path: Path) -> None:
    forking = multiprocessing.get_context("fork")
    with roost.open(tmp_path / "data") as db:
        said, is_over = forking.Queue(), forking.Event()
        child = forking.Process(target=in_a_fork, args=(db, said, is_over))
        child.start()
        assert "forked" in said.get(timeout=30)
        db.tree("t")[b"a"] = b"1"
        assert db.tree("t")[b"a"] == b"1"
    # What the fork has inherited keeps nobody from the directory, as long as it may live.
    with roost.open(tmp_path / "data") as db:
        assert db.tree("t")[b"a"] == b"1"
        with pytest.raises(DirectoryLocked):
            roost.open(tmp_path / "data")
    assert child.is_alive()
    is_over.set()
    child.join(30)
    assert child.exitcode == 0


def test_a_database_belongs_to_the_loop_that_opened_it() -> None:
    async def opened() -> Any:
        async with roost.aio.open(None) as db:
            await db.tree("t").put(b"a", b"1")
            with pytest.raises(WrongLoop, match=r"roost\.open"):
                await asyncio.to_thread(lambda: asyncio.run(db.tree("t").get(b"a")))
            with pytest.raises(WrongLoop, match="close it there"):
                await asyncio.to_thread(lambda: asyncio.run(db.close()))
            assert await db.tree("t").get(b"a") == b"1"
        db = await roost.aio.open(None)
        await db.close()

    asyncio.run(opened())


@pytest.mark.slow
def test_a_database_is_served_from_its_own_process(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with roost.open(tmp_path / "data", operations=[counting]) as db:
        assert db.run(count, "n") == 1
        with pytest.raises(BadSetting):
            db.serve(["ftp://127.0.0.1"])
        db.serve(url)
        with pytest.raises(roost.BadOpening, match="already"):
            db.serve([url])
        with Client(f"127.0.0.1:{port}") as client:
            client.put(b"greeting", b"hello")
            held = client.get(b"greeting")
            assert held is not None
            assert held.value == b"hello"
            wait_until(lambda: [it.client_urls for it in client.members()] == [(url,)])
        assert db.run(count, "n") == 2
    with roost.open(tmp_path / "data", operations=[counting]) as db:
        assert db.run(count, "n") == 3
