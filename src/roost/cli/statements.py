"""Transactions as etcdctl reads them: comparisons, then what is done, then what otherwise.

    mod("config/level") > "0"
    value("config/level") = "debug"

    put config/level info

    get config/level
    del config/old --prefix

Each part ends with an empty line, the last one also with the end.  A comparison is one of create,
mod, version, value and lease (or c, m, ver, val), of a key in quotes, with <, = or > (and !=); what
is done is put, get or del, written as on a command line (etcd: etcdctl's txn).
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

from roost.client import Delete, Get, Key, Put
from roost.client.transactions import Comparison, Operation, Sign, Txn
from roost.errors import CallerFault

# What is asked for on a terminal, before each part.
PROMPTS = ("compares:", "success requests (get, put, del):", "failure requests (get, put, del):")
_COMPARISON = re.compile(
    r'\s*(\w+)\s*\(\s*("(?:[^"\\]|\\.)*")\s*\)\s*(!=|<|=|>)\s*("(?:[^"\\]|\\.)*"|[-\w]+)\s*'
)
_TARGETS = {
    **dict.fromkeys(("c", "create"), "CREATE"),
    **dict.fromkeys(("m", "mod"), "MOD"),
    **dict.fromkeys(("ver", "version"), "VERSION"),
    **dict.fromkeys(("val", "value"), "VALUE"),
    "lease": "LEASE",
}
_SIGNS = {"=": Sign.EQUAL, "!=": Sign.NOT_EQUAL, "<": Sign.LESS, ">": Sign.GREATER}
_INT64 = range(-(1 << 63), 1 << 63)


class BadStatement(CallerFault):
    """A line of a transaction is none."""


def read_txn(lines: Iterable[str]) -> Txn:
    """Read a transaction.

    Raises:
        BadStatement: a line is none.

    """
    rest = iter(lines)
    txn = _txn_of([list(_part(rest)) for _ in PROMPTS])
    more = next((it for it in rest if it.strip()), None)
    if more is not None:
        raise BadStatement(f"a transaction has three parts, and {more.strip()!r} is behind them")
    return txn


def read_prompted(lines: Iterable[str], say: Callable[[str], None]) -> Txn:
    """Read a transaction from who sits there; each part is asked for.

    Raises:
        BadStatement: a line is none.

    """
    rest = iter(lines)
    said: list[list[str]] = []
    for prompt in PROMPTS:
        say(prompt)
        said.append(list(_part(rest)))
    return _txn_of(said)


def _txn_of(parts: Sequence[Sequence[str]]) -> Txn:
    """A transaction of its three parts, each as lines."""
    when, then, otherwise = parts
    return Txn(
        [parse_comparison(it) for it in when],
        [parse_operation(it) for it in then],
        [parse_operation(it) for it in otherwise],
    )


def _part(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line.strip():
            return
        yield line


def parse_comparison(line: str) -> Comparison:
    """Read a comparison.

    Raises:
        BadStatement: it is none.

    """
    found = _COMPARISON.fullmatch(line.rstrip("\n"))
    target = _TARGETS.get(found[1]) if found else None
    if found is None or target is None:
        raise BadStatement(f'{line.strip()!r} is no comparison: write as mod("key") > "0"')
    operand = _unquoted(found[4])
    span = Key(_unquoted(found[2])).span
    if target == "VALUE":
        return Comparison(span, target, _SIGNS[found[3]], operand)
    return Comparison(span, target, _SIGNS[found[3]], _number(operand, is_hex=target == "LEASE"))


def _number(text: bytes, *, is_hex: bool) -> int:
    try:
        number = int(text, 16 if is_hex else 10)
    except ValueError as error:
        raise BadStatement(f"{text.decode(errors='replace')!r} is no number") from error
    if number not in _INT64:
        raise BadStatement(f"{number} is more than 64 bits hold")
    return number


_ESCAPE = re.compile(rb'\\(x[0-9a-fA-F]{2}|[0-7]{3}|[abfnrtv\\"\'])')
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t",
            b"v": b"\v", b"\\": b"\\", b'"': b'"', b"'": b"'"}  # fmt: skip


def _unquoted(text: str) -> bytes:
    r"""What stands in quotes, with Go's escapes of bytes: \n, \x00, \000."""
    data = text.encode(errors="surrogateescape")
    if not data.startswith(b'"'):
        return data

    def unescape(found: re.Match[bytes]) -> bytes:
        said = found[1]
        if said in _ESCAPED:
            return _ESCAPED[said]
        number = int(said[1:], 16) if said.startswith(b"x") else int(said, 8)
        if number > 255:
            raise BadStatement(f"{found[0].decode()} is no byte")
        return bytes((number,))

    return _ESCAPE.sub(unescape, data[1:-1])


def parse_operation(line: str) -> Operation:
    """Read a put, a get or a del, with etcdctl's options.

    Raises:
        BadStatement: it is none.

    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadStatement(f"{line.strip()!r}: {error}") from error
    names = [it for it in words[1:] if not it.startswith("--")]
    options = {it.partition("=")[0]: it.partition("=")[2] for it in words[1:] if it[:2] == "--"}
    keys = [it.encode(errors="surrogateescape") for it in names]
    stop, prefix = b"".join(keys[1:2]), "--prefix" in options
    if prefix and stop:
        raise BadStatement(f"{line.strip()!r}: a prefix says itself where its range ends")
    match words[:1], len(keys):
        case ["put"], 2:
            _check(line, options, {"--lease"})
            lease = _number(options.get("--lease", "0").encode(), is_hex=True)
            return Put(keys[0], keys[1], lease)
        case ["get"], 1 | 2:
            _check(line, options, {"--prefix", "--limit"})
            limit = _number(options.get("--limit", "0").encode(), is_hex=False)
            return Get(keys[0], stop, prefix, limit)
        case ["del"], 1 | 2:
            _check(line, options, {"--prefix"})
            return Delete(keys[0], stop, prefix)
        case _:
            raise BadStatement(
                f"{line.strip()!r} is none of: put KEY VALUE [--lease=ID], get KEY [END] "
                "[--prefix] [--limit=N], del KEY [END] [--prefix]"
            )


def _check(line: str, options: dict[str, str], known: set[str]) -> None:
    unknown = options.keys() - known
    if unknown:
        raise BadStatement(f"{line.strip()!r}: {min(unknown)} is no option of it")
