"""One member whose program puts into a replicated dictionary, as `pysyncobj_member` does.

    python -m bench.objects_member DIRECTORY SELF PEER...

`leads` prints `yes` or `no`; `put CLIENTS COUNT` keeps CLIENTS puts of 100-byte values on their way
until COUNT were answered and prints puts a second.  The callers live in the member, whose journal
is synced before a put is answered, on a majority.
"""

import asyncio
import sys
import time

import uvloop

import roost.aio
from roost.objects.aio import Dict

VALUE = b"v" * 100


async def put(things: "Dict[bytes, bytes]", clients: int, count: int) -> float:
    """Puts a second, by `clients` callers that wait for their answers."""
    left = count

    async def call() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await things.put(b"key", VALUE)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(clients, count)):
            group.create_task(call())
    return count / (time.perf_counter() - begin)


async def main() -> None:
    """Serve until standard input ends."""
    directory, own, *peers = sys.argv[1:]
    members = {it: it for it in (own, *peers)}
    async with roost.aio.open(directory, name=own, members=members) as db:
        things = db.objects.dict("things")
        while line := await asyncio.to_thread(sys.stdin.readline):
            match line.split():
                case ["leads"]:
                    answer = "yes" if (await db.status()).is_leader else "no"
                case ["put", clients, count]:
                    answer = str(await put(things, int(clients), int(count)))
                case _:
                    raise ValueError(f"unknown command {line!r}")
            print(answer, flush=True)


if __name__ == "__main__":
    uvloop.run(main())
