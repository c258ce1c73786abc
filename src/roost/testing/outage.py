"""`python -m roost.testing.outage`: kills and power cuts in number, and nothing lost (P1, P2).

Each round starts the members, lets clients put, and then either kills every process at once or
cuts the power of the file system that all of them are on.  After the next start every put that
was ever acknowledged must be there.
"""

import argparse
import logging
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from roost.client import Client, ClientError
from roost.testing.cluster import Cluster
from roost.testing.command import empty_folder, end, need_loop_device, say
from roost.testing.devices import LoopDisk
from roost.testing.patience import wait_until

logger = logging.getLogger(__name__)
WRITERS = 4
DISK_MB = 512


@dataclass(slots=True)
class OutageReport:
    """What the rounds saw."""

    members: int
    kills: int = 0
    power_cuts: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost."""
        return not self.lost


class Writer(threading.Thread):
    """Puts keys of its own, one after another, until it is told to stop; a put may fail."""

    def __init__(self, name: str, endpoints: list[str], acknowledged: dict[bytes, bytes]) -> None:
        """Nothing is put before `start`."""
        super().__init__(name=name, daemon=True)
        self._endpoints = endpoints
        self._acknowledged = acknowledged
        self.is_told_to_stop = False

    def run(self) -> None:
        """Put."""
        number = 0
        with Client(self._endpoints, timeout_s=5) as client:
            while not self.is_told_to_stop:
                number += 1
                key, value = f"{self.name}-{number:06}".encode(), b"%d" % number * 20
                with suppress(ClientError):
                    client.put(key, value)
                    self._acknowledged[key] = value


def run_outages(
    root: Path,
    *,
    members: int,
    kills: int,
    power_cuts: int,
    say: Callable[[str], None],
    seed: int = 1,
) -> OutageReport:
    """Kill, or cut the power, as often as told; `root` is an empty directory.

    Raises:
        TimeoutError: the members did not serve again.

    """
    report = OutageReport(members)
    dice = random.Random(seed)  # noqa: S311 - a test is no secret
    acknowledged: dict[bytes, bytes] = {}
    with ExitStack() as stack:
        disk = stack.enter_context(LoopDisk(root, DISK_MB)) if power_cuts else None
        home = root / "members" if disk is None else disk.path / "members"
        home.mkdir(mode=0o700)
        cluster = Cluster(home, members, extra_flags=["--segment-bytes=1048576"])
        stack.callback(cluster.stop_all)
        kinds = ["kill"] * kills + ["cut"] * power_cuts
        dice.shuffle(kinds)
        for number, kind in enumerate(kinds):
            _start(cluster)
            _check(cluster, acknowledged, report)
            writers = _put_for_a_while(cluster, acknowledged, dice, f"r{number}")
            if kind == "kill":
                report.kills += members
            else:
                assert disk is not None, "there is one"
                disk.cut_power()
                report.power_cuts += 1
            cluster.kill(*range(members))
            for writer in writers:
                writer.is_told_to_stop = True
            if kind == "cut":
                assert disk is not None, "there is one"
                disk.restore_power()
            say(f"{number + 1}/{len(kinds)}: {len(acknowledged)} puts, {len(report.lost)} lost")
        _start(cluster)
        _check(cluster, acknowledged, report)
        cluster.stop_all()
    report.acknowledged = len(acknowledged)
    return report


def _start(cluster: Cluster) -> None:
    for position in range(cluster.size):
        cluster.start(position)
    cluster.leader()


def _put_for_a_while(
    cluster: Cluster, acknowledged: dict[bytes, bytes], dice: random.Random, name: str
) -> list[Writer]:
    """Have writers work, and return in the middle of it."""
    before = len(acknowledged)
    wanted = before + dice.randint(20, 200)
    writers = [Writer(f"{name}-{it}", cluster.endpoints, acknowledged) for it in range(WRITERS)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(acknowledged) >= wanted)
    return writers


def _check(cluster: Cluster, acknowledged: dict[bytes, bytes], report: OutageReport) -> None:
    """Every acknowledged put is there."""
    expected = dict(acknowledged)
    with Client(cluster.endpoints, timeout_s=20) as client:
        held = {it.key: it.value for it in client.range(b"r", b"s")}
    for key, value in expected.items():
        if held.get(key) != value:
            report.lost.append(key.decode())


def main() -> None:
    """Run a campaign and print its report; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m roost.testing.outage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--kills", type=int, default=334, help="rounds that kill every member")
    parser.add_argument("--power-cuts", type=int, default=0, help="rounds that cut the power")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.power_cuts:
        need_loop_device()
    with empty_folder() as root:
        report = run_outages(
            root,
            members=options.members,
            kills=options.kills,
            power_cuts=options.power_cuts,
            say=say,
            seed=options.seed,
        )
    end(report, as_json=options.json)


if __name__ == "__main__":
    main()
