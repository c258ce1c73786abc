"""Members that count, in virtual time: production's members, links and driver; trees in memory."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from roost.counters import reading
from roost.counters.counting import Counting
from roost.counters.desk import Desk
from roost.counters.environment import MemoryTrees, Trees
from roost.counters.errors import NotReady
from roost.counters.operators import Operators
from roost.counters.ports import Options, State
from roost.member import Member, MemberConfig
from roost.sim.members.loop import run_virtually
from tests.member.members import Cluster, Network, raise_fatal


class CountingCluster(Cluster):
    """Members with counters on them, by position."""

    def __init__(self, root: Path, size: int, *, network: Network | None = None) -> None:
        super().__init__(root, size, network=network)
        self.counting: dict[str, Counting] = {}
        # What survives a member: its directory.
        self.trees: dict[str, Trees] = {}
        self.counter_names: dict[str, str] = {}
        self.options: dict[str, Options] = {}
        self._operators: dict[str, Operators] = {}

    def open(
        self, config: MemberConfig, on_fatal: Callable[[BaseException], None] = raise_fatal
    ) -> Member:
        member = super().open(config, on_fatal)
        # Those of now: a member that is gone by the time it opens them has no others.
        trees = self.trees.setdefault(config.name, MemoryTrees())
        world = self.network.machine(config.listen_peer_urls[0])
        directory = config.data_dir / "counters.1"

        def open_trees() -> Trees:
            directory.mkdir(mode=0o700, exist_ok=True)  # by it a member knows that it has counted
            return trees

        self.counting[config.name] = Counting(
            member,
            world,
            directory,
            name=self.counter_names.get(config.name, config.name),
            chance=world.dice,
            options=self.options.get(config.name),
            open_trees=open_trees,
        )
        self._operators[config.name] = Operators(self.counting[config.name])
        return member

    def at(self, position: int) -> Counting:
        """The counters of one member."""
        return self.counting[self.names[position]]

    def operators(self, position: int) -> Operators:
        """How it is administered."""
        return self._operators[self.names[position]]

    def desk(self, position: int) -> Desk:
        """How they are asked."""
        return Desk(self.at(position))

    async def start(
        self,
        position: int,
        on_fatal: Callable[[BaseException], None] = raise_fatal,
        *,
        double: Path | None = None,
    ) -> Member:
        member = await super().start(position, on_fatal, double=double)
        self.at(position).start()
        return member

    async def stop(self, position: int) -> None:
        await self.at(position).close()
        await super().stop(position)

    def crash(self, position: int) -> None:
        """The process of a member is gone; what was not durable is, too."""
        name = self.names[position]
        self.counting.pop(name).abandon()
        trees = self.trees[name]
        if isinstance(trees, MemoryTrees):
            # What was being written when it died is written to what nobody reads any more.
            self.trees[name] = trees.copy()
        member = self.members.pop(position)
        member.abandon()
        member.journal.abandon()

    def isolate(self, position: int) -> None:
        """Nobody reaches this member, and it reaches nobody."""
        here = self.address(position)
        for other in range(len(self.names)):
            if other != position:
                there = self.address(other)
                self.network.simulated.cut |= {(here, there), (there, here)}

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self.network.simulated.heal()

    def read(self, position: int, names: list[str]) -> list[int | None]:
        """What a member reads, or nothing while it serves nobody."""
        counting = self.at(position)
        if counting.state is not State.OPEN:
            return []
        try:
            store = counting.check_ready()
        except NotReady:
            return []
        assert store is not None, "it is open"
        return reading.read(store, names)

    def copy_directory(self, position: int) -> MemoryTrees:
        """The counters of a member, as somebody copies the files."""
        trees = self.trees[self.names[position]]
        assert isinstance(trees, MemoryTrees), "it is not one that fails"
        return trees.copy()

    def forget_directory(self, position: int, name: str) -> None:
        """The counters of a member that does not run are lost; it is to count under that name."""
        self.trees[self.names[position]] = MemoryTrees()
        self.counter_names[self.names[position]] = name

    async def until_all_read(self, wanted: dict[str, int | None]) -> None:
        """Wait until every member that runs reads that."""
        await self.until_all_read_of(list(self.members), wanted)

    async def until_all_read_of(self, among: list[int], wanted: dict[str, int | None]) -> None:
        """Wait until each of these members reads that."""
        names, values = list(wanted), list(wanted.values())
        await self.until(lambda: all(self.read(it, names) == values for it in among))

    async def until_known(self) -> None:
        """Wait until everybody who counts is known, and ready, to all."""

        def names_of(position: int) -> list[str]:
            facts = self.at(position).known.facts
            return sorted(it.name for it in facts.counting() if it.is_ready)

        wanted = sorted(self.at(it).name for it in self.members)
        await self.until(lambda: all(names_of(it) == wanted for it in self.members))


def run_counting(
    root: Path, story: Callable[[CountingCluster], Awaitable[None]], size: int = 3
) -> None:
    """Run `story` with members that have started."""

    async def main() -> None:
        cluster = CountingCluster(root, size)
        await cluster.start_all()
        try:
            await story(cluster)
        finally:
            await cluster.stop_all()

    run_virtually(main())
