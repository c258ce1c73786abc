"""`python -m roost.testing.pressure.bystander ENDPOINT…`: the other client, a process of its own.

It puts steadily, one put every PACE_S and one after another, to the first endpoint, and goes on to
the next when one fails; a put counts from its beginning until it is acknowledged, however often it
is tried.  Readers beside it read the same key from every member, linearizably, and a history of
both is judged part by part, so that it may run for hours.

It prints a line for each put (`put BEGAN TOOK ERRORS`) and each part (`judged OPERATIONS VERDICT`).
An end of file on its input ends it, after the last part.
"""

import sys
import threading
import time
from dataclasses import dataclass, field
from math import inf

import grpc

from roost.proto import rpc_pb2
from roost.sim.linearizability import Operation, check_register

PACE_S = 0.01
READ_PACE_S = 0.02
CALL_TIMEOUT_S = 10.0
# Operations of one part of the history, which has a key of its own.
PART_OPERATIONS = 400
_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


@dataclass(slots=True)
class Part:
    """A key, and what was done with it; judged when it is closed and nobody is busy with it."""

    key: bytes
    operations: list[Operation] = field(default_factory=list)
    busy_count: int = 0
    is_closed: bool = False


class History:
    """Parts, of which one is open."""

    def __init__(self, *, is_kept: bool) -> None:
        """Begin with the first; a history that is not kept is not judged."""
        self._is_kept = is_kept
        self._lock = threading.Lock()
        self._name = b"beside-%d" % time.monotonic_ns()
        self._number = 0
        self._open = Part(self._name + b"-0")
        self._closed: list[Part] = []

    def enter(self) -> Part:
        """Begin an operation on the open part's key."""
        with self._lock:
            if len(self._open.operations) >= PART_OPERATIONS:
                self._number += 1
                self._close()
            self._open.busy_count += 1
            return self._open

    def _close(self) -> None:
        self._open.is_closed = True
        self._closed.append(self._open)
        self._open = Part(b"%s-%d" % (self._name, self._number))

    def leave(self, part: Part, done: Operation | None) -> None:
        """End an operation; a read that failed tells nothing."""
        with self._lock:
            part.busy_count -= 1
            if done is not None and self._is_kept:
                part.operations.append(done)

    def judge(self, *, is_over: bool = False) -> None:
        """Judge what is closed and quiet, and forget it."""
        with self._lock:
            if is_over:
                self._close()
            ready = [it for it in self._closed if not it.busy_count or is_over]
            self._closed = [it for it in self._closed if it not in ready]
        for part in ready if self._is_kept else ():
            verdict = check_register(part.operations)
            print(f"judged {len(part.operations)} {verdict.name}", flush=True)


class _Stubs:
    """Calls to one member."""

    def __init__(self, endpoint: str) -> None:
        channel = grpc.insecure_channel(endpoint, options=_OPTIONS)
        self.put = channel.unary_unary(
            "/etcdserverpb.KV/Put",
            request_serializer=rpc_pb2.PutRequest.SerializeToString,
            response_deserializer=rpc_pb2.PutResponse.FromString,
        )
        self.range = channel.unary_unary(
            "/etcdserverpb.KV/Range",
            request_serializer=rpc_pb2.RangeRequest.SerializeToString,
            response_deserializer=rpc_pb2.RangeResponse.FromString,
        )


class Bystander:
    """Puts, reads and judges until it is told to stop."""

    def __init__(self, endpoints: list[str], *, judges: bool) -> None:
        """Nothing is sent yet."""
        self._members = [_Stubs(it) for it in endpoints]
        self._history = History(is_kept=judges)
        self._judges = judges
        self.over = threading.Event()

    def run(self) -> None:
        """Put, with readers beside it."""
        readers = [
            threading.Thread(target=self._read, args=(it,))
            for it in (self._members if self._judges else ())
        ]
        for it in readers:
            it.start()
        number, pause_s = 0, 0.0
        while not self.over.wait(pause_s):
            number += 1
            began_s = time.monotonic()
            self._put(number, began_s)
            self._history.judge()
            pause_s = max(0.0, began_s + PACE_S - time.monotonic())
        for it in readers:
            it.join()
        self._history.judge(is_over=True)

    def _put(self, number: int, began_s: float) -> None:
        """Put until it is acknowledged; each try is an operation of its own."""
        errors = 0
        while not self._try(b"%d-%d" % (number, errors), errors):
            errors += 1
            if self.over.wait(PACE_S):  # a member that refuses must not be hammered
                break
        print(f"put {began_s:.6f} {time.monotonic() - began_s:.6f} {errors}", flush=True)

    def _try(self, value: bytes, errors: int) -> bool:
        part, called_s, returned_s = self._history.enter(), time.monotonic(), inf
        put = self._members[errors % len(self._members)].put
        try:
            put(rpc_pb2.PutRequest(key=part.key, value=value), timeout=CALL_TIMEOUT_S)
            returned_s = time.monotonic()
        except grpc.RpcError:
            pass  # whether it was put is not known: it never returned
        done = Operation(part.key, "write", value, None, called_s, returned_s)
        self._history.leave(part, done)
        return returned_s != inf

    def _read(self, stubs: _Stubs) -> None:
        while not self.over.wait(READ_PACE_S):
            part = self._history.enter()
            called_s, done = time.monotonic(), None
            try:
                answer = stubs.range(rpc_pb2.RangeRequest(key=part.key), timeout=CALL_TIMEOUT_S)
                value = answer.kvs[0].value if answer.kvs else None
                done = Operation(part.key, "read", None, value, called_s, time.monotonic())
            except grpc.RpcError:
                pass  # whether it was read is not known, so it tells nothing
            finally:
                self._history.leave(part, done)


def main() -> None:
    """Run until nobody writes to our input any more."""
    judges = "--judge" in sys.argv
    bystander = Bystander([it for it in sys.argv[1:] if it != "--judge"], judges=judges)

    def wait_end() -> None:
        sys.stdin.read()
        bystander.over.set()

    threading.Thread(target=wait_end, daemon=True).start()
    bystander.run()


if __name__ == "__main__":
    main()
