"""The keeper as a process: what is said over its socket, cut anywhere, and how either end ends."""

import asyncio
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import pytest

from roost import children
from roost.store import (
    DiskFull,
    PageCorrupt,
    ProcessKeeper,
    StoreBroken,
    StoreError,
    StoreSuspect,
    ValueCorrupt,
    encode_put,
    keeper_process,
)
from roost.store.engine import Engine
from roost.store.keeper_process import (
    DIGEST,
    FAILED,
    FLUSH,
    FLUSHED,
    FULL,
    HEAD,
    MOVE,
    MOVED,
    PAYLOAD,
    PROGRESS,
    READY,
    serve,
)

TREE = 7
TERM = Struct(">Q")


@dataclass(frozen=True)
class Frame:
    """One thing that either end says."""

    kind: int
    index: int = 0
    body: bytes = b""

    def encode(self) -> bytes:
        return HEAD.pack(self.kind, self.index, len(self.body)) + self.body


def decode(data: bytes) -> list[Frame]:
    found, offset = [], 0
    while offset < len(data):
        kind, index, length = HEAD.unpack_from(data, offset)
        offset += HEAD.size
        found.append(Frame(kind, index, data[offset : offset + length]))
        assert len(found[-1].body) == length, "an answer is whole"
        offset += length
    return found


def put(index: int) -> Frame:
    return Frame(PAYLOAD, index, TERM.pack(1) + encode_put(TREE, b"key", b"%d" % index))


def flush(index: int) -> Frame:
    return Frame(FLUSH, index, TERM.pack(1))


def served(directory: Path, told: bytes) -> list[Frame]:
    """Be the keeper of somebody who says that and closes; what it is answered."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(told)
        ours.shutdown(socket.SHUT_WR)
        with theirs:
            serve(directory, theirs)
        answers = b""
        while data := ours.recv(65_536):
            answers += data
    return decode(answers)


def said(*frames: Frame) -> bytes:
    return b"".join(it.encode() for it in frames)


def applied(directory: Path) -> tuple[int, int]:
    engine = Engine(directory)
    try:
        return engine.writer.applied()
    finally:
        engine.close()


def test_each_flush_is_answered_in_order_when_it_is_durable(tmp_path: Path) -> None:
    told = said(put(1), flush(1), put(2), put(3), flush(3))
    assert served(tmp_path, told) == [Frame(READY), Frame(FLUSHED, 1), Frame(FLUSHED, 3)]
    assert applied(tmp_path) == (3, 1)


def test_a_digest_is_told_before_the_flush_that_brought_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hears of the flush may compare at once."""
    made = Engine.__init__
    monkeypatch.setattr(
        Engine, "__init__", lambda self, directory: made(self, directory, digest_entries=2)
    )
    answers = served(tmp_path, said(put(1), put(2), flush(2)))
    assert [(it.kind, it.index, len(it.body)) for it in answers] == [
        (READY, 0, 0), (DIGEST, 2, 16), (FLUSHED, 2, 0),
    ]  # fmt: skip


def test_what_was_not_flushed_is_lost_with_the_keeper(tmp_path: Path) -> None:
    """The journal has it; what LMDB holds is the state at one position."""
    assert served(tmp_path, said(put(1), flush(1), put(2))) == [Frame(READY), Frame(FLUSHED, 1)]
    assert applied(tmp_path) == (1, 1)


def test_words_that_break_off_are_no_words(tmp_path: Path) -> None:
    """The serving process was killed while it sent: each beginning is all that was whole."""
    told = said(put(1), flush(1), put(2), flush(2))
    ends = list(itertools.accumulate(len(it.encode()) for it in (put(1), flush(1), put(2))))
    for number, cut in enumerate(range(ends[1], len(told), 7)):
        directory = tmp_path / str(number)
        directory.mkdir()
        assert served(directory, told[:cut]) == [Frame(READY), Frame(FLUSHED, 1)]
        assert applied(directory) == (1, 1)


def test_a_failure_is_said_with_its_kind_and_is_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PageCorrupt("a page")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "flush", fail)
        told = said(put(1), flush(1), flush(2))
        assert served(tmp_path, told) == [Frame(READY), Frame(FAILED, 1, b"PageCorrupt: a page")]
    malformed = served(tmp_path, said(Frame(PAYLOAD, 1, TERM.pack(1) + b"\xff"), flush(1)))
    assert [it.kind for it in malformed] == [READY, FAILED]


