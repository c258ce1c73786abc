"""An outbox: what is to be sent is written with what it is about, and sent by one of three members.

    python examples/outbox.py m1.data m1 m1=127.0.0.1:9001 m2=127.0.0.1:9002 m3=127.0.0.1:9003

and the same with m2 and m3.  Then lines: `order WHAT`, `wait`, `sent`.  An order and its letter are
one operation, so there is never one without the other.  Whoever leads sends letters, in their
order.  A letter is sent before it is noted that it was: who dies in between has it sent twice, so
it has a number by which a receiver knows it again; that nobody notes after a successor has begun is
what the token is for.
"""

import asyncio
import sys

import roost
import roost.aio
from roost.objects.aio import Leader

TTL_S, LOOK_S = 2.0, 0.05
shop = roost.Operations("shop")


@shop.operation
def order(txn: roost.Transaction, what: str) -> int:
    """Take an order; its number is that of its letter."""
    number = txn.queue("letters", value=str).append(f"thank you for {what}")
    txn.tree("orders", key=int, value=str)[number] = what
    return number


@shop.operation
def note_sent(txn: roost.Transaction, token: int, by: str) -> None:
    """The first letter was sent, by whoever has this token."""
    newest = txn.tree("sender", key=str, value=int)
    if token < newest.get("token", 0):
        raise roost.Refused("another one sends now", code="token")
    newest["token"] = token
    sent = txn.tree("sent", key=int, value=str)
    last = sent.last()
    letter = txn.queue("letters", value=str).take()
    if letter is None:
        raise roost.Refused("there is no letter", code="none")
    sent[0 if last is None else last[0] + 1] = f"{letter}, by {by}"


async def send(letter: str) -> None:
    """Where a program would talk to others."""
    print(f"sending: {letter}", file=sys.stderr, flush=True)


async def send_all(db: roost.aio.Database, leading: Leader, token: int) -> None:
    """Send letters as long as we lead."""
    letters = db.queue("letters", value=str)
    while True:
        leading.check()
        letter = await letters.peek()
        if letter is None:
            await asyncio.sleep(LOOK_S)
            continue
        await send(letter)
        await db.run(note_sent, token, db.name)


async def lead(db: roost.aio.Database) -> None:
    """Stand in line, send, and stand in line again when that ends."""
    while True:
        try:
            async with db.objects.leader("sender", value=db.name, ttl_s=TTL_S) as leading:
                await send_all(db, leading, leading.token)
        except (roost.Refused, roost.NotExecuted, roost.OutcomeUnknown) as error:
            print(f"not any more: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(LOOK_S)


async def carry_out(db: roost.aio.Database, words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["order", *what] if what:
            return f"order {await db.run(order, ' '.join(what))}"
        case ["wait"]:
            return f"{await db.queue('letters', value=str).length()} wait"
        case ["sent"]:
            async with db.view() as view:
                rows = view.tree("sent", key=int, value=str).items()
                return "; ".join([f"{number}: {letter}" async for number, letter in rows])
        case _:
            return "order WHAT | wait | sent"


async def main(path: str, name: str, *members: str) -> None:
    """Be a member, send when it is our turn, and do what lines say."""
    urls = dict(it.split("=", 1) for it in members)
    async with roost.aio.open(path, name=name, members=urls, operations=[shop]) as db:
        sending = asyncio.create_task(lead(db))
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                try:
                    print(await carry_out(db, line.split()), flush=True)
                except (roost.NotExecuted, roost.OutcomeUnknown) as error:
                    print(f"no: {error}", flush=True)
        finally:
            sending.cancel()
            await asyncio.wait([sending])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
