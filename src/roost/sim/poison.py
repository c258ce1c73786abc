"""Apply is total and the same everywhere (P13): random write sets on two stores, equal digests.

Both stores apply the same entries: valid write sets, broken ones, and nonsense.  One has large
layers and flushes seldom, the other small ones and flushes often, and one of them is started anew
now and then.  Neither may stop, and their digests must be equal at every comparison.

    python -m roost.sim.poison [--sets N] [--seed N]
"""

import random
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from roost.store import BOOTSTRAP_INDEX, InlineKeeper, Store, StoreConfig, Txn
from roost.store.rows import Puts
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    HEAD,
    PUT,
    PUTS,
    encode_rows,
)

KINDS = (
    PUT, PUT, PUT, PUT, DELETE, DELETE, DELETE_RANGE, DELETE_FROM, ANNOTATION, PUTS, PUTS
)  # fmt: skip
TREES = (2, 3, 4)
COMPARE_ENTRIES = 2000


@dataclass(slots=True)
class PoisonTotals:
    """What was applied."""

    sets: int = 0
    broken: int = 0
    comparisons: int = 0
    restarts: int = 0
    digest: str = ""


def random_key(dice: random.Random) -> bytes:
    """Short keys that meet often, and some that are too long for one LMDB record."""
    if dice.random() < 0.03:
        return b"L" * 478 + dice.randbytes(dice.randint(0, 8))
    return b"%03d" % dice.randrange(400) + dice.randbytes(dice.choice((0, 0, 1)))


def random_rows(dice: random.Random) -> bytes:
    """Rows of some trees; those of one tree may have the values of another's."""
    rows: list[Puts] = []
    for tree_id in dice.sample(TREES, dice.randint(1, len(TREES))):
        is_shared = bool(rows) and dice.random() < 0.5
        count = len(rows[-1].keys) if is_shared else dice.randint(0, 3)
        keys = [random_key(dice) for _ in range(count)]
        values = [None if dice.random() < 0.2 else dice.randbytes(3) for _ in range(count)]
        rows.append(
            Puts(tree_id, keys, rows[-1].values if is_shared else values, is_shared=is_shared)
        )
    return encode_rows(rows)


def random_payload(dice: random.Random) -> bytes:
    """A write set, or something that only looks like one."""
    if dice.random() < 0.01:
        return dice.randbytes(dice.randint(1, 60))
    parts = []
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        kind = dice.choice(KINDS)
        tree_id, key, value = dice.choice(TREES), random_key(dice), b""
        if kind == PUT:
            value = dice.randbytes(dice.randint(0, 40))
        elif kind == DELETE_RANGE:
            key, value = sorted((random_key(dice), random_key(dice)))
        elif kind == DELETE_FROM and dice.random() < 0.9:
            kind = DELETE
        elif kind == ANNOTATION:
            key, value = b"", b"said"
        if kind == PUTS:
            parts.append(random_rows(dice))
        else:
            parts.append(HEAD.pack(kind, tree_id, len(key), len(value)) + key + value)
    payload = b"".join(parts)
    return payload[: dice.randrange(len(payload))] if dice.random() < 0.01 else payload


def _bootstrap(txn: Txn) -> None:
    for number in TREES:
        txn.tree(f"tree-{number}")


class Side:
    """One of the two stores."""

    def __init__(self, directory: Path, layer_bytes: int) -> None:
        """Begin with the first content."""
        self._directory = directory
        self._config = StoreConfig(layer_bytes_max=layer_bytes)
        directory.mkdir()
        self.broken = 0
        self.store = self._open()
        self.store.bootstrap(_bootstrap, guid=uuid.UUID(int=1))

    def _open(self) -> Store:
        keeper = InlineKeeper(self._directory, is_synced=False, digest_entries=COMPARE_ENTRIES)
        store = Store.open(config=self._config, keeper=keeper)
        self.digests: dict[int, bytes] = {}
        store.on_digest = self.digests.__setitem__
        return store

    def restart(self) -> None:
        """Close in order, and open again."""
        kept = self.digests
        self.broken += self.store.poison_count
        self.store.close()
        self.store = self._open()
        self.digests.update(kept)


def run_poison(sets: int, seed: int, say: Callable[[PoisonTotals], None]) -> PoisonTotals:
    """Apply `sets` entries to both.

    Raises:
        AssertionError: the stores differ.

    """
    dice = random.Random(seed)  # noqa: S311 - a test is no secret
    root = Path(tempfile.mkdtemp())
    totals = PoisonTotals()
    try:
        sides = [Side(root / "large", 4 << 20), Side(root / "small", 16 << 10)]
        for index in range(BOOTSTRAP_INDEX + 1, BOOTSTRAP_INDEX + 1 + sets):
            payload = random_payload(dice)
            for side in sides:
                side.store.apply(index, payload, 1)
            totals.sets += 1
            if dice.random() < 1 / (4 * COMPARE_ENTRIES):
                dice.choice(sides).restart()
                totals.restarts += 1
            if index % COMPARE_ENTRIES == 1 and index > COMPARE_ENTRIES:
                _compare(sides, totals)
                say(totals)
        for side in sides:
            side.store.flush()
        assert len({it.store.durable_digest() for it in sides}) == 1, "the stores differ at the end"
        totals.digest = sides[0].store.durable_digest().hex()
        totals.broken = sides[0].broken + sides[0].store.poison_count
        for side in sides:
            side.store.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return totals


def _compare(sides: list[Side], totals: PoisonTotals) -> None:
    for index in sides[0].digests.keys() & sides[1].digests.keys():
        first, second = (side.digests.pop(index) for side in sides)
        assert first == second, f"the stores differ at entry {index}"
        totals.comparisons += 1


@click.command()
@click.option("--sets", default=1_000_000, show_default=True, help="Write sets to apply.")
@click.option("--seed", default=1, show_default=True)
def main(sets: int, seed: int) -> None:
    """Print what was applied; exit code 1 when the stores differed."""

    def say(totals: PoisonTotals) -> None:
        click.echo(f"\r{totals.sets:,} write sets", nl=False, err=True)

    try:
        totals = run_poison(sets, seed, say)
    except AssertionError as error:
        click.echo(f"\n{error}")
        sys.exit(1)
    click.echo(err=True)
    click.echo(f"{totals.sets:,} write sets, {totals.broken:,} broken, equal digests at")
    click.echo(f"{totals.comparisons:,} positions and at the end, {totals.restarts} restarts")
    click.echo(f"digest {totals.digest}: the same under every PYTHONHASHSEED")


if __name__ == "__main__":
    main()
