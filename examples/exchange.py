"""An exchange: orders to buy and to sell meet by price, then by time, on three members.

    python examples/exchange.py m1.data m1 m1=127.0.0.1:9001 m2=127.0.0.1:9002 m3=127.0.0.1:9003

and the same with m2 and m3.  Then lines: `buy WHO COUNT PRICE`, `sell WHO COUNT PRICE`, `book`,
`trades`.  Who comes first at the best price is found at once in heaps, which no rows of a tree are;
so this is a machine: each member has the book in memory, and keeps it by the same commands.
"""

import heapq
import sys
from typing import BinaryIO

import msgspec

import roost
from roost.objects import MachineHandle


class Order(msgspec.Struct, array_like=True, order=True):
    """What somebody wants; `rank` is the price as a heap sorts it, `at` when it came."""

    rank: int
    at: int
    who: str
    left: int


class Trade(msgspec.Struct, array_like=True):
    """What came of two."""

    buyer: str
    seller: str
    count: int
    price: int


class Book(msgspec.Struct):
    """All of it, as it is saved."""

    buys: list[Order]
    sells: list[Order]
    trades: list[Trade]


class Exchange(roost.Machine):
    """Two heaps; the best of each is first."""

    def __init__(self) -> None:
        """Nobody wants anything."""
        self.book = Book([], [], [])

    @roost.command
    def order(
        self, context: roost.Context, side: str, who: str, count: int, price: int
    ) -> list[Trade]:
        """Buy or sell what others offer at this price or a better one; what is left waits."""
        book, is_buy = self.book, side == "buy"
        ours, theirs = (book.buys, book.sells) if is_buy else (book.sells, book.buys)
        done = []
        while (
            count and theirs and (theirs[0].rank <= price if is_buy else -theirs[0].rank >= price)
        ):
            best = theirs[0]
            traded = min(count, best.left)
            pair = (who, best.who) if is_buy else (best.who, who)
            done.append(Trade(*pair, traded, abs(best.rank)))
            count -= traded
            best.left -= traded
            if not best.left:
                heapq.heappop(theirs)
        if count:
            heapq.heappush(ours, Order(-price if is_buy else price, context.index, who, count))
        book.trades += done
        return done

    def validate_order(
        self, context: roost.Context, side: str, who: str, count: int, price: int
    ) -> None:
        """What is no order is not written."""
        del context, who
        if side not in ("buy", "sell") or count <= 0 or price <= 0:
            raise roost.Refused("an order has a count and a price", code="order")

    @roost.query
    def offers(self) -> list[str]:
        """The book, the best first."""
        buys = [f"{it.who} buys {it.left} at {-it.rank}" for it in sorted(self.book.buys)]
        return buys + [f"{it.who} sells {it.left} at {it.rank}" for it in sorted(self.book.sells)]

    @roost.query
    def trades(self) -> list[str]:
        """What was traded."""
        return [
            f"{it.count} at {it.price} from {it.seller} to {it.buyer}" for it in self.book.trades
        ]

    def fingerprint(self) -> int:
        """How much is offered, which no result shows."""
        return sum(it.left for it in self.book.buys + self.book.sells)

    def save(self, out: BinaryIO) -> None:
        """All of it."""
        out.write(msgspec.msgpack.encode(self.book))

    def load(self, source: BinaryIO) -> None:
        """The same way; a list that was a heap is one."""
        self.book = msgspec.msgpack.decode(source.read(), type=Book)


def carry_out(market: MachineHandle[Exchange], words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["buy" | "sell" as side, who, count, price]:
            done = market.run(Exchange.order, side, who, int(count), int(price))
            return f"{sum(it.count for it in done)} of {count} at once"
        case ["book"]:
            return "; ".join(market.ask(Exchange.offers)) or "nobody wants anything"
        case ["trades"]:
            return "; ".join(market.ask(Exchange.trades)) or "nothing was traded"
        case _:
            return "buy WHO COUNT PRICE | sell WHO COUNT PRICE | book | trades"


def main(path: str, name: str, *members: str) -> None:
    """Be a member, and do what lines say."""
    urls = dict(it.split("=", 1) for it in members)
    with roost.open(path, name=name, members=urls) as db:
        market = db.machine("market", Exchange)
        for line in sys.stdin:
            try:
                print(carry_out(market, line.split()), flush=True)
            except (roost.Refused, roost.NotExecuted, roost.OutcomeUnknown) as error:
                print(f"no: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
