"""Operations that run over many turns: all of it or nothing, whoever leads and whoever dies."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from roost.errors import ModelRefused, OutcomeUnknown, Overloaded
from roost.member import Member, MemberConfig
from roost.member.errors import OperationFailed, RequestTooLarge
from roost.member.operation import Light
from roost.member.pipeline import long_run
from roost.outcome import Outcome
from roost.sim.members.loop import run_virtually
from roost.store import PARTS_ID, Changes, Long, Steps, Txn, long_write
from tests.member.members import TREE, Cluster, look_again, raise_fatal

SLICES = 60


class FillingCluster(Cluster):
    """Members that know a long operation, `fill`; how many slices of it ran stands in `ran`."""

    ran = 0

    def open(
        self, config: MemberConfig, on_fatal: Callable[[BaseException], None] = raise_fatal
    ) -> Member:
        member = super().open(config, on_fatal)
        tree_id = member.store.tree(TREE).id

        def run(txn: Txn, body: bytes) -> Steps:
            for number in range(SLICES):
                txn.put(tree_id, b"fill-%03d" % number, body)
                self.ran += 1
                if body == b"forbidden" and number == SLICES // 2:
                    raise ModelRefused(9, "that is forbidden")
                if body == b"broken" and number == SLICES // 2:
                    raise ValueError("this one is broken")
                yield
            txn.put_latest(tree_id, b"latest", body)
            return b"filled with " + body

        member.register("fill", lambda _txn, body: Long(lambda txn: run(txn, body)))
        member.register("look", Light(lambda _txn, _body: b"looked", lambda _txn, _body: b"late"))
        return member

    def filled(self, position: int) -> list[bytes]:
        """What the member shows of it."""
        member = self.members[position]
        tree_id = member.store.tree(TREE).id
        return [value for _, value in member.view.scan(tree_id, b"fill", b"film")]

    def kill(self, position: int) -> None:
        """End a member as a crash would; its lock goes with its process."""
        member = self.members.pop(position)
        member.abandon()
        member.journal._lock.close()

    def is_clear(self) -> bool:
        """Whether no member holds parts any more."""
        return not any(it.view.scan(PARTS_ID) for it in self.members.values())

    async def alike(self) -> None:
        """Wait until all members have applied the same."""
        await self.until(lambda: len({it.store.applied_index for it in self.members.values()}) == 1)


@pytest.fixture(autouse=True)
def small_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice is an entry, so that time passes between them."""
    monkeypatch.setattr(long_write, "ENTRY_BYTES", 1)


