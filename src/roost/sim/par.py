"""What a cluster makes of damage: the suite of PAR's authors (FAST'18).

Every case is three members on simulated disks that have acknowledged some puts and were then
killed together, or lost power.  Disks are damaged, the members start, and the cluster is

    correct      it serves, and every acknowledged put is there on all members
    unavailable  it does not serve, and nothing is lost that is not lost on all disks
    unsafe       it serves and an acknowledged put is missing, or members differ

Groups of cases, each with `count`:

    entries   all 4,096 ways to damage any of 4 entries on any of 3 disks
    blocks    a random block of one disk becomes zeros, garbage or unreadable
    lagging   the same, while another member is down and has missed the last puts
    files     a segment or a copy of a small file is missing, cut, or too long
    stores    the store is durable up to somewhere, and the journals are damaged
    bits      a bit of every 64th byte of one member's journal flips
    zeroes    every sector of it becomes zeros, then every 4 KiB

    python -m roost.sim.par [--count N]
"""

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import click

from roost.errors import RoostError
from roost.proto import rpc_pb2
from roost.sim.members import rot
from roost.sim.members.disk import SECTOR, SimDisk
from roost.sim.members.judge import Violation, dump
from roost.sim.members.machines import Machine
from roost.sim.members.run import quiet_scratch
from roost.sim.members.simulation import Simulation
from roost.sim.members.swarm import Swarm

MEMBERS, ENTRIES = 3, 4
WAIT_S = 12.0
# Heads, slots and the frames of a dozen puts in a segment of 32 KiB.
_USED_BYTES = 30 << 10
_SWARM = Swarm(
    size=MEMBERS,
    clients=0,
    safety_s=0.0,
    delay_s_mean=0.001,
    kills=True,
    power_cuts=False,
    partitions=False,
    one_way_cuts=False,
    changes=False,
    transfers=False,
    trailing_entries=100,
    segment_bytes=32 << 10,
    layer_bytes=1 << 20,
    nemesis_s_mean=1.0,
)
Damage = Callable[["Scene"], None]


class Lies(NamedTuple):
    """Where a put's payload lies in a member's journal."""

    segment: Path
    offset: int
    size_bytes: int


