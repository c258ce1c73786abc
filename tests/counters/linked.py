"""Two clusters that count, linked, in one virtual time: only the way between them is ours."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from roost.counters.errors import LinkFailed
from roost.counters.ports import Options
from roost.errors import RoostError
from roost.sim.members.loop import pass_time, run_virtually
from tests.counters.cluster import CountingCluster
from tests.member.members import Network

ONE_WAY_S = 0.02


class Between:
    """What lies between clusters: URLs, and which of them nobody reaches."""

    def __init__(self) -> None:
        self.clusters: dict[str, CountingCluster] = {}
        self.cut: set[str] = set()
        self.asked: list[tuple[str, bytes]] = []
        # What is answered at a URL, whatever is said there.
        self.lies: dict[str, bytes] = {}

    def url(self, name: str, position: int) -> str:
        return f"http://{name}{position}:2379"

    def open_way(self, url: str) -> "SimulatedWay":
        return SimulatedWay(self, url)


class SimulatedWay:
    """As `server.counter_way`, without sockets."""

    def __init__(self, between: Between, url: str) -> None:
        self._between = between
        self._url = url

    async def ask(self, data: bytes) -> bytes:
        await pass_time(ONE_WAY_S)
        name = self._url.removeprefix("http://").partition(":")[0]
        cluster, position = self._between.clusters[name[:-1]], int(name[-1])
        if self._url in self._between.cut or position not in cluster.members:
            raise LinkFailed("nobody is there")
        self._between.asked.append((self._url, data))
        if self._url in self._between.lies:
            return self._between.lies[self._url]
        try:
            answer = await cluster.desk(position).visit(data)
        except RoostError as error:
            raise LinkFailed(f"{type(error).__name__}: {error}") from error
        await pass_time(ONE_WAY_S)
        return answer

    async def aclose(self) -> None:
        """Nothing is held."""


async def link(
    cluster: CountingCluster, url: str, *, source: str = "", is_relay: bool = False
) -> None:
    """Have an operator add a link."""
    await cluster.operators(0).administer(
        "link", who="a test", name=url, source=source, is_relay=is_relay
    )


def run_linked(
    root: Path, story: Callable[[Between], Awaitable[None]], sizes: dict[str, int]
) -> None:
    """Run `story` with clusters of those sizes, by names of one letter, that have started."""

    async def main() -> None:
        between = Between()
        for number, (name, size) in enumerate(sizes.items()):
            (root / name).mkdir()
            network = Network(number)  # else both would draw the same epochs
            cluster = CountingCluster(root / name, size, network=network)
            between.clusters[name] = cluster
            for it in cluster.names:
                cluster.options[it] = Options(cluster=name, open_way=between.open_way)
            await cluster.start_all()
        try:
            await story(between)
        finally:
            for cluster in between.clusters.values():
                await cluster.stop_all()

    run_virtually(main())
