"""A derived tree of a program that is killed, again and again, wherever it is; nobody else runs."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import roost
from tests.database.said import said_by

ROOT = Path(__file__).parents[2]
KILLS = 4
# Writes, and says how many there were; some are many rows at once.
WRITES = """
import random, sys
import roost
from roost.database import environment
from tests.database.test_derived_kills import fill, letters, rows
environment.LAYER_BYTES_MAX = 3000  # it is made durable again and again
dice = random.Random(int(sys.argv[2]))
with roost.open(sys.argv[1], operations=[rows]) as db:
    tree, made = db.tree("rows", key=int, value=str), db.derived(letters)
    for number in range(10_000):
        if dice.random() < 0.1:
            db.run(fill, dice.randrange(500), 300, dice.choice("abc") * 3)
        elif dice.random() < 0.3:
            first = dice.randrange(800)
            tree.delete_range(first=first, stop=first + dice.randrange(50))
        else:
            tree[dice.randrange(800)] = "".join(dice.choices("abc", k=dice.randrange(4)))
        print(number, flush=True)
"""
rows = roost.Operations("rows")


@rows.operation
def fill(txn: roost.Transaction, first: int, count: int, text: str) -> None:
    """Many rows at once."""
    tree = txn.tree("rows", key=int, value=str)
    for number in range(first, first + count):
        tree[number] = f"{text}{number % 7}"


@roost.derived("ix_letters", source="rows", version=1)
def letters(number: int, text: str) -> Iterator[tuple[tuple[str, int], str]]:
    """Each letter, with all that have it."""
    for it in text:
        yield (it, number), text


@pytest.mark.slow
def test_it_is_what_is_made_of_its_source_after_every_kill(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for seed in range(KILLS):
        program = subprocess.Popen(
            [sys.executable, "-c", WRITES, str(path), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert program.stdout is not None
        for line in program.stdout:
            if int(line) >= 15 + 25 * seed:
                break
        program.send_signal(signal.SIGKILL)
        _, said = program.communicate()
        assert said_by(said) == ""
        with roost.open(path, operations=[rows]) as db:
            made = db.derived(letters)
            made.wait_built()
            expected = {
                (it, number): text
                for number, text in db.tree("rows", key=int, value=str).items()
                for it in text
            }
            assert dict(made.items()) == expected
            if seed % 2:
                continue  # the program begins where another one has closed it, and made it whole
            assert db.drop_derived("ix_letters")