@dataclass(slots=True)
class Scene:
    """What a case may damage: the disks, and where every put's entry lies on each."""

    disks: list[SimDisk]
    # Of each member, each put in order.
    places: list[list[Lies]]
    dice: random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case; `may_be_unavailable` says that the damage may be beyond repair."""

    name: str
    damage: Damage
    puts: int = ENTRIES
    is_lagging: bool = False
    is_durable: bool = False
    may_be_unavailable: bool = False


@dataclass(slots=True)
class Row:
    """One line of the table."""

    group: str
    cases: int = 0
    correct: int = 0
    unavailable: int = 0
    unsafe: int = 0
    wrong: list[str] = field(default_factory=list)


class CaseRun(Simulation):
    """One case from start to verdict."""

    def __init__(self, case: Case, seed: int, root: Path) -> None:
        """Nothing runs."""
        super().__init__(seed, root, _SWARM)
        self.case = case
        self.verdict = ""
        self._keys: list[bytes] = []

    async def _run(self) -> None:
        for _ in range(MEMBERS):
            self.machines.add()
        for machine in self.machines:
            await self.machines.start(machine)
        await self._until_even(list(self.machines))
        writers = list(self.machines)
        early = self.case.puts // 2
        await self._put_all(range(early))
        if self.case.is_lagging:
            await self._until_even(list(self.machines))
            self.machines.crash(self.machines[2], loses_power=False)
            writers = writers[:2]
        await self._put_all(range(early, self.case.puts))
        await self._until_even(writers)
        if self.case.is_durable:
            await asyncio.sleep(11)  # virtual: the stores flush by age
        places = [self._places(it) for it in self.machines]
        for machine in self.machines:
            self.machines.crash(machine, loses_power=False)
        scene = Scene(
            [it.world.disk for it in self.machines], places, self.chronicle.stream("damage")
        )
        self.case.damage(scene)
        self.verdict = await self._judge_case()

    def _places(self, machine: Machine) -> list[Lies]:
        """Where the puts of a running member lie."""
        member = machine.member
        if member is None:
            return []
        journal = member.journal
        paths = {int(it.name[:16], 16): it for it in rot.segments(machine.world.disk)}
        found = []
        for index in range(journal.first_index, journal.last_index + 1):
            entries = journal.entries(index, index + 1, 1)
            if entries and any(key in entries[0].payload for key in self._keys):
                place = journal.place(index)
                found.append(Lies(paths[place.sequence], place.offset + 64, place.length))
        return found

    async def _put_all(self, numbers: range) -> None:
        for number in numbers:
            key = b"key-%d" % number
            self._keys.append(key)
            await self._put(key, b"value-%d" % number)

    async def _put(self, key: bytes, value: bytes) -> None:
        body = rpc_pb2.PutRequest(key=key, value=value).SerializeToString()
        while True:
            leader = self.machines.leader()
            if leader is not None:
                try:
                    await leader.transact("etcd.put", body)
                except RoostError:
                    pass  # again, until it is acknowledged
                else:
                    return
            await asyncio.sleep(0.05)

    async def _until_even(self, machines: list[Machine]) -> None:
        while True:
            leader = self.machines.leader()
            members = [it.member for it in machines]
            if leader is not None and all(
                it is not None and it.core.applied_index == leader.core.last_index for it in members
            ):
                return
            await asyncio.sleep(0.05)

    async def _judge_case(self) -> str:
        """Start everybody, wait, and look."""
        for machine in self.machines:
            try:
                await self.machines.start(machine)
            except Violation:
                self.chronicle.say(f"{machine.config.name} refuses")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_S
        while loop.time() < deadline:
            await asyncio.sleep(0.2)
            leader = self.machines.leader()
            if leader is not None and self.is_even(leader):
                break
            for machine in self.machines:
                if machine.may_start:
                    try:
                        await self.machines.start(machine)
                    except Violation:
                        self.chronicle.say(f"{machine.config.name} refuses")
        else:
            leader = self.machines.leader()
            if leader is None:
                return "unavailable"
        assert leader is not None, "somebody leads"
        running = [it.member for it in self.machines if it.member is not None]
        tree = leader.store.tree("$etcd.kv").id
        for member in running:
            if member.core.applied_index < leader.core.last_index:
                continue
            for number, key in enumerate(self._keys):
                held = member.view.get(tree, key)
                if held is None or b"value-%d" % number not in held:
                    return "unsafe"
        at = [it for it in running if it.core.applied_index == leader.core.applied_index]
        if len({dump(it.view) for it in at}) > 1:
            return "unsafe"
        return "correct" if len(at) == MEMBERS else "unavailable"


def run_case(case: Case, seed: int) -> str:
    """One case; `correct`, `unavailable` or `unsafe`, or what went wrong."""
    with quiet_scratch() as directory:
        loop_run = CaseRun(case, seed, directory)
        result = loop_run.run()
    return f"unsafe: {result.violation}" if result.violation else loop_run.verdict


def entry_cases() -> Iterator[Case]:
    """Every way to damage four entries on three disks."""
    for bits in product((False, True), repeat=MEMBERS * ENTRIES):
        name = "".join("x" if it else "." for it in bits)

        def damage(scene: Scene, bits: tuple[bool, ...] = bits) -> None:
            for position, is_damaged in enumerate(bits):
                if is_damaged:
                    node, entry = divmod(position, ENTRIES)
                    payload = scene.places[node][entry]
                    rot.flip(scene.disks[node], payload.segment, payload.offset + 3, 2)

        is_beyond = any(all(bits[entry::ENTRIES]) for entry in range(ENTRIES))
        yield Case(name=name, damage=damage, may_be_unavailable=is_beyond)


def _garble(disk: SimDisk, path: Path, begin: int, count: int, dice: random.Random) -> None:
    garbage = dice.randbytes(count)
    for data in (disk.files[path].cache, disk.files[path].durable):
        end = min(begin + count, len(data))
        data[begin:end] = garbage[: end - begin]


def damage_block(scene: Scene) -> None:
    """A block of one member's newest segment."""
    dice = scene.dice
    node = dice.randrange(2)
    disk = scene.disks[node]
    path = rot.segments(disk)[-1]
    size = dice.choice((SECTOR, rot.BLOCK))
    begin = dice.randrange(rot.used_bytes(disk, path)) // size * size
    what = dice.random()
    if what < 0.4:
        rot.zero(disk, path, begin, size)
    elif what < 0.7:
        _garble(disk, path, begin, size, dice)
    else:
        disk.files[path].unreadable.update(range(begin // 512, (begin + size) // 512))


def damage_file(scene: Scene) -> None:
    """A file of one member."""
    dice = scene.dice
    disk = scene.disks[dice.randrange(MEMBERS)]
    small = [it for it in disk.files if it.suffix in (".a", ".b")]
    path = dice.choice([*rot.segments(disk), *small])
    size = len(disk.files[path].cache)
    what = dice.random()
    if what < 0.3:
        if path in small:
            rot.cut(disk, path, 0)
        else:
            rot.remove(disk, path)
    elif what < 0.8:
        rot.cut(disk, path, dice.randrange(size))
    else:
        for data in (disk.files[path].cache, disk.files[path].durable):
            data += dice.randbytes(512)


def groups() -> dict[str, Callable[[int], Iterator[Case]]]:
    """The groups of cases; each makes `count` of them."""

    def entries(count: int) -> Iterator[Case]:
        cases = list(entry_cases())
        return iter(random.Random(1).sample(cases, min(count, len(cases))))  # noqa: S311 - replayed

    def repeated(damage: Damage, **options: bool) -> Callable[[int], Iterator[Case]]:
        def make(count: int) -> Iterator[Case]:
            for number in range(count):
                yield Case(name=f"{number}", damage=damage, puts=12, **options)

        return make

    def bits(count: int) -> Iterator[Case]:
        for number in range(min(count, _USED_BYTES // 64)):

            def damage(scene: Scene, number: int = number) -> None:
                disk = scene.disks[number % MEMBERS]
                rot.flip(disk, rot.segments(disk)[-1], 64 * number + number % 64, number % 8)

            yield Case(name=f"{number}", damage=damage, puts=12)

    def zeroes(count: int) -> Iterator[Case]:
        blocks = [(begin, SECTOR) for begin in range(0, _USED_BYTES, SECTOR)]
        blocks += [(begin, rot.BLOCK) for begin in range(0, _USED_BYTES, rot.BLOCK)]
        for number, (begin, size) in enumerate(blocks[:count]):

            def damage(scene: Scene, number: int = number) -> None:
                disk = scene.disks[number % MEMBERS]
                rot.zero(disk, rot.segments(disk)[-1], *blocks[number])

            yield Case(name=f"{size} at {begin}", damage=damage, puts=12)

    return {
        "entries": entries,
        "blocks": repeated(damage_block),
        "lagging": repeated(damage_block, is_lagging=True),
        "files": repeated(damage_file),
        "stores": repeated(damage_block, is_durable=True),
        "bits": bits,
        "zeroes": zeroes,
    }


def run_group(
    name: str, count: int, say: Callable[[Row], None] = lambda _row: None, *, first: int = 0
) -> Row:
    """Run `count` cases of a group, without those before `first`."""
    row = Row(name)
    for seed, case in islice(enumerate(groups()[name](count)), first, None):
        verdict = run_case(case, seed)
        row.cases += 1
        if verdict == "correct":
            row.correct += 1
        elif verdict == "unavailable":
            row.unavailable += 1
            if not case.may_be_unavailable:
                row.wrong.append(f"{name} {case.name} (seed {seed}): unavailable")
        else:
            row.unsafe += 1
            row.wrong.append(f"{name} {case.name} (seed {seed}): {verdict}")
        say(row)
    return row


@click.command()
@click.option("--count", default=10_000, show_default=True, help="Cases of each group, at most.")
@click.option("--group", "wanted", multiple=True, help="Only this group; may be repeated.")
def main(count: int, wanted: tuple[str, ...]) -> None:
    """Print the table; exit code 1 when anything was lost, or could have been had and was not."""

    def say(row: Row) -> None:
        click.echo(f"\r{row.group}: {row.cases}", nl=False, err=True)

    rows = [run_group(name, count, say) for name in groups() if not wanted or name in wanted]
    click.echo(err=True)
    click.echo(f"{'group':<10}{'cases':>8}{'correct':>9}{'unavailable':>13}{'unsafe':>8}")
    for row in rows:
        figures = f"{row.cases:>8}{row.correct:>9}{row.unavailable:>13}{row.unsafe:>8}"
        click.echo(f"{row.group:<10}{figures}")
    wrong = [it for row in rows for it in row.wrong]
    for text in wrong:
        click.echo(text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
