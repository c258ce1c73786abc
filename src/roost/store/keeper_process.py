"""The keeper as a process of its own, both ends of it (D2).

py-lmdb takes and drops the interpreter lock on every call, so a flush beside a busy Python
thread is a hundred times slower than alone, and stalls that thread (decision record 0002).  The
serving process therefore only *reads* LMDB; committed payloads go to the keeper as they are, over
a socket pair, and the keeper answers each flush when it is on disk.

To the keeper, integers big-endian:    u8 kind, u64 index, u32 length, payload
    kind 1  u64 term and the payload of log position `index`, to be merged
         2  flush: everything up to `index` must become durable; the payload is its term, u64
         3  move: copy the environment, without the pages it does not use, to the new directory
            that the payload names, and go on there
From the keeper:                       u8 kind, u64 index, u32 length, text
         3  flushed up to `index`
         4  failed; the text says how; nothing more will come
         5  the text is the digest of the state at `index`, 16 bytes; see `digest`
         6  the disk is full: what was asked for is tried again until there is room
         7  moved: the environment is in the other directory now, with everything up to `index`;
            the text is u64 term
         8  ready: the environment is open; the first answer, unless it is 4
         9  what was asked for is not done yet, and gets on; PROGRESS_S at least lie between two

The keeper ends when the socket closes.  It does not flush then: the journal has everything, and
what LMDB holds is always the state at one index.
"""

import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from roost import children
from roost.store.base import environment
from roost.store.base_reader import BaseReader
from roost.store.crash import crash_signal
from roost.store.engine import Engine
from roost.store.errors import (
    DiskFull,
    PageCorrupt,
    StoreBroken,
    StoreError,
    StoreSuspect,
    ValueCorrupt,
)

if TYPE_CHECKING:
    import asyncio  # the process itself has no use for it

HEAD = Struct(">BQI")
PAYLOAD, FLUSH, MOVE = 1, 2, 3
FLUSHED, FAILED, DIGEST, FULL, MOVED, READY, PROGRESS = 3, 4, 5, 6, 7, 8, 9
PROGRESS_S = 0.5
# What the text of a failure begins with, where its kind matters to who hears of it.
_KINDS: dict[str, type[StoreError]] = {it.__name__: it for it in (PageCorrupt, ValueCorrupt)}
_FULL_RETRY_S = 0.5
_SEND_BYTES = 256 << 10
_BUFFER_BYTES = 4 << 20
_IOV_MAX = 512


