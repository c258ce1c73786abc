"""Three members in virtual time: what operations do, and how they end."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from roost.database import (
    BadArgument,
    BadKey,
    BadTreeName,
    BadValue,
    Conflict,
    Limits,
    MemberEnded,
    OnceTaken,
    OperationFailed,
    Operations,
    OtherCodec,
    OtherResult,
    Refused,
    Transaction,
    TransactionOver,
    UnknownOperation,
    ViewClosed,
    WriteSetTooLarge,
    runner,
)
from roost.database.aio import Database
from roost.errors import DeviceFault, NotExecuted, OutcomeUnknown
from roost.faces import Closed
from roost.outcome import settle_future
from roost.sim.members.loop import pass_time
from tests.database.databases import Databases, again, with_databases
from tests.member.members import look_again

T = TypeVar("T")
bank = Operations("bank")
ran: list[str] = []


@bank.operation
def transfer(txn: Transaction, source: str, target: str, amount: int) -> int:
    accounts = txn.tree("accounts", key=str, value=int)
    left = accounts.get(source, 0) - amount
    accounts[source] = left
    if left < 0:
        raise Refused("not enough money", code="funds")
    accounts[target] = accounts.get(target, 0) + amount
    ran.append(source)
    return left


@bank.operation
def stumble(txn: Transaction, number: int) -> int:
    txn.tree("accounts", key=str, value=int)["trace"] = number
    return 1 // number


@bank.operation
def fill(txn: Transaction, count: int) -> None:
    tree = txn.tree("filled", key=int)
    for number in range(count):
        tree[number] = b"row"


@bank.operation
def tell(txn: Transaction, size: int) -> bytes:
    txn.tree("told", key=int)[size] = b"told"
    return bytes(size)


class Wordless(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError


NO_UNICODE = "no such file: \udcff"


@bank.operation
def fail(txn: Transaction, how: str) -> None:
    txn.tree("accounts", key=str, value=int)["trace"] = 1
    raise {
        "refused": Refused(NO_UNICODE, code="\udcff"),
        "refused by a number": Refused("no", code=7),  # type: ignore[arg-type]  # that is the point
        "an error": ValueError(NO_UNICODE),
        "wordless": Wordless(),
    }[how]


class OfItsOwn(BaseException):
    """What some libraries raise, pytest among them."""


LEAVING: dict[str, type[BaseException]] = {
    "exit": SystemExit,
    "cancel": asyncio.CancelledError,
    "end": GeneratorExit,
    "own": OfItsOwn,
}


@bank.operation
def leave(txn: Transaction, how: str) -> None:
    txn.tree("accounts", key=str, value=int)["trace"] = 1
    raise LEAVING[how](how)


kept: list[Transaction] = []


@bank.operation
def keep(txn: Transaction) -> None:
    kept.append(txn)


async def under_way(database: Database) -> None:
    """Wait until something was asked that has no answer yet."""
    while not database._embedded._pending:
        await asyncio.sleep(0)


def followers(cluster: Databases, leader: int) -> list[Database]:
    return [it for position, it in cluster.databases.items() if position != leader]


def test_an_operation_runs_once_on_the_leader_and_is_seen_everywhere(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        ran.clear()
        for database in cluster.databases.values():
            await database.tree("accounts", key=str, value=int).put("ada", 10)
            assert await database.run(transfer, "ada", "bob", 4) == 6
            for other in cluster.databases.values():
                tree = other.tree("accounts", key=str, value=int)
                assert await tree.get("ada") == 6
                assert [key async for key, _ in tree.items()] == ["ada", "bob"]
        assert ran == ["ada"] * 3
        status = await cluster.databases[leader].status()
        assert (status.is_leader, status.leader) == (True, status.name)

    with_databases(tmp_path, story, bank)


def test_a_refusal_leaves_nothing_and_is_the_same_from_every_member(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        await cluster.databases[0].tree("accounts", key=str, value=int).put("ada", 1)
        for database in cluster.databases.values():
            with pytest.raises(Refused, match="not enough money") as refused:
                await database.run(transfer, "ada", "bob", 4)
            assert refused.value.code == "funds"
            with pytest.raises(OperationFailed, match=r"bank\.stumble: ZeroDivisionError"):
                await database.run(stumble, 0)
            rows = database.tree("accounts", key=str, value=int).items()
            assert [it async for it in rows] == [("ada", 1)]
            with pytest.raises(OtherCodec):
                await database.tree("accounts").put(b"ada", b"1")

    with_databases(tmp_path, story, bank)


@pytest.mark.parametrize("how", sorted(LEAVING))
def test_an_operation_that_would_leave_is_one_that_failed(tmp_path: Path, how: str) -> None:
    """`sys.exit` in an operation ended the loop of the member that led, and all its callers hung.

    Cancelled, it left who ran in the same batch without an answer.
    """

    async def story(cluster: Databases) -> None:
        for database in cluster.databases.values():
            tree = database.tree("accounts", key=str, value=int)
            beside = [asyncio.ensure_future(tree.put(f"k{it}", it)) for it in range(3)]
            with pytest.raises(OperationFailed, match=r"bank\.leave: "):
                await database.run(leave, how)
            await asyncio.gather(*beside)
            assert await tree.get("trace") is None

    with_databases(tmp_path, story, bank)


@pytest.mark.parametrize(
    ("how", "kind", "text", "code"),
    [
        ("refused", Refused, r"no such file: \\udcff", "\\udcff"),
        ("refused by a number", Refused, "no", ""),
        ("an error", OperationFailed, r"bank.fail: ValueError: no such file: \\udcff", ""),
        ("wordless", OperationFailed, "bank.fail: Wordless: it cannot be put into words", ""),
    ],
)
def test_what_an_operation_says_comes_to_whoever_asked_whatever_it_is(
    tmp_path: Path, how: str, kind: type[Refused], text: str, code: str
) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        with pytest.raises(kind, match=text) as raised:
            await database.run(fail, how)
        assert (type(raised.value), raised.value.code) == (kind, code)
        assert await database.tree("accounts", key=str, value=int).count() == 0

    with_databases(tmp_path, story, bank, size=1)


def test_what_cannot_be_written_down_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        with pytest.raises(BadArgument, match="surrogates not allowed"):
            await database.run(transfer, "\udcff", "bob", 1)
        with pytest.raises(BadValue, match="surrogates not allowed"):
            await database.tree("texts", value=str).put(b"a", "\udcff")
        with pytest.raises(BadTreeName):
            await database.describe("no name", "what for")
        with pytest.raises(BadTreeName):
            await database.describe("$once", "what for")
        with pytest.raises(BadValue, match="key_bytes_max=-1"):
            await database.describe("texts", "what for", key_bytes_max=-1)
        with pytest.raises(BadValue, match="a purpose is text"):
            await database.describe("texts", 7)  # type: ignore[arg-type]  # that is the point

    with_databases(tmp_path, story, bank, size=1)


def test_a_name_that_the_leader_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        for position in range(3):
            await cluster.databases.pop(position).close()
            cluster.members.pop(position)
        others = Operations("others")
        for position in range(3):
            await cluster.open_at(position, others if position == leader else bank)
        # Whoever leads now may know it.
        while await cluster.leader() != leader:
            now = cluster.members[await cluster.leader()]
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            target = cluster.members[leader].member_id
            now.transfer_leadership(target, partial(settle_future, done))
            await done
        for database in followers(cluster, leader):
            with pytest.raises(UnknownOperation, match=r"bank\.transfer.*operations="):
                await database.run(transfer, "ada", "bob", 1)
            await database.tree("t").put(b"links", b"are there still")

    with_databases(tmp_path, story, bank)


def test_a_result_of_another_type_than_here_is_told_as_what_has_happened(tmp_path: Path) -> None:
    changed = Operations("bank")

    @changed.operation
    def transfer(txn: Transaction, source: str, target: str, amount: int) -> str:
        raise AssertionError("this version runs nowhere")

    async def story(cluster: Databases) -> None:
        database = followers(cluster, await cluster.leader())[0]
        accounts = database.tree("accounts", key=str, value=int)
        await accounts.put("ada", 10)
        for _ in range(2):
            with pytest.raises(OtherResult, match=r"bank\.transfer was done.*a new name"):
                await database.run(transfer, "ada", "bob", 4, once="order 7")
        assert await accounts.get("ada") == 6

    with_databases(tmp_path, story, bank)


def test_asking_again_with_the_same_key_answers_what_the_first_run_answered(
    tmp_path: Path,
) -> None:
    async def story(cluster: Databases) -> None:
        one, two, three = cluster.databases.values()
        await one.tree("accounts", key=str, value=int).put("ada", 10)
        ran.clear()
        for database in (one, two, three, one):
            assert await database.run(transfer, "ada", "bob", 4, once="order 7") == 6
        assert ran == ["ada"]
        assert await one.run(transfer, "ada", "bob", 4, once="order 8") == 2
        with pytest.raises(OnceTaken):
            await one.run(transfer, "ada", "bob", 5, once="order 7")
        with pytest.raises(Refused, match="not enough"):
            await one.run(transfer, "ada", "bob", 4, once="order 9")
        await one.tree("accounts", key=str, value=int).put("ada", 10)
        assert await one.run(transfer, "ada", "bob", 4, once="order 9") == 6

    with_databases(tmp_path, story, bank)


def test_results_are_kept_for_a_window_by_count_and_age(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        accounts = database.tree("accounts", key=str, value=int)
        await accounts.put("ada", 100)
        for number in range(4):
            await database.run(transfer, "ada", "bob", 1, once=f"order {number}")
        assert await accounts.get("ada") == 96
        # Three are kept: the first is forgotten, and runs again.
        assert await database.run(transfer, "ada", "bob", 1, once="order 3") == 96
        assert await database.run(transfer, "ada", "bob", 1, once="order 0") == 95
        await pass_time(61)
        assert await database.run(transfer, "ada", "bob", 1, once="order 0") == 94
        member = cluster.members[0]
        tree_id = member.store.tree("$once").id
        assert member.view.count(tree_id) == 3, "a result, its place, and where places begin"

    limits = Limits(once_count_max=3, once_age_s=60)
    with_databases(tmp_path, story, bank, size=1, limits=limits)


def test_an_operation_that_writes_too_much_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        with pytest.raises(WriteSetTooLarge, match="write_set_rows_max=100"):
            await database.run(fill, 101)
        assert await database.tree("filled", key=int).count() == 0
        await database.run(fill, 100)
        assert await database.tree("filled", key=int).count() == 100
        await database.run(keep)
        with pytest.raises(TransactionOver):
            kept[-1].tree("filled", key=int)

    with_databases(tmp_path, story, bank, size=1, limits=Limits(write_set_rows_max=100))


def test_a_result_that_no_answer_holds_is_refused_wherever_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RESULT_BYTES_MAX", 1000)

    async def story(cluster: Databases) -> None:
        for database in cluster.databases.values():
            assert len(await database.run(tell, 995)) == 995
            with pytest.raises(OperationFailed, match=r"bank\.tell returned 1003 bytes"):
                await database.run(tell, 1000)
            assert await database.tree("told", key=int).get(1000) is None

    with_databases(tmp_path, story, bank)


def test_an_optimistic_transaction_commits_on_what_it_read(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        one, two, _ = cluster.databases.values()
        accounts = one.tree("accounts", key=str, value=int)
        await accounts.update({"ada": 1, "bob": 2, "cyd": 3})

        async with one.transaction() as txn:
            tree = txn.tree("accounts", key=str, value=int)
            tree["ada"] += 1
            del tree["bob"]
            assert list(tree.items()) == [("ada", 2), ("cyd", 3)]
        assert [it async for it in accounts.items()] == [("ada", 2), ("cyd", 3)]

        with pytest.raises(Conflict):  # noqa: PT012 - it is the end of the block that raises
            async with one.transaction() as txn:
                tree = txn.tree("accounts", key=str, value=int)
                read = tree["ada"]
                await two.tree("accounts", key=str, value=int).put("ada", 7)
                tree["cyd"] = read
        assert await accounts.get("cyd") == 3

        async with one.transaction() as txn:  # what it has not read may change
            tree = txn.tree("accounts", key=str, value=int)
            tree["cyd"] = tree["cyd"] + 1
            await two.tree("accounts", key=str, value=int).put("ada", 8)
        assert await accounts.get("cyd") == 4

        with pytest.raises(Conflict):  # noqa: PT012 - it is the end of the block that raises
            async with one.transaction() as txn:  # a row that is new in a range that was read
                tree = txn.tree("accounts", key=str, value=int)
                assert tree.count(first="b", stop="c") == 0
                await two.tree("accounts", key=str, value=int).put("bea", 1)
                txn.tree("other")[b"x"] = b"y"

        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the error is the block's
            async with one.transaction() as txn:
                txn.tree("accounts", key=str, value=int).clear()
                raise ZeroDivisionError
        assert await accounts.count() == 3

    with_databases(tmp_path, story, bank)


def test_a_tree_that_a_transaction_makes_is_not_taken_for_one_that_others_make(
    tmp_path: Path,
) -> None:
    async def story(cluster: Databases) -> None:
        one, two, _ = cluster.databases.values()
        with pytest.raises(Conflict):  # noqa: PT012 - it is the end of the block that raises
            async with one.transaction() as txn:
                txn.tree("ours", key=str, value=int)["a"] = 1
                await two.tree("theirs", key=str, value=int).put("a", 2)
                assert await one.tree("theirs", key=str, value=int).get("a") == 2
                theirs = txn.tree("theirs", key=str, value=int)
                assert (theirs.get("a"), list(theirs.items())) == (2, [("a", 2)])
                assert list(txn.tree("ours", key=str, value=int).items()) == [("a", 1)]
                await two.tree("theirs", key=str, value=int).put("a", 3)
        async with one.transaction() as txn:
            txn.tree("ours", key=str, value=int)["a"] = 1
            await two.tree("ours", key=str, value=int).put("b", 2)
            txn.tree("copy", key=str, value=int)["a"] = txn.tree("ours", key=str, value=int)["a"]
        assert [it async for it in two.tree("ours", key=str, value=int).items()] == [
            ("a", 1),
            ("b", 2),
        ]
        assert await two.tree("copy", key=str, value=int).get("a") == 1

    with_databases(tmp_path, story, bank)


def test_a_function_is_run_again_until_nothing_comes_between(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        def add(txn: Transaction) -> int:
            tree = txn.tree("counts", key=str, value=int)
            tree["n"] = tree.get("n", 0) + 1
            return tree["n"]

        work = [
            it.transact(add, retries=100) for it in cluster.databases.values() for _ in range(8)
        ]
        assert sorted(await asyncio.gather(*work)) == list(range(1, 25))

    with_databases(tmp_path, story, bank)


def test_what_was_acknowledged_survives_the_leader(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        tree = followers(cluster, leader)[0].tree("t", key=int, value=str)
        await tree.put(1, "one")
        database = followers(cluster, leader)[0]
        pending = asyncio.ensure_future(database.run(transfer, "ada", "ada", -1))
        await under_way(database)
        await cluster.crash(leader)
        try:
            await pending
        except (OutcomeUnknown, NotExecuted):
            pass  # both are true here
        assert await again(lambda: tree.get(1)) == "one"
        await again(lambda: tree.put(2, "two"))
        back = await cluster.open_at(leader)
        assert await again(lambda: back.tree("t", key=int, value=str).get(2)) == "two"

    with_databases(tmp_path, story, bank)


def test_local_reads_ask_nobody(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        last = followers(cluster, leader)[0]
        await last.tree("t").put(b"a", b"1")
        for position, database in list(cluster.databases.items()):
            if database is not last:
                await cluster.crash(position)
        assert await last.local.tree("t").get(b"a") == b"1"
        with pytest.raises(NotExecuted):
            await last.tree("t").get(b"a")

    with_databases(tmp_path, story, bank)


def test_a_member_that_fails_ends_alone_and_tells_everybody(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        database, member = cluster.databases[leader], cluster.members[leader]
        await database.tree("t").put(b"a", b"1")
        waiting = [asyncio.ensure_future(database.tree("t").put(b"b", b"2")) for _ in range(3)]
        await under_way(database)
        member._loop.fail(DeviceFault("the disk is gone"))
        for ended in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(ended, OutcomeUnknown | NotExecuted)
        with pytest.raises(MemberEnded, match="the disk is gone"):
            await database.tree("t").get(b"a")
        await database.close()
        del cluster.databases[leader], cluster.members[leader]
        back = await cluster.open_at(leader)
        assert await again(lambda: back.tree("t").get(b"a")) == b"1"

    with_databases(tmp_path, story, bank)


def test_a_member_that_ends_behind_a_barrier_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told that he may read goes on in a later turn; its files may be closed by then."""

    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        database, member = cluster.databases.pop(leader), cluster.members.pop(leader)
        await database.tree("t").put(b"a", b"1")

        def tell_and_crash(done: Callable[[None], None]) -> None:
            done(None)
            member.abandon()
            database._embedded.on_crash()

        monkeypatch.setattr(member, "read_nowait", tell_and_crash)
        with pytest.raises(MemberEnded):
            async with database.view() as view:
                await view.tree("t").get(b"a")

    with_databases(tmp_path, story, bank)


