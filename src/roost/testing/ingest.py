"""`python -m roost.testing.ingest`: faults while points of time series come in, and none is lost.

Writers append points of series of their own to three members and note how far a flush has told them
that these are durable: half of them much at a time, half of them a little, so that generations are
full and are sealed meanwhile.  Round after round, in an order that chance says: the leader is
killed, a follower, all of them; the leader is cut off from the others; a process is stopped for a
while; and with `--power-cuts` the file system that all are on loses its power.  Then each member
alone is asked:

* each point that was told durable is there, and each that is there was sent, with its value;
* counts and sums of hours are those of the points that are there;
* all members have the same points, and, at rest, one digest of everything that they hold.

A point's value follows from its number, so what is sent again after a fault is the same point.
"""

import argparse
import http.client
import json
import logging
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from roost.client import ClientError
from roost.client.series import Asked, BadPoint, connect
from roost.client.series.blocking import Connection
from roost.testing.command import empty_folder, end, need_loop_device, say
from roost.testing.devices import LoopDisk
from roost.testing.local import LocalCluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.warden import Warden

logger = logging.getLogger(__name__)
MEMBERS = 3
# Points of a flush, by writers.
BATCHES = (500, 500, 10, 10)
BEGIN, STEP = 1_700_000_000 * 10**9, 10**9
DISK_MB = 1024
# Flushes that are answered between two faults; points that are read in one question.
BETWEEN, PAGE = 40, 100_000
TIMEOUT_S = 5.0


def value(writer: int, number: int) -> float:
    """The value of a point, with two decimals, as sensors have."""
    return (number * 37 + writer * 1000) % 9973 / 100


@dataclass(slots=True)
class IngestReport:
    """What the rounds saw."""

    rounds: int
    kills: int = 0
    cuts: int = 0
    pauses: int = 0
    power_cuts: int = 0
    acknowledged: int = 0
    sent: int = 0
    # Points that stood in blocks in the end, as far as that is known.
    sealed: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken


