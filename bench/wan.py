"""`python -m bench.wan`: throughput over a long way, by batch and window, in virtual time.

Three whole members (core, journal, store, links) run on simulated machines that are a round trip of
100 ms apart, on a simulated clock that stands still while anybody works.  What is left is the way:
so a figure is exact, is the same on every machine, and says nothing of processors and disks.

    batch    the most operations that become one entry (`MemberConfig.batch_count_max`)
    window   the most entries on their way at once (`MemberConfig.batch_inflight_max`); with 1 a
             member stops and waits

Those who put are beside the leader, never out of work, and put again when they are answered.  In
the time of one round trip no more than `batch` x `window` can be answered; how near members come
to that is the figure.  What this member has as it is shipped is one of the points.
"""

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.options import count, parser_of, start
from roost.errors import RoostError
from roost.member import Member, MemberConfig
from roost.outcome import Outcome
from roost.settings import DEFAULTS
from roost.sim.members.loop import run_virtually, virtual_loop
from roost.sim.members.network import SimNetwork
from roost.sim.members.run import quiet_scratch
from roost.sim.members.world import SimWorld
from roost.store import Txn

ROUND_TRIP_S = 0.1
BATCHES, WINDOWS = (1, 8, 64, 512), (1, 2, 4, 8, 16, 32)
MEMBERS = 3
TREE = "things"
_BODY = b"v" * 100
# How often a whole window is answered before the clock is read, and between its two readings.
WARM_WINDOWS, MEASURED_WINDOWS = 2, 4
# More than any window here carries in a round trip: the way is looked at, not its width.
_SOCKET_BYTES = 64 << 20
_SEGMENT_BYTES = 4 << 20
# Elections need less than this, or something is wrong.
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Point:
    """What a window of batches brings."""

    batch: int
    window: int
    puts_per_s: float

    @property
    def bound_per_s(self) -> float:
        """What the way allows."""
        return self.batch * self.window / ROUND_TRIP_S


class LongWay(SimNetwork):
    """A network on which everything takes half a round trip, always."""

    def __init__(self) -> None:
        """Nobody listens."""
        one_way_s = ROUND_TRIP_S / 2
        dice = random.Random(1)
        super().__init__(dice, delay_s_mean=one_way_s, window_bytes=_SOCKET_BYTES)

    def delay_s(self) -> float:
        """The same for everything."""
        return self.delay_s_mean


def _config(root: Path, position: int, batch: int, window: int) -> MemberConfig:
    urls = {f"m{it}": (f"http://10.0.0.{it + 1}:2380",) for it in range(MEMBERS)}
    name = f"m{position}"
    return MemberConfig(
        name=name,
        data_dir=root / name,
        initial_cluster=urls,
        advertise_peer_urls=urls[name],
        listen_peer_urls=urls[name],
        # Twice what a window holds waits at most; a queue this long refuses nobody.
        queue_count_max=8 * batch * window + 1024,
        batch_count_max=batch,
        batch_inflight_max=window,
        heartbeat_ms=DEFAULTS.heartbeat_interval,
        election_ms=DEFAULTS.election_timeout,
    )


def _bootstrap(txn: Txn) -> None:
    txn.tree(TREE)


def _open(network: LongWay, root: Path, position: int, batch: int, window: int) -> Member:
    address = (f"10.0.0.{position + 1}", 2380)
    stream = random.Random(position)
    world = SimWorld(network, address, stream, segment_bytes=_SEGMENT_BYTES)
    config = _config(root, position, batch, window)
    config.data_dir.mkdir()

    def end(error: BaseException) -> None:
        raise AssertionError("a member ended itself") from error

    member = Member(config, bootstrap=_bootstrap, on_fatal=end, world=world)
    tree_id = member.store.tree(TREE).id

    def put(txn: Txn, body: bytes) -> bytes:
        txn.put(tree_id, body[:8], body)
        return b""

    member.register("put", put)
    return member