def test_nothing_can_be_asked_after_a_close(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        database = cluster.databases.pop(0)
        cluster.members.pop(0)
        tree = database.tree("t")
        rows = tree.pages()
        await tree.update({b"%d" % number: b"1" for number in range(3000)})
        walks = [database.local.tree("t").pages(), tree.pages()]
        for it in walks:
            assert await anext(it)
        await asyncio.gather(database.close(), database.close())
        await database.close()
        for ask in (
            lambda: tree.get(b"a"),
            lambda: tree.put(b"a", b"1"),
            lambda: database.run(transfer, "ada", "bob", 1),
            lambda: database.local.tree("t").get(b"a"),
            lambda: anext(rows),
            lambda: anext(walks[0]),
            lambda: anext(walks[1]),
            database.status,
        ):
            with pytest.raises(Closed, match="open it again"):
                await ask()

    with_databases(tmp_path, story, bank, size=1)


def test_a_cancelled_call_leaves_nothing_waiting(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        call = asyncio.ensure_future(database.tree("t").put(b"a", b"1"))
        await under_way(database)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not database._embedded._pending
        with pytest.raises(BadKey):
            await database.tree("t").get("a")  # type: ignore[call-overload]  # that is the point
        await database.tree("t").put(b"b", b"1")

    with_databases(tmp_path, story, bank, size=1)


def test_a_view_is_one_state_over_any_number_of_reads(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.leader()
        database = followers(cluster, leader)[0]
        tree = database.tree("rows", key=int, value=int)
        await tree.update(dict.fromkeys(range(600), 0))
        async with database.view() as view:
            rows = view.tree("rows", key=int, value=int)
            seen = []
            async for page in rows.pages():
                seen += page
                await tree.put(page[-1][0], 1)
                await tree.put(page[-1][0] + 1000, 1)
            assert seen == [(number, 0) for number in range(600)]
            assert (await rows.count(), await tree.count()) == (600, 603)
            assert view.index < (await database.status()).applied_index
        with pytest.raises(ViewClosed, match="open another one"):
            await rows.get(1)
        assert not database._embedded.member.store.held_views.count

    with_databases(tmp_path, story, bank)


def test_a_view_that_is_held_too_long_says_so(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        tree = database.tree("rows", key=int, value=int)
        await tree.put(1, 1)
        await tree.update(dict.fromkeys(range(600), 1))
        async with database.view() as view:
            rows = view.tree("rows", key=int, value=int)
            assert await rows.get(1) == 1
            walk = rows.items()
            assert await anext(walk) == (0, 1)
            await pass_time(62)
            with pytest.raises(ViewClosed, match="lasted for longer"):
                await rows.get(1)
            with pytest.raises(ViewClosed, match="lasted for longer"):
                [it async for it in walk]
        async with database.view() as view:
            assert await view.tree("rows", key=int, value=int).get(1) == 1
            with pytest.raises(BadArgument, match="open already"):
                await view.__aenter__()
            assert await view.tree("rows", key=int, value=int).get(1) == 1
        assert not database._embedded.member.store.held_views.count

    with_databases(tmp_path, story, bank, size=1)


async def taken(ask: Callable[[], Awaitable[T]]) -> T:
    """A change of members, again as long as the one before is not over."""
    while True:
        try:
            return await ask()
        except Refused as refused:
            if refused.code != "ChangeNotTaken":
                raise
            await look_again()


def test_members_are_listed_changed_and_refused_by_name(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        database = followers(cluster, leader)[0]
        assert [it.name for it in await database.members()] == sorted(
            cluster.names, key=lambda name: cluster.members[cluster.names.index(name)].member_id
        )
        added = await database.add_member("10.0.0.9:2380", learner=True)
        assert (added.peer_urls, added.is_learner) == (("http://10.0.0.9:2380",), True)
        with pytest.raises(Refused) as refused:
            await taken(lambda: database.add_member(["http://10.0.0.9:2380"]))
        assert refused.value.code == "PeerUrlsTaken"
        with pytest.raises(Refused) as refused:
            await taken(lambda: database.promote_member(added.id))
        assert refused.value.code == "LearnerBehind"
        other = await taken(lambda: database.replace_member(added.id, "10.0.0.8:2380"))
        await taken(lambda: database.remove_member(other.id))
        assert len(await database.members()) == 3
        with pytest.raises(Refused) as refused:
            await taken(lambda: database.remove_member(other.id))
        assert refused.value.code == "MemberGone"
        with pytest.raises(Refused) as refused:
            await taken(lambda: database.remove_member(other.id ^ 1))
        assert refused.value.code == "MemberNotFound"
        name: Any = "m1"
        for change in (
            partial(database.remove_member, name),
            partial(database.promote_member, name),
            partial(database.replace_member, name, "10.0.0.7:2380"),
            partial(cluster.databases[leader].move_leader, name),
        ):
            with pytest.raises(BadArgument, match="'m1' is no id"):
                await change()
        target = database._embedded.member.member_id
        with pytest.raises(Refused, match="ask there"):
            await database.move_leader(target)
        await cluster.databases[leader].move_leader(target)
        assert (await database.status()).is_leader
        await database.move_leader(target)

    with_databases(tmp_path, story, bank)
