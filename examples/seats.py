"""Seats of a hall: held for a while, then paid for or free again; never sold twice.

    python examples/seats.py data

Then lines: `hold SEAT WHO SECONDS`, `pay SEAT WHO`, `free`, `sold`.  A seat that is held and not
paid for in time is anybody's again: whoever holds it next looks at the time, where the cluster
leads, so nothing has to run for it.
"""

import sys
import time
from collections.abc import Iterable

import msgspec

import roost

ROWS, NUMBERS = "AB", range(1, 4)
hall = roost.Operations("hall")


class Seat(msgspec.Struct):
    """Who has it, and until when, in seconds since 1970; paid for, it is for ever."""

    who: str
    until_s: float
    is_paid: bool = False


def is_free(seat: Seat | None, now_s: float) -> bool:
    """Whether somebody may hold it."""
    return seat is None or not (seat.is_paid or seat.until_s > now_s)


@hall.operation
def hold(txn: roost.Transaction, name: tuple[str, int], who: str, seconds: float) -> None:
    """Hold a seat, or hold it for longer."""
    if name[0] not in ROWS or name[1] not in NUMBERS:
        raise roost.Refused(f"there is no seat {name[0]}{name[1]}", code="unknown")
    seats, now_s = txn.tree("seats", key=tuple[str, int], value=Seat), time.time()
    held = seats.get(name)
    if not is_free(held, now_s) and (held is None or held.is_paid or held.who != who):
        raise roost.Refused("somebody has it", code="taken")
    seats[name] = Seat(who, now_s + seconds)


@hall.operation
def pay(txn: roost.Transaction, name: tuple[str, int], who: str) -> None:
    """Buy a seat that is held."""
    seats = txn.tree("seats", key=tuple[str, int], value=Seat)
    held = seats.get(name)
    if held is None or held.who != who or is_free(held, time.time()):
        raise roost.Refused("it is not held for you", code="not held")
    seats[name] = Seat(who, held.until_s, is_paid=True)


def name_of(text: str) -> tuple[str, int]:
    """A seat as people write it."""
    return text[:1], int(text[1:])


def shown(names: Iterable[tuple[str, int]]) -> str:
    """Seats, for people."""
    return " ".join(f"{row}{number}" for row, number in names)


def carry_out(db: roost.Database, words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["hold", seat, who, seconds]:
            db.run(hold, name_of(seat), who, float(seconds))
            return "held"
        case ["pay", seat, who]:
            db.run(pay, name_of(seat), who)
            return "sold"
        case ["free"]:
            with db.view() as view:
                held = dict(view.tree("seats", key=tuple[str, int], value=Seat).items())
            every = [(row, number) for row in ROWS for number in NUMBERS]
            return shown(it for it in every if is_free(held.get(it), time.time()))
        case ["sold"]:
            with db.view() as view:
                rows = view.tree("seats", key=tuple[str, int], value=Seat).items()
                return shown(name for name, seat in rows if seat.is_paid)
        case _:
            return "hold SEAT WHO SECONDS | pay SEAT WHO | free | sold"


def main(path: str) -> None:
    """Open the database, and do what lines say."""
    with roost.open(path, operations=[hall]) as db:
        for line in sys.stdin:
            try:
                print(carry_out(db, line.split()), flush=True)
            except roost.Refused as refused:
                print(f"no: {refused}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