def run(tmp_path: Path, story: Callable[[FillingCluster], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = FillingCluster(tmp_path, 3)
        await cluster.start_all()
        await cluster.quiet()
        await story(cluster)
        for member in cluster.members.values():
            member.store.invariants()
        await cluster.stop_all()

    run_virtually(main())


def test_it_is_seen_whole_or_not_at_all_and_others_wait_their_turn(tmp_path: Path) -> None:
    async def story(cluster: FillingCluster) -> None:
        leader = await cluster.leader()
        seen: dict[int, set[int]] = {position: set() for position in cluster.members}

        def observe(position: int) -> Callable[[int, Changes], None]:
            return lambda _index, _changes: seen[position].add(len(cluster.filled(position)))

        for position, member in cluster.members.items():
            member.store.observe(observe(position))
        said: list[Outcome] = []
        order: list[str] = []

        def heard(what: str) -> Callable[[Outcome], None]:
            def note(outcome: Outcome) -> None:
                said.append(outcome)
                order.append(what)

            return note

        member = cluster.members[leader]
        member.transact_nowait("put", b"a=1", heard("put before"))
        member.transact_nowait("fill", b"x", heard("fill"))
        member.transact_nowait("put", b"fill-000=later", heard("put behind"))
        member.transact_nowait("touch_nothing", b"fill-001", heard("read behind"))
        await cluster.until(lambda: len(said) == 4)
        assert order == ["put before", "fill", "put behind", "read behind"]
        assert said == [b"", b"filled with x", b"x", b"x"]
        await cluster.alike()
        for position in cluster.members:
            assert seen[position] == {0, SLICES}
            assert cluster.filled(position) == [b"later", *[b"x"] * (SLICES - 1)]
        assert cluster.is_clear()
        assert member.status().queue_count == 0
        assert len({it.term for it in cluster.members.values()}) == 1

    run(tmp_path, story)


def test_what_is_light_is_answered_meanwhile_whoever_is_asked(tmp_path: Path) -> None:
    """A deletion of many keys took longer than leases had whose clients kept them alive."""

    async def story(cluster: FillingCluster) -> None:
        leader = await cluster.leader()
        said: list[Outcome] = []
        cluster.members[leader].transact_nowait("fill", b"x", said.append)
        await cluster.until(lambda: cluster.ran > 0)
        for member in cluster.members.values():
            assert await member.transact("look", b"") == b"looked"
        assert (said, cluster.ran < SLICES) == ([], True)
        await cluster.until(lambda: bool(said))

    run(tmp_path, story)


def test_it_runs_through_a_follower_too(tmp_path: Path) -> None:
    async def story(cluster: FillingCluster) -> None:
        other = (await cluster.leader() + 1) % 3
        assert await cluster.members[other].transact("fill", b"y") == b"filled with y"
        assert cluster.filled(other) == [b"y"] * SLICES, "who is answered sees it"

    run(tmp_path, story)


def test_who_loses_its_office_in_the_middle_hands_it_to_the_next(tmp_path: Path) -> None:
    async def story(cluster: FillingCluster) -> None:
        leader = await cluster.leader()
        target = (leader + 1) % 3
        said: list[Outcome] = []
        cluster.members[leader].transact_nowait("fill", b"z", said.append)
        await cluster.until(lambda: SLICES // 3 < cluster.ran < SLICES)
        over: list[object] = []
        cluster.members[leader].transfer_leadership(cluster.members[target].member_id, over.append)
        await cluster.until(lambda: bool(said))
        assert said == [b"filled with z"]
        assert cluster.ran > SLICES, "it has run again, from the beginning"
        assert await cluster.leader() == target
        await cluster.alike()
        for position in cluster.members:
            assert cluster.filled(position) == [b"z"] * SLICES
        assert cluster.is_clear()

    run(tmp_path, story)


@pytest.mark.parametrize("is_asked_there", [True, False])
def test_with_a_leader_that_dies_in_the_middle_goes_all_of_it(
    tmp_path: Path, *, is_asked_there: bool
) -> None:
    async def story(cluster: FillingCluster) -> None:
        leader = await cluster.leader()
        asked = leader if is_asked_there else (leader + 1) % 3
        said: list[Outcome] = []
        cluster.members[asked].transact_nowait("fill", b"z", said.append)
        await cluster.until(lambda: SLICES // 3 < cluster.ran < SLICES)
        cluster.kill(leader)
        await cluster.leader()
        await cluster.start(leader)
        await cluster.until(cluster.is_clear)
        await cluster.put(leader, b"a", b"1")
        await cluster.alike()
        if not is_asked_there:
            await cluster.until(lambda: bool(said))
            assert isinstance(said[0], OutcomeUnknown)
        for position in cluster.members:
            assert cluster.filled(position) == []
        assert cluster.is_clear(), "the next leader has removed what was left"

    run(tmp_path, story)


@pytest.mark.parametrize("after", [1, 20, 40])
def test_a_follower_that_is_killed_in_between_comes_to_the_same(tmp_path: Path, after: int) -> None:
    async def story(cluster: FillingCluster) -> None:
        leader = await cluster.leader()
        victim = (leader + 1) % 3
        said: list[Outcome] = []
        cluster.members[leader].transact_nowait("fill", b"z", said.append)
        await cluster.until(lambda: cluster.ran >= after)
        cluster.members[victim].store.flush()
        cluster.kill(victim)
        await cluster.start(victim)
        await cluster.until(lambda: bool(said))
        assert said == [b"filled with z"]
        await cluster.alike()
        assert cluster.filled(victim) == [b"z"] * SLICES
        assert cluster.is_clear()

    run(tmp_path, story)


@pytest.mark.parametrize("body", [b"forbidden", b"broken"])
def test_one_that_is_refused_in_the_middle_leaves_nothing(tmp_path: Path, body: bytes) -> None:
    async def story(cluster: FillingCluster) -> None:
        leader = cluster.members[await cluster.leader()]
        expected = ModelRefused if body == b"forbidden" else OperationFailed
        with pytest.raises(expected):
            await leader.transact("fill", body)
        await leader.transact("put", b"a=1")
        await cluster.until(cluster.is_clear)
        await cluster.alike()
        for position in cluster.members:
            assert cluster.filled(position) == []
        assert await leader.transact("fill", b"x") == b"filled with x"

    run(tmp_path, story)


def test_one_that_grows_beyond_all_bounds_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_run, "LAYER_BYTES_MAX", 5000)

    async def story(cluster: FillingCluster) -> None:
        leader = cluster.members[await cluster.leader()]
        with pytest.raises(RequestTooLarge, match="ask for a part of its keys at a time"):
            await leader.transact("fill", b"x")
        await cluster.until(cluster.is_clear)
        assert cluster.filled(0) == []

    run(tmp_path, story)


def test_the_queue_behind_it_has_its_bound(tmp_path: Path) -> None:
    async def story(cluster: FillingCluster) -> None:
        leader = cluster.members[await cluster.leader()]
        said: list[Outcome] = []
        leader.transact_nowait("fill", b"x", lambda _outcome: None)
        await cluster.until(lambda: 0 < cluster.ran < SLICES)
        for _ in range(leader.config.queue_count_max + 1):
            leader.transact_nowait("put", b"a=1", said.append)
        assert {type(it) for it in said} == {Overloaded}
        await cluster.until(lambda: len(said) > leader.config.queue_count_max)
        assert said[-1] == b"1", "those who were let in have run"

    run(tmp_path, story)


def test_a_member_that_stops_in_the_middle_tells_its_caller(tmp_path: Path) -> None:
    async def main() -> None:
        cluster = FillingCluster(tmp_path, 1)
        await cluster.start_all()
        await cluster.quiet()
        said: list[Outcome] = []
        cluster.members[0].transact_nowait("fill", b"x", said.append)
        while not cluster.ran:
            await look_again()
        await cluster.stop(0)
        assert len(said) == 1
        await cluster.start(0)
        await cluster.quiet()
        assert cluster.filled(0) in ([], [b"x"] * SLICES)
        await cluster.until(cluster.is_clear)
        await cluster.stop(0)

    run_virtually(main())
