"""The places that a member would listen on: whether they are free, and who is there if not."""

import errno
import itertools
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from roost.cli.doctor.disk import existing
from roost.cli.doctor.row import Row, failed, ok, warned
from roost.cli.preflight import Listened
from roost.places import describe
from roost.server import CannotListen, bind

_LISTENS = "0A"  # proc(5), net/tcp: the state, in hexadecimal
_PROC = Path("/proc")
# `python -m roost.cli serve`
_WORDS_MAX = 4


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens; `command` is what it was started with."""

    process: int
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts:
    """Why a place cannot be taken, empty when it can; and by whom it is, where that is known."""

    trouble: str = ""
    is_taken: bool = False
    holder: Holder | None = None


def look_at_place(listened: Listened, *, shares_port: bool) -> PlaceFacts:
    """Take a place as a member would, and give it back; of a path nothing is made or removed."""
    place = listened.url.place
    if isinstance(place, Path):
        return _look_at_path(place)
    try:
        for sock in bind(place, shares_port=shares_port and not listened.is_peers):
            sock.close()
    except CannotListen as error:
        cause = error.__cause__
        is_taken = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        holder = find_holder(place[1]) if is_taken else None
        return PlaceFacts(trouble=str(error), is_taken=is_taken, holder=holder)
    return PlaceFacts()


def _look_at_path(path: Path) -> PlaceFacts:
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            if not sock.connect_ex(str(path)):
                return PlaceFacts(trouble=f"somebody listens on {path}", is_taken=True)
        return PlaceFacts()
    if path.exists():
        return PlaceFacts(trouble=f"{path} is there, and is no socket")
    above = path.absolute().parent
    if not above.is_dir() or not os.access(existing(above), os.W_OK | os.X_OK):
        return PlaceFacts(trouble=f"{above} is no directory that we may write to")
    return PlaceFacts()


def find_holder(port: int) -> Holder | None:
    """Who listens on a TCP port; None where that is not ours to see."""
    tables = [_lines(_PROC / "net" / name) for name in ("tcp", "tcp6")]
    sockets = {f"socket:[{it}]" for table in tables for it in listeners(table, port)}
    if not sockets:
        return None
    for path in _PROC.glob("[0-9]*/fd/*"):
        try:
            if str(path.readlink()) in sockets:
                process = path.parents[1]
                said = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return Holder(int(process.name), program_of(said))
        except OSError:
            continue  # it has ended, or is another user's
    return None


def program_of(words: Sequence[str]) -> str:
    """What a process runs, of its command line: what follows may be a password."""
    known = itertools.takewhile(lambda it: it and not it.startswith("--"), words)
    return " ".join(itertools.islice(known, _WORDS_MAX))


def listeners(table: Sequence[str], port: int) -> list[str]:
    """The inodes of the sockets that listen on a port, by the lines of /proc/net/tcp (proc(5))."""
    rows = (line.split() for line in table)
    return [
        it[9] for it in rows if len(it) > 9 and it[3] == _LISTENS and it[1].endswith(f":{port:04X}")
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class Runner:
    """The member that runs on our directory; 0 where its process is not known."""

    process: int


def port_rows(
    places: Sequence[Listened], runner: Runner | None, *, shares_port: bool
) -> Iterator[Row]:
    """A row for each place; `runner` is the member that should be there already."""
    for it in places:
        yield judge_place(it, look_at_place(it, shares_port=shares_port), runner)


def judge_place(listened: Listened, facts: PlaceFacts, runner: Runner | None) -> Row:
    """Whether a member can listen there, or does."""
    check = f"port {describe(listened.url.place)}"
    holder = facts.holder
    who = "by a process that is not ours to see"
    if holder is not None:
        who = f"by process {holder.process} ({holder.command})"
    if not facts.trouble:
        if runner is None:
            return ok(check, "free")
        text = f"give the doctor the flags that the member was started with: --{listened.flag}"
        return warned(check, "free, though a member runs on the data directory", text)
    if not facts.is_taken:
        text = f"another address in --{listened.flag}: `ip address` shows this machine's"
        return failed(check, facts.trouble, text)
    if runner is not None and (holder is None or holder.process == runner.process):
        return ok(check, f"taken {who}: a member runs on the data directory")
    process = 0 if holder is None else holder.process
    text = f"end who listens there, or choose another place with --{listened.flag}"
    return failed(check, f"taken {who}", text, process=process)