def test_an_environment_that_cannot_be_opened_is_said_instead_of_ready(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no pages of LMDB's" * 1000)
    [failed] = served(tmp_path, b"")
    assert failed.kind == FAILED
    assert failed.body.startswith(b"PageCorrupt: ")


def test_where_there_is_no_room_that_is_said_and_the_same_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J38: nothing is answered twice, and nothing is left out."""
    flush_now, failures = Engine.flush, [DiskFull("no room"), DiskFull("no room")]

    def full(self: Engine, index: int, term: int) -> None:
        if failures:
            raise failures.pop()
        flush_now(self, index, term)

    monkeypatch.setattr(Engine, "flush", full)
    monkeypatch.setattr(keeper_process, "_FULL_RETRY_S", 0)
    answers = served(tmp_path, said(put(1), flush(1), put(2), flush(2)))
    full_twice = [Frame(FULL, 1), Frame(FULL, 1)]
    assert answers == [Frame(READY), *full_twice, Frame(FLUSHED, 1), Frame(FLUSHED, 2)]
    assert applied(tmp_path) == (2, 1)


def test_a_flush_that_takes_its_time_says_now_and_then_that_it_gets_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush_now, now_s = Engine.flush, itertools.count()

    def long(self: Engine, index: int, term: int) -> None:
        for _ in range(30):
            self.writer.on_progress()
        flush_now(self, index, term)

    monkeypatch.setattr(Engine, "flush", long)
    monkeypatch.setattr(keeper_process, "PROGRESS_S", 10)
    monkeypatch.setattr("roost.store.keeper_process.time.monotonic", lambda: next(now_s))
    answers = served(tmp_path, said(put(1), flush(1)))
    assert answers == [Frame(READY), *[Frame(PROGRESS)] * 3, Frame(FLUSHED, 1)]


def test_a_move_is_answered_with_what_is_there(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    told = said(put(5), flush(5), Frame(MOVE, 0, os.fsencode(new)), put(6), flush(6))
    assert served(old, told)[2:] == [Frame(MOVED, 5, TERM.pack(1)), Frame(FLUSHED, 6)]
    assert (applied(old), applied(new)) == ((5, 1), (6, 1))


class Process:
    """What is left of a process when a test plays it."""

    pid = 1
    code = 0

    def wait(self, _within_s: float | None = None) -> int:
        return self.code

    def kill(self) -> None:
        """It is gone already."""


class Played:
    """The serving end, and a test that plays the process."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch, first: Frame) -> None:
        self.process = Process()

        def start(module: str, path: str, fileno: str, *, pass_fds: list[int]) -> Process:
            assert (module, path, pass_fds) == ("roost.store", str(directory), [int(fileno)])
            self.end = socket.socket(fileno=os.dup(int(fileno)))
            self.end.sendall(first.encode())
            return self.process

        patch.setattr(children, "start", start)
        self.news: list[object] = []
        self.keeper = keeper = ProcessKeeper(directory)
        keeper.on_flushed = lambda index: self.news.append(("flushed", index))
        keeper.on_digest = lambda index, total: self.news.append(("digest", index, total))
        keeper.on_full = lambda: self.news.append("full")
        keeper.on_progress = lambda: self.news.append("gets on")
        keeper.on_moved = lambda index, term: self.news.append(("moved", index, term))
        keeper.on_failed = self.news.append

    def heard(self) -> list[Frame]:
        """All that the process was told by now."""
        parts = []
        while select.select([self.end], [], [], 0)[0] and (more := self.end.recv(1 << 20)):
            parts.append(more)
            self.keeper.send_queued()
        return decode(b"".join(parts))

    def die(self, code: int) -> None:
        self.process.code = code
        self.end.close()

    @property
    def failure(self) -> StoreError:
        [error] = [it for it in self.news if isinstance(it, StoreError)]
        return error


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    made = Played(tmp_path, monkeypatch, Frame(READY))
    yield made
    made.keeper.close()
    made.end.close()


def test_answers_are_heard_wherever_they_are_cut(played: Played) -> None:
    answers = said(
        Frame(FLUSHED, 1), Frame(FULL, 2), Frame(PROGRESS), Frame(DIGEST, 2, b"d" * 16),
        Frame(FLUSHED, 2), Frame(MOVED, 2, TERM.pack(9)),
    )  # fmt: skip
    for step in (1, 3, len(answers)):
        played.news.clear()
        for index in (1, 2):
            played.keeper.flush(index, 1)
        played.keeper.move(Path("/new"))
        for at in range(0, len(answers), step):
            played.end.sendall(answers[at : at + step])
            played.keeper.on_readable()
        assert played.news == [
            ("flushed", 1), "full", "gets on", ("digest", 2, b"d" * 16), ("flushed", 2),
            ("moved", 2, 9),
        ]  # fmt: skip
        assert played.keeper.wait(0), "all that was asked for is answered"


def test_what_was_written_and_cannot_be_read_here_is_a_failure(played: Played) -> None:
    """Under `ulimit -v` a store that was written anew could not be mapped: nobody heard of it."""

    def cannot(_index: int, _term: int) -> None:
        raise StoreBroken("Cannot allocate memory")

    async def story() -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def hear(error: StoreError) -> None:
            played.news.append(error)
            told.set()

        played.keeper.on_moved, played.keeper.on_failed = cannot, hear
        played.keeper.watch(loop, lambda: played.news.append("went on"))
        played.keeper.move(Path("/new"))
        played.end.sendall(said(Frame(MOVED, 2, TERM.pack(9))))
        async with asyncio.timeout(10):
            await told.wait()
        played.keeper.unwatch(loop)

    asyncio.run(story())
    assert [str(it) for it in played.news] == ["Cannot allocate memory"]
    assert played.keeper.wait(0), "nothing is waited for any more"


def test_nothing_to_read_is_no_news(played: Played) -> None:
    played.keeper.on_readable()
    assert played.news == []


def test_who_waits_waits_for_answers_and_not_for_ever(played: Played) -> None:
    assert played.keeper.wait(0)
    played.keeper.flush(1, 1)
    assert not played.keeper.wait(0)
    played.end.sendall(said(Frame(FULL, 1)))
    played.keeper.on_readable()
    assert not played.keeper.wait(0), "it is being tried again"
    played.end.sendall(said(Frame(FLUSHED, 1)))
    assert played.keeper.wait()


def test_a_backlog_leaves_in_order_as_fast_as_the_process_takes_it(played: Played) -> None:
    """More than the socket holds, in pieces of every size; nothing waits for it meanwhile."""
    sizes = [0, 1, 300 << 10] * 60 + list(range(600))
    frames = [Frame(PAYLOAD, it, TERM.pack(1) + bytes(size)) for it, size in enumerate(sizes)]
    for frame in frames:
        played.keeper.add(frame.index, 1, frame.body[TERM.size :])
    played.keeper.flush(len(sizes), 1)
    expected = [*frames, flush(len(sizes))]
    assert played.keeper._outgoing, "it was too much for the socket"
    assert played.heard() == expected
    assert not played.keeper._outgoing
    assert played.keeper._outgoing_bytes == 0


ENDS: list[tuple[int, type[StoreError]]] = [
    (1, StoreBroken),
    (-signal.SIGKILL, StoreBroken),
    (-signal.SIGBUS, StoreSuspect),
    (-signal.SIGSEGV, StoreSuspect),
]


@pytest.mark.parametrize(("code", "kind"), ENDS)
@pytest.mark.parametrize("notices", ["reading", "sending", "waiting"])
def test_a_process_that_is_gone_is_noticed_and_what_ended_it_said(
    played: Played, code: int, kind: type[StoreError], notices: str
) -> None:
    """A signal that damaged pages cause makes the store suspect; another end does not."""
    played.keeper.flush(1, 1)
    played.die(code)
    acts: dict[str, Callable[[], object]] = {
        "reading": played.keeper.on_readable,
        "sending": lambda: played.keeper.flush(2, 1),
        "waiting": played.keeper.wait,
    }
    acts[notices]()
    assert type(played.failure) is kind
    assert played.keeper.wait(0), "nothing is waited for any more"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"PageCorrupt: a page", PageCorrupt),
        (b"ValueCorrupt: a value", ValueCorrupt),
        (b"OSError: anything", StoreBroken),
        (b"\xff", StoreBroken),
    ],
)
def test_a_failure_is_the_error_that_it_names_where_that_matters(
    played: Played, text: bytes, kind: type[StoreError]
) -> None:
    played.keeper.flush(1, 1)
    played.end.sendall(said(Frame(FAILED, 1, text)))
    assert played.keeper.wait()
    assert type(played.failure) is kind