class _Putters:
    """Clients beside the leader, each of which puts again when it is answered."""

    def __init__(self, leader: Member) -> None:
        self._leader = leader
        self._answered = 0
        # When the so-manieth answer came, for those that somebody waits for.
        self._wanted: dict[int, asyncio.Future[float]] = {}
        self._is_ended = False

    def begin(self, count: int) -> None:
        """Have `count` of them put."""
        for number in range(count):
            self._put(b"%08d" % number + _BODY)

    def end(self) -> None:
        """Put no more."""
        self._is_ended = True

    async def until(self, count: int) -> float:
        """The moment at which `count` were answered in all.

        Raises:
            RoostError: a put has failed.

        """
        future = asyncio.get_running_loop().create_future()
        self._wanted[count] = future
        async with asyncio.timeout(_PATIENCE_S):
            return float(await future)

    def _fail(self, error: RoostError) -> None:
        self.end()
        for future in self._wanted.values():
            future.set_exception(error)

    def _put(self, body: bytes) -> None:
        def done(outcome: Outcome) -> None:
            if self._is_ended:
                return
            if not isinstance(outcome, bytes):
                self._fail(outcome)
                return
            self._answered += 1
            future = self._wanted.pop(self._answered, None)
            if future is not None:
                future.set_result(virtual_loop().time())
            self._put(body)

        self._leader.transact_nowait("put", body, done)


async def _leader_of(members: Sequence[Member]) -> Member:
    """The one that leads, once everybody knows it."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            for it in members:
                is_known = all(other.leader_id == it.member_id for other in members)
                if it.core.is_leader_ready and is_known:
                    return it
            await asyncio.sleep(ROUND_TRIP_S)


async def _measure(root: Path, batch: int, window: int) -> Point:
    network = LongWay()
    members = [_open(network, root, it, batch, window) for it in range(MEMBERS)]
    for it in members:
        await it.start()
    putters = _Putters(await _leader_of(members))
    whole = batch * window
    putters.begin(2 * whole)
    began_s = await putters.until(WARM_WINDOWS * whole)
    ended_s = await putters.until((WARM_WINDOWS + MEASURED_WINDOWS) * whole)
    putters.end()
    for it in members:
        await it.stop()
    return Point(batch, window, round(MEASURED_WINDOWS * whole / (ended_s - began_s), 3))


def measure(batch: int, window: int) -> Point:
    """What members reach that put up to `batch` operations into an entry, `window` on their way."""
    with quiet_scratch() as root:
        return run_virtually(_measure(root, batch, window))


def save_points(path: Path, points: Sequence[Point]) -> None:
    """Write the raw results, a line a point."""
    lines = ",\n ".join(json.dumps(asdict(it)) for it in points)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[\n {lines}\n]\n")


def load_points(path: Path) -> list[Point]:
    """Read them."""
    return [Point(**it) for it in json.loads(path.read_text())]


def main() -> None:
    """Measure the curve, and print it: a line an entry's size, a column a window."""
    parser = parser_of("bench.wan", __doc__)
    for name, default, text in (
        ("--batches", BATCHES, "puts in an entry, at most"),
        ("--windows", WINDOWS, "entries on their way, at most"),
    ):
        listed = f"{text} ({' '.join(map(str, default))})"
        parser.add_argument(name, type=count, nargs="+", default=default, help=listed)
    parser.add_argument("--into", type=Path, help="a file that keeps the points")
    options = parser.parse_args()
    points = []
    for batch in options.batches:
        for window in options.windows:
            print(f"\rbatch {batch}, window {window}   ", end="", file=sys.stderr, flush=True)
            points.append(measure(batch, window))
    print(file=sys.stderr)
    if options.into:
        save_points(options.into, points)
    print("| batch | " + " | ".join(f"window {it}" for it in options.windows) + " |")
    print("|---|" + "---|" * len(options.windows))
    for batch in options.batches:
        rates = [f"{it.puts_per_s:,.0f}" for it in points if it.batch == batch]
        print(f"| {batch} | " + " | ".join(rates) + " |")


if __name__ == "__main__":
    start(main)