class ProcessKeeper:
    """A keeper in a process of its own."""

    def __init__(self, directory: Path) -> None:
        """Start the process; LMDB's environment exists when this returns."""
        self._directory = directory
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        fileno = theirs.fileno()
        self._process = children.start(
            "roost.store", str(directory), str(fileno), pass_fds=[fileno]
        )
        theirs.close()
        self._socket = ours
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._incoming = b""
        self._is_waiting = 0
        self.on_full: Callable[[], None] = lambda: None
        self.on_progress: Callable[[], None] = lambda: None
        self.on_moved: Callable[[int, int], None] = lambda _index, _term: None
        self.on_digest: Callable[[int, bytes], None] = lambda _index, _digest: None
        self.on_flushed: Callable[[int], None] = lambda _index: None
        self.on_failed: Callable[[StoreError], None] = lambda _error: None
        try:
            self._wait_ready()
        except StoreError:
            self.close()
            raise
        ours.setblocking(False)

    def _wait_ready(self) -> None:
        """Hear that the environment is open.

        Raises:
            StoreError: it is not; the class says what that means.

        """
        head = self._socket.recv(HEAD.size, socket.MSG_WAITALL)
        if len(head) < HEAD.size:
            raise self._why_it_ended()
        kind, _, length = HEAD.unpack(head)
        if kind != READY:
            raise _failure(self._socket.recv(length, socket.MSG_WAITALL))

    def _why_it_fails(self, error: OSError) -> StoreError:
        """What an error of the socket says."""
        if isinstance(error, BrokenPipeError | ConnectionResetError):
            return self._why_it_ended()
        return StoreBroken(f"the keeper failed: its socket: {error}")

    def _why_it_ended(self) -> StoreError:
        """The socket has closed: what the process's end says."""
        code = self._process.wait()
        if number := crash_signal(code):
            return StoreSuspect(f"the keeper was ended by signal {number}")
        return StoreBroken(f"the keeper ended: exit code {code}")

    def reader(self) -> BaseReader:
        """Open the environment that the process writes, for reading only."""
        return BaseReader(environment(self._directory, is_writer=False))

    @property
    def process_id(self) -> int:
        """The keeper's process."""
        return self._process.pid

    def fileno(self) -> int:
        """Readable when an answer has come."""
        return self._socket.fileno()

    def add(self, index: int, term: int, payload: bytes) -> None:
        """Queue a payload; it leaves with others."""
        head = HEAD.pack(PAYLOAD, index, 8 + len(payload)) + term.to_bytes(8, "big")
        self._outgoing.append(head)
        self._outgoing.append(payload)
        self._outgoing_bytes += len(payload) + len(head)
        if self._outgoing_bytes > _SEND_BYTES:
            self.send_queued()

    def flush(self, index: int, term: int) -> None:
        """Queue a flush, and hand over as much as the socket takes."""
        self._is_waiting += 1
        self._outgoing.append(HEAD.pack(FLUSH, index, 8) + term.to_bytes(8, "big"))
        self._outgoing_bytes += HEAD.size + 8
        self.send_queued()

    def move(self, directory: Path) -> None:
        """Queue a move."""
        self._is_waiting += 1
        self._directory = directory
        name = os.fsencode(directory)
        self._outgoing.append(HEAD.pack(MOVE, 0, len(name)) + name)
        self._outgoing_bytes += HEAD.size + len(name)
        self.send_queued()

    def moved_reader(self) -> BaseReader:
        """Open what was moved to, for reading only."""
        return self.reader()

    def send_queued(self) -> None:
        """Send what is queued, as far as the socket takes it without waiting."""
        queue = self._outgoing
        while queue:
            buffers = [queue[position] for position in range(min(len(queue), _IOV_MAX))]
            try:
                sent = self._socket.sendmsg(buffers)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(self._why_it_fails(error))
                return
            self._outgoing_bytes -= sent
            while sent:
                if sent >= len(queue[0]):
                    sent -= len(queue.popleft())
                else:
                    queue[0] = queue[0][sent:]
                    sent = 0
            while queue and not queue[0]:
                queue.popleft()

    def watch(self, loop: "asyncio.AbstractEventLoop", on_news: Callable[[], None]) -> None:
        """Take answers as they come, and call `on_news` after them."""

        def on_readable() -> None:
            try:
                self.on_readable()
            except StoreError as error:
                # What was written cannot be read here, and what we read is old from now on.
                self._fail(error)
            else:
                on_news()

        loop.add_reader(self.fileno(), on_readable)

    def unwatch(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Stop that."""
        loop.remove_reader(self.fileno())

    def on_readable(self) -> None:
        """Take the answers that have come."""
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(self._why_it_fails(error))
            return
        if not data:
            self._fail(self._why_it_ended())
            return
        self._incoming += data
        while len(self._incoming) >= HEAD.size:
            kind, index, length = HEAD.unpack_from(self._incoming)
            if len(self._incoming) < HEAD.size + length:
                return
            text = self._incoming[HEAD.size : HEAD.size + length]
            self._incoming = self._incoming[HEAD.size + length :]
            if kind == FLUSHED:
                self._is_waiting -= 1
                self.on_flushed(index)
            elif kind == DIGEST:
                self.on_digest(index, text)
            elif kind == FULL:
                self.on_full()
            elif kind == PROGRESS:
                self.on_progress()
            elif kind == MOVED:
                self._is_waiting -= 1
                self.on_moved(index, int.from_bytes(text, "big"))
            else:
                self._fail(_failure(text))

    def _fail(self, error: StoreError) -> None:
        self._is_waiting = 0
        self._outgoing.clear()
        self.on_failed(error)

    def wait(self, within_s: float | None = None) -> bool:
        """Block until all that was asked for is answered; False when it is not within that time."""
        deadline = None if within_s is None else time.monotonic() + within_s
        poller = select.poll()
        while self._is_waiting:
            left_ms = None if deadline is None else 1000 * (deadline - time.monotonic())
            if left_ms is not None and left_ms <= 0:
                return False
            self.send_queued()
            wanted = select.POLLIN | select.POLLOUT if self._outgoing else select.POLLIN
            poller.register(self._socket, wanted)
            poller.poll(left_ms)
            self.on_readable()
        return True

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        children.end(self._process)


def _failure(text: bytes) -> StoreError:
    """What a keeper that failed says of itself."""
    said = text.decode(errors="replace")
    kind = _KINDS.get(said.partition(":")[0], StoreBroken)
    return kind(f"the keeper failed: {said}")


def _say_failure(end: socket.socket, index: int, error: BaseException) -> None:
    text = f"{type(error).__name__}: {error}".encode()[:4096]
    end.sendall(HEAD.pack(FAILED, index, len(text)) + text)


def serve(directory: Path, end: socket.socket) -> None:
    """Be the keeper until the other side closes."""
    try:
        engine = Engine(directory)
    except StoreError as error:
        _say_failure(end, 0, error)
        return

    def say_digest(index: int, total: bytes) -> None:
        end.sendall(HEAD.pack(DIGEST, index, len(total)) + total)

    said_s = time.monotonic()

    def say_progress() -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if now_s - said_s >= PROGRESS_S:
            said_s = now_s
            end.sendall(HEAD.pack(PROGRESS, 0, 0))

    engine.on_digest = say_digest
    engine.hear_progress(say_progress)
    end.sendall(HEAD.pack(READY, 0, 0))
    incoming = end.makefile("rb", buffering=_SEND_BYTES)
    while len(head := incoming.read(HEAD.size)) == HEAD.size:
        kind, index, length = HEAD.unpack(head)
        payload = incoming.read(length)
        if len(payload) < length:
            return
        try:
            while not _carry_out(engine, end, kind, index, payload):
                end.sendall(HEAD.pack(FULL, index, 0))
                time.sleep(_FULL_RETRY_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the serving side must know
            _say_failure(end, index, error)
            return
    engine.close()


def _carry_out(engine: Engine, end: socket.socket, kind: int, index: int, payload: bytes) -> bool:
    """Do one thing and answer; False when there is no room for it (J38)."""
    try:
        if kind == PAYLOAD:
            engine.add(index, int.from_bytes(payload[:8], "big"), payload[8:])
        elif kind == FLUSH:
            engine.flush(index, int.from_bytes(payload, "big"))
            end.sendall(HEAD.pack(FLUSHED, index, 0))
        else:
            moved, term = engine.move(Path(os.fsdecode(payload)))
            end.sendall(HEAD.pack(MOVED, moved, 8) + term.to_bytes(8, "big"))
    except DiskFull:
        return False
    return True


def main() -> None:
    """Entry point of the process: directory and socket are the arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the server
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we end when the server closes the socket
    os.umask(0o077)
    with socket.socket(fileno=int(sys.argv[2])) as end:
        try:
            serve(Path(sys.argv[1]), end)
        except (BrokenPipeError, ConnectionResetError):
            return  # the server ended while we answered
