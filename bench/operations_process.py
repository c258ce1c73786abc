"""Callers that wait for their answers, in a process that is told what to do by lines.

    python -m bench.operations_process await|threads DIRECTORY SELF PEER...
    python -m bench.operations_process txn PORT

The first is a member of Roost whose own program calls `db.run`, by tasks on its loop or by threads.
The second is a client of etcd: a transaction that gets a key and puts it, by tasks over one channel
of grpcio's.  `leads` prints `yes` or `no`; `run CALLERS COUNT` has CALLERS make COUNT calls, each
for a key of its own, and prints calls a second.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import grpc.aio
import uvloop

import roost
import roost.aio
from bench.calls import TXN, VALUE
from roost.proto import rpc_pb2

bench = roost.Operations("bench")
TIMEOUT_S = 60.0


@bench.operation
def put(txn: roost.Transaction, caller: int, value: bytes) -> bytes | None:
    """What was there before; one row is read, and written."""
    tree = txn.tree("values", key=int)
    before = tree.get(caller)
    tree[caller] = value
    return before


async def rate_of_tasks(
    call: Callable[[int], Awaitable[object]], callers: int, count: int
) -> float:
    """Calls a second, by tasks that wait for their answers."""
    left = count

    async def calls(caller: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call(caller)

    begun_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for caller in range(min(callers, count)):
            group.create_task(calls(caller))
    return count / (time.perf_counter() - begun_s)


def rate_of_threads(call: Callable[[int], object], callers: int, count: int) -> float:
    """The same by threads, all of which are there before the first call."""
    each = max(1, count // callers)
    ready = threading.Barrier(callers + 1)
    failed: list[Exception] = []

    def calls(caller: int) -> None:
        ready.wait()
        try:
            for _ in range(each):
                call(caller)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised below
            failed.append(error)

    threads = [threading.Thread(target=calls, args=(it,)) for it in range(callers)]
    for it in threads:
        it.start()
    ready.wait()
    begun_s = time.perf_counter()
    for it in threads:
        it.join()
    took_s = time.perf_counter() - begun_s
    if failed:
        raise failed[0]
    return each * callers / took_s


async def follow(
    call: Callable[[int], Awaitable[object]], leads: Callable[[], Awaitable[bool]]
) -> None:
    """Do what lines say until there are none."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["leads"]:
                print("yes" if await leads() else "no", flush=True)
            case ["run", callers, count]:
                print(await rate_of_tasks(call, int(callers), int(count)), flush=True)
            case _:
                raise ValueError(f"unknown command {line!r}")


async def by_tasks(directory: str, own: str, *peers: str) -> None:
    """A member whose program awaits."""
    members = {it: it for it in (own, *peers)}
    async with roost.aio.open(directory, name=own, members=members, operations=[bench]) as db:

        async def leads() -> bool:
            return (await db.status()).is_leader

        await follow(lambda caller: db.run(put, caller, VALUE), leads)


def by_threads(directory: str, own: str, *peers: str) -> None:
    """A member whose program has threads."""
    members = {it: it for it in (own, *peers)}
    with roost.open(directory, name=own, members=members, operations=[bench]) as db:
        for line in sys.stdin:
            match line.split():
                case ["leads"]:
                    print("yes" if db.status().is_leader else "no", flush=True)
                case ["run", callers, count]:
                    done = rate_of_threads(
                        lambda caller: db.run(put, caller, VALUE), int(callers), int(count)
                    )
                    print(done, flush=True)
                case _:
                    raise ValueError(f"unknown command {line!r}")


async def by_grpc(port: str) -> None:
    """A client of etcd."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(
            TXN,
            request_serializer=rpc_pb2.TxnRequest.SerializeToString,
            response_deserializer=rpc_pb2.TxnResponse.FromString,
        )

        async def call(caller: int) -> None:
            key = b"caller%d" % caller
            got = rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key))
            said = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=VALUE))
            request = rpc_pb2.TxnRequest(success=[got, said])
            answer = await method(request, timeout=TIMEOUT_S, wait_for_ready=True)
            assert answer.succeeded, "it compares nothing"

        async def leads() -> bool:
            return False  # it is no member

        await follow(call, leads)


def main() -> None:
    """Follow what is said on standard input until it ends."""
    how, *given = sys.argv[1:]
    match how:
        case "await":
            uvloop.run(by_tasks(*given))
        case "threads":
            by_threads(*given)
        case "txn":
            uvloop.run(by_grpc(*given))
        case _:
            raise ValueError(f"unknown way {how!r}")


if __name__ == "__main__":
    main()