@pytest.mark.parametrize("first", [Frame(FAILED, 0, b"PageCorrupt: a page"), None])
def test_who_cannot_begin_says_so_before_anybody_rests_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Frame | None
) -> None:
    ended: list[object] = []
    monkeypatch.setattr(children, "end", ended.append)
    process = Process()

    def start(*arguments: str, pass_fds: list[int]) -> Process:
        del arguments
        if first is not None:
            os.write(pass_fds[0], first.encode())
        process.code = -signal.SIGBUS
        return process

    monkeypatch.setattr(children, "start", start)
    with pytest.raises(PageCorrupt if first else StoreSuspect):
        ProcessKeeper(tmp_path)
    assert ended == [process]


def test_an_entry_that_writes_nothing_is_handed_over_like_any_other(played: Played) -> None:
    """Nothing is left to be sent of it, which must not be waited for."""
    played.keeper.add(1, 1, b"")
    played.keeper.send_queued()
    assert played.heard() == [Frame(PAYLOAD, 1, TERM.pack(1))]
    assert not played.keeper._outgoing


def test_the_process_loads_no_event_loop() -> None:
    """Each member waits for its start, and a backup for another: a third of it was asyncio."""
    for module in ("roost.store.__main__", "roost.store.scrub", "roost.store.snapshot"):
        said = subprocess.run(
            [sys.executable, "-c", f"import sys, roost.children, {module}; print(*sys.modules)"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        assert module in said
        assert "asyncio" not in said
