"""The names for data models are enough to write one: `votes`, on members in virtual time."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from roost.database import NotYourTree, model
from roost.database.aio import open_database
from roost.database.embedded import Embedded
from roost.errors import ModelRefused, Overloaded
from roost.figures import read_all
from roost.member import Member, MemberConfig
from roost.sim.members.loop import run_virtually
from roost.store import Changes, Txn
from tests.database import votes
from tests.database.votes import FIGURES, SLICE_ROWS, SUMS_MAX, Votes
from tests.member import members
from tests.member.members import Cluster, raise_fatal

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "data-model.md"


class Voting(Cluster):
    """Members with votes on them."""

    def __init__(self, root: Path, size: int, *, halved_every_s: float) -> None:
        super().__init__(root, size)
        self.halved_every_s = halved_every_s
        self.votes: dict[str, Votes] = {}

    def open(
        self, config: MemberConfig, on_fatal: Callable[[BaseException], None] = raise_fatal
    ) -> Member:
        world = self.network.machine(config.listen_peer_urls[0])

        def bootstrap(txn: Txn) -> None:
            members.bootstrap(txn)
            votes.bootstrap(txn)

        member = Member(config, bootstrap=bootstrap, on_fatal=on_fatal, world=world)
        self.votes[config.name] = Votes(member, halved_every_s=self.halved_every_s)
        return member

    async def voters(self) -> tuple[Votes, list[Votes]]:
        """The votes of the member that leads, and those of the others."""
        leader = self.names[await self.quiet()]
        return self.votes[leader], [it for name, it in self.votes.items() if name != leader]


def run_voting(
    root: Path, story: Callable[[Voting], Awaitable[None]], *, halved_every_s: float = 1e6
) -> None:
    async def main() -> None:
        cluster = Voting(root, 3, halved_every_s=halved_every_s)
        await cluster.start_all()
        try:
            await story(cluster)
        finally:
            await cluster.stop_all()

    run_virtually(main())


def test_what_the_page_shows_is_the_example() -> None:
    page = PAGE.read_text()
    shown = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    text = Path(votes.__file__).read_text()
    assert shown
    assert [it for it in shown if it not in text] == []


def members_give_all(
    member: Member,
) -> tuple[model.Replica, model.Administration, model.Periodic, model.Frames]:
    """The checker sees to it that a member is all that a data model can ask for."""
    return member, member, member, member


def test_what_a_follower_is_asked_runs_where_the_cluster_leads(tmp_path: Path) -> None:
    async def story(cluster: Voting) -> None:
        leader, [follower, other] = await cluster.voters()
        assert await follower.give(b"ada") == 1
        assert await leader.give(b"ada") == 2
        assert [await it.count(b"ada") for it in (leader, follower, other)] == [2, 2, 2]
        with pytest.raises(ModelRefused, match="1 to 100 bytes"):
            await follower.give(b"")
        assert await other.total() == 2

    run_voting(tmp_path, story)


def test_whoever_hears_of_a_name_hears_on_every_member(tmp_path: Path) -> None:
    async def story(cluster: Voting) -> None:
        leader, _ = await cluster.voters()
        heard: dict[str, list[int]] = {name: [] for name in cluster.votes}
        for name, it in cluster.votes.items():
            it.hear(b"ada", heard[name].append)
        for voted in (b"ada", b"bob", b"ada"):
            await leader.give(voted)
        await cluster.until(lambda: all(it == [1, 2] for it in heard.values()))

    run_voting(tmp_path, story)


def test_many_votes_are_halved_over_many_turns_and_all_at_once(tmp_path: Path) -> None:
    async def story(cluster: Voting) -> None:
        leader, [follower, _] = await cluster.voters()
        names = [b"%04d" % number for number in range(2 * SLICE_ROWS)]
        await asyncio.gather(*[leader.give(name) for name in names])
        await asyncio.gather(*[leader.give(name) for name in names[::2]])
        for it in cluster.votes.values():
            assert await it.total() == 3 * SLICE_ROWS, "all of it is applied there"
        heard: list[int] = []
        seen: list[int] = []
        follower.hear(names[0], heard.append)
        tree = cluster.members[0].store.tree(votes.TREE).id

        def note(member: Member, _index: int, _changes: Changes) -> None:
            seen.append(member.view.count(tree))

        for member in cluster.members.values():
            member.observe(partial(note, member), trees=(tree,))
        follower.look()
        assert not follower.halved_count, "it is the leader's to do"
        leader.look()
        leader.look()
        await cluster.until(lambda: leader.halved_count == 1 and heard == [1])
        assert set(seen) == {SLICE_ROWS}, "nobody has seen half of it"
        assert await follower.total() == SLICE_ROWS
        assert await follower.count(names[1]) == 0

    run_voting(tmp_path, story)


def test_few_votes_are_halved_by_the_clock_of_the_member_that_leads(tmp_path: Path) -> None:
    async def story(cluster: Voting) -> None:
        leader, [follower, _] = await cluster.voters()
        for _ in range(5):
            await follower.give(b"ada")
        begun = leader.halved_count
        await cluster.until(lambda: leader.halved_count == begun + 1)
        assert await follower.count(b"ada") == 2

    run_voting(tmp_path, story, halved_every_s=3.0)


def test_a_total_is_read_part_by_part_and_is_of_one_state(tmp_path: Path) -> None:
    async def story(cluster: Voting) -> None:
        leader, _ = await cluster.voters()
        names = [b"%04d" % number for number in range(3 * SLICE_ROWS)]
        await asyncio.gather(*[leader.give(name) for name in names])
        total: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        steps = leader._summed(total)
        next(steps)
        await leader.give(names[-1])
        assert sum(1 for _ in steps) == 3, "two slices more, and the end of the tree"
        assert await total == len(names)
        assert await leader.total() == len(names) + 1

    run_voting(tmp_path, story)


def test_there_are_no_more_totals_in_the_making_than_may_be(tmp_path: Path) -> None:
    async def story(cluster: Voting) -> None:
        leader, _ = await cluster.voters()
        await leader.give(b"ada")
        leader.summing_count = SUMS_MAX
        with pytest.raises(Overloaded):
            await leader.total()
        leader.summing_count = 0
        assert await leader.total() == 1
        figures = {it.name: it.samples[0].value for it in read_all(FIGURES, leader)}
        assert figures == {"votes_totals": 0, "votes_halved_total": 0}

    run_voting(tmp_path, story)


class WithVotes:
    """Builds votes beside a database; see `roost.database.Builder`."""

    votes: Votes

    def bootstrap(self, txn: Txn) -> None:
        votes.bootstrap(txn)

    def check(self, settings: object) -> None:
        """There are none for votes."""

    def build(self, embedded: Embedded, settings: object) -> Member:
        del settings
        self.votes = Votes(embedded.member)
        return embedded.member


def test_a_data_model_stands_beside_what_a_program_has() -> None:
    builder = WithVotes()

    async def story() -> None:
        async with await open_database(None, builder=builder) as db:
            await db.tree("people").put(b"ada", b"1815")
            assert await builder.votes.give(b"ada") == 1
            with pytest.raises(NotYourTree):
                await db.tree(votes.TREE).get(b"ada")
            assert await builder.votes.total() == 1

    asyncio.run(story())