class Writer(threading.Thread):
    """Appends points of one series; `durable` of them are told so, `sent` may be there."""

    def __init__(self, number: int, endpoints: list[str], batch: int) -> None:
        """Nothing is sent before `start`."""
        super().__init__(name=f"ingest-{number}", daemon=True)
        self._batch = batch
        self.number = number
        self.series = f"ingest{{writer={number}}}"
        self._endpoints = endpoints
        self._is_over = threading.Event()
        self.durable = self.sent = self.flushes = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Append, from where the last flush was, whatever becomes of members."""
        try:
            while not self._is_over.is_set():
                try:
                    self._append()
                except (BadPoint, AssertionError):
                    raise  # nothing that a fault of a member excuses
                except (ClientError, OSError) as error:
                    logger.info("%s: begins again behind %d: %s", self.name, self.durable, error)
                    # One that is stopped answers nobody, and whoever begins anew with it waits.
                    self._endpoints = self._endpoints[1:] + self._endpoints[:1]
        except BaseException as error:  # noqa: BLE001 - whoever joins raises it
            self.error = error

    def _append(self) -> None:
        with connect(self._endpoints, timeout_s=TIMEOUT_S) as connection:
            while not self._is_over.is_set():
                numbers = range(self.durable, self.durable + self._batch)
                self.sent = max(self.sent, numbers.stop)
                connection.add_many(
                    self.series,
                    [BEGIN + it * STEP for it in numbers],
                    [value(self.number, it) for it in numbers],
                )
                connection.flush()
                self.durable = numbers.stop
                self.flushes += 1

    def tell_to_stop(self) -> None:
        """Have it end behind the batch that is on its way."""
        self._is_over.set()

    def stop(self) -> None:
        """Wait until it has ended.

        Raises:
            BaseException: what ended it before.

        """
        self.tell_to_stop()
        self.join(PATIENCE_S)
        assert not self.is_alive(), "each wait of a connection has a deadline"
        if self.error is not None:
            raise self.error


class Campaign:
    """One run over a cluster."""

    def __init__(self, cluster: LocalCluster, report: IngestReport, dice: random.Random) -> None:
        """Nobody writes yet."""
        self._cluster = cluster
        self._report = report
        self._dice = dice
        self._writers = [
            Writer(it, list(cluster.endpoints), batch) for it, batch in enumerate(BATCHES)
        ]

    def start(self) -> None:
        """Let all write."""
        self._cluster.wait_ready()
        for it in self._writers:
            it.start()

    def _pass_on(self) -> None:
        """Wait until some more flushes are answered: a cluster with a majority goes on."""
        wanted = sum(it.flushes for it in self._writers) + BETWEEN
        wait_until(lambda: self._is_dead or sum(it.flushes for it in self._writers) >= wanted)

    def tell_to_stop(self) -> None:
        """Have all end, whatever became of the run."""
        for it in self._writers:
            it.tell_to_stop()

    @property
    def _is_dead(self) -> bool:
        return any(it.error is not None for it in self._writers)

    def round(self) -> None:
        """All kinds of faults once, in an order that chance says."""
        kinds = [self._kill_leader, self._kill_follower, self._kill_all, self._isolate, self._pause]
        self._dice.shuffle(kinds)
        for fail in kinds:
            self._pass_on()
            fail()
        self._pass_on()

    def _kill(self, *positions: int) -> None:
        self._cluster.kill(*positions)
        self._report.kills += len(positions)

    def _kill_leader(self) -> None:
        leader = self._cluster.leader
        self._kill(leader)
        self._pass_on()
        self._cluster.restart(leader)

    def _kill_follower(self) -> None:
        follower = (self._cluster.leader + self._dice.randint(1, 2)) % MEMBERS
        self._kill(follower)
        self._pass_on()
        self._cluster.restart(follower)

    def _kill_all(self) -> None:
        self._kill(*range(MEMBERS))
        self._start_all()

    def _start_all(self) -> None:
        for member in self._cluster:
            member.start()
        self._cluster.wait_ready()

    def _isolate(self) -> None:
        self._cluster.isolate(self._cluster.leader)
        self._report.cuts += 1
        self._pass_on()
        self._cluster.heal()

    def _pause(self) -> None:
        position = self._dice.randrange(MEMBERS)
        self._cluster.pause(position)
        self._report.pauses += 1
        self._pass_on()
        self._cluster.resume(position)

    def cut_power(self, disk: LoopDisk) -> None:
        """The file system of all loses its power in the middle of it."""
        self._pass_on()
        disk.cut_power()
        self._report.power_cuts += 1
        self._cluster.kill(*range(MEMBERS))
        disk.restore_power()
        self._start_all()

    def judge(self) -> None:
        """Ask every member for everything, and compare."""
        self._cluster.heal()
        for it in self._writers:
            it.stop()
        self._report.acknowledged = sum(it.durable for it in self._writers)
        self._report.sent = sum(it.sent for it in self._writers)
        self._cluster.wait_ready()
        held = [self._held_by(member.name, member.endpoint) for member in self._cluster]
        if any(it != held[0] for it in held):
            self._report.broken.append("members have different points")
        self._report.sealed = self._sealed(sum(map(len, held[0])))
        self._compare_digests()

    def _sealed(self, count: int) -> int:
        """How many of so many points are not staged any more; some may be there twice."""
        with connect(self._cluster[0].endpoint, timeout_s=PATIENCE_S) as connection:
            said = connection.statistics()
        return max(0, count - int(said["staged_points"]) - int(said["frozen_points"]))

    def _held_by(self, name: str, endpoint: str) -> list[dict[int, float]]:
        found = []
        with connect(endpoint, timeout_s=PATIENCE_S) as connection:
            for writer in self._writers:
                points = _points(connection, writer)
                found.append(points)
                self._check(f"{name}, {writer.series}", writer, points)
                if _hours_of(points) != _hours(connection, writer):
                    self._report.broken.append(f"{name}, {writer.series}: hours are not the points")
        return found

    def _check(self, where: str, writer: Writer, points: dict[int, float]) -> None:
        missing = [it for it in range(writer.durable) if it not in points]
        wrong = [
            it
            for it, number in points.items()
            if it >= writer.sent or number != value(writer.number, it)
        ]
        if missing:
            text = f"{where}: {len(missing)} told durable are missing, from {missing[0]}"
            self._report.broken.append(text)
        if wrong:
            self._report.broken.append(f"{where}: {len(wrong)} are wrong, from {wrong[0]}")

    def _compare_digests(self) -> None:
        """Members at rest hold the same, down to the bytes; they may still be sealing."""
        digests: list[str] = []

        def are_equal() -> bool:
            digests[:] = [_digest(it.endpoint) for it in self._cluster]
            return len(set(digests)) == 1

        try:
            wait_until(are_equal)
        except TimeoutError:
            self._report.broken.append(f"digests differ: {digests}")


def _points(connection: Connection, writer: Writer) -> dict[int, float]:
    """The points of a writer, by their numbers."""
    found: dict[int, float] = {}
    for begin in range(0, writer.sent + PAGE, PAGE):
        start, stop = BEGIN + begin * STEP, BEGIN + (begin + PAGE) * STEP
        asked = Asked(names=(writer.series,), start=str(start), stop=str(stop))
        for table in connection.fetch(asked).tables:
            for time, number in zip(table.times, table.columns["value"], strict=True):
                assert number is not None, "nobody sends NaN"
                found[(time - BEGIN) // STEP] = number
    return found


def _hours(connection: Connection, writer: Writer) -> dict[int, tuple[float, float]]:
    """Hours as a member says, by their beginnings: count, and sum in hundredths."""
    stop = BEGIN + (writer.sent + 1) * STEP
    asked = Asked(
        names=(writer.series,), start=str(BEGIN), stop=str(stop), width="1h",
        aggregates=("count", "sum"),
    )  # fmt: skip
    found: dict[int, tuple[float, float]] = {}
    for table in connection.fetch(asked).tables:
        rows = zip(table.times, table.columns["count"], table.columns["sum"], strict=True)
        found |= {time: (count or 0, round((total or 0) * 100)) for time, count, total in rows}
    return found


def _hours_of(points: dict[int, float]) -> dict[int, tuple[float, float]]:
    """The same, of points."""
    width = 3600 * 10**9
    sums: dict[int, list[int]] = {}
    for number, it in points.items():
        held = sums.setdefault((BEGIN + number * STEP) // width * width, [0, 0])
        held[0] += 1
        held[1] += round(it * 100)
    return {time: (count, total) for time, (count, total) in sums.items()}


def _digest(endpoint: str) -> str:
    """Of all that a member holds durably; what went wrong, where it does not say."""
    connection = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
    try:
        connection.request("POST", "/v3/maintenance/hash", b"{}")
        answer = connection.getresponse()
        body = answer.read()
        return str(json.loads(body)["hash"]) if answer.status == 200 else f"{endpoint}: {body!r}"
    finally:
        connection.close()


def run_ingest(
    root: Path, *, rounds: int, power_cuts: int, say: Callable[[str], None], seed: int = 1
) -> IngestReport:
    """Run the rounds below `root`, an empty directory, and judge.

    Raises:
        TimeoutError: the members did not go on.

    """
    report = IngestReport(rounds)
    dice = random.Random(seed)  # noqa: S311 - a test is no secret
    with ExitStack() as stack:
        disk = stack.enter_context(LoopDisk(root, DISK_MB)) if power_cuts else None
        warden = Warden()
        stack.callback(warden.close)
        home = root / "members" if disk is None else disk.path / "members"
        cluster = stack.enter_context(LocalCluster(warden, home, MEMBERS))
        campaign = Campaign(cluster, report, dice)
        stack.callback(campaign.tell_to_stop)
        campaign.start()
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            campaign.round()
        for turn in range(power_cuts):
            assert disk is not None, "there is one"
            say(f"power cut {turn + 1} of {power_cuts}")
            campaign.cut_power(disk)
        campaign.judge()
    return report


def main() -> None:
    """Run a campaign and print its report; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m roost.testing.ingest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--power-cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.power_cuts:
        need_loop_device()
    with empty_folder() as root:
        report = run_ingest(
            root, rounds=options.rounds, power_cuts=options.power_cuts, say=say, seed=options.seed
        )
    end(report, as_json=options.json)


if __name__ == "__main__":
    main()
