"""A bank whose accounts are the same on every machine, inside the program that uses them.

    python examples/bank.py data                                      alone
    python examples/bank.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/bank.py m2.data m2 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/bank.py m3.data m3 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003

Then lines: `open NAME AMOUNT`, `move FROM TO AMOUNT [KEY]`, `show`.  Any member takes any of them;
a majority is enough.  A move with a key of its own can be asked again until it is known to be done:
it happens once, whichever member or network failed meanwhile.
"""

import sys

import roost

bank = roost.Operations("bank")


@bank.operation
def open_account(txn: roost.Transaction, name: str, amount: int) -> None:
    """Begin an account with some money."""
    held = txn.tree("accounts", key=str, value=int)
    if name in held:
        raise roost.Refused(f"{name} has an account already", code="taken")
    held[name] = amount


@bank.operation
def move(txn: roost.Transaction, source: str, target: str, amount: int) -> int:
    """Move money; what is left at the source."""
    held = txn.tree("accounts", key=str, value=int)
    for name in (source, target):
        if name not in held:
            raise roost.Refused(f"{name} has no account", code="unknown")
    if amount <= 0 or held[source] < amount:
        raise roost.Refused("not enough money", code="funds")
    held[source] -= amount
    held[target] += amount
    return held[source]


def balances(db: roost.Database) -> dict[str, int]:
    """All accounts, as of one moment."""
    with db.view() as view:
        return dict(view.tree("accounts", key=str, value=int).items())


def move_surely(db: roost.Database, source: str, target: str, amount: int, key: str) -> int:
    """Move money once, and do not give up before it is known."""
    while True:
        try:
            return db.run(move, source, target, amount, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown) as error:
            print(f"asking again: {error}", file=sys.stderr)


def carry_out(db: roost.Database, words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["open", name, amount]:
            db.run(open_account, name, int(amount))
            return f"{name} has {amount}"
        case ["move", source, target, amount]:
            return f"{source} has {db.run(move, source, target, int(amount))}"
        case ["move", source, target, amount, key]:
            return f"{source} has {move_surely(db, source, target, int(amount), key)}"
        case ["show"]:
            return " ".join(f"{name}={amount}" for name, amount in balances(db).items())
        case _:
            return "open NAME AMOUNT | move FROM TO AMOUNT [KEY] | show"


def main(path: str, name: str = "default", *members: str) -> None:
    """Open the member, and do what the lines of standard input say."""
    cluster = dict(it.split("=", 1) for it in members) or None
    with roost.open(path, name=name, members=cluster, operations=[bank]) as db:
        for line in sys.stdin:
            try:
                print(carry_out(db, line.split()), flush=True)
            except (roost.Refused, roost.NotExecuted, roost.OutcomeUnknown, ValueError) as error:
                print(f"no: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
