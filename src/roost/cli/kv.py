"""`roost put`, `del`, `txn`, `watch`, `compact`: keys, for people and with `--json`."""

import subprocess
import sys
from collections.abc import Callable

import click
from google.protobuf import json_format

from roost.cli.exits import EXIT_USAGE
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.shared import (
    NUMBER,
    Failed,
    bytes_of,
    client_options,
    connect,
    escaped,
    lease_id_of,
    row_of,
    say_bytes,
    say_json,
)
from roost.client import Change, prefix_end
from roost.errors import CallerFault
from roost.proto import rpc_pb2

SORT_KEYS = ("key", "version", "create", "mod", "value")


def range_options(command: Callable[..., None]) -> Callable[..., None]:
    """The ways to mean more than one key."""
    for option in (
        click.option("--from-key", is_flag=True, help="KEY and all keys behind it."),
        click.option("--end", default="", help="Keys from KEY to before this one."),
        click.option("--prefix", is_flag=True, help="All keys that begin with KEY."),
    ):
        command = option(command)
    return command


def range_of(key: str, end: str, *, prefix: bool, from_key: bool) -> tuple[bytes, bytes]:
    """Key and range_end as etcd wants them."""
    if sum((bool(end), prefix, from_key)) > 1:
        raise click.UsageError("--prefix, --from-key and --end exclude each other")
    name = bytes_of(key)
    if prefix:
        return (name, prefix_end(name)) if name else (b"\0", b"\0")
    if from_key:
        return name or b"\0", b"\0"
    return name, bytes_of(end)


@click.command()
@click.argument("key")
@click.argument("value", required=False)
@click.option("--lease", callback=lease_id_of, help="The key goes away with this lease.")
@click.option("--ignore-value", is_flag=True, help="Keep the value; only the lease changes.")
@click.option("--ignore-lease", is_flag=True, help="Keep the lease; only the value changes.")
@client_options
def put(
    key: str,
    value: str | None,
    endpoints: str,
    timeout_s: float,
    lease: int,
    *,
    as_json: bool,
    ignore_value: bool,
    ignore_lease: bool,
) -> None:
    r"""Set KEY to VALUE; without VALUE it is read from standard input.

    \b
    Example:
        roost put greeting hello
    """
    if ignore_value:
        data = b""
    else:
        data = _typed_value() if value is None else bytes_of(value)
    with connect(endpoints, timeout_s) as client:
        revision = client.put(
            bytes_of(key), data, lease=lease, keeps_value=ignore_value, keeps_lease=ignore_lease
        )
    if as_json:
        say_json({"revision": revision})
    else:
        click.echo(f"OK, revision {revision}")


def _typed_value() -> bytes:
    """Standard input; who sits there is told that it is waited for."""
    if sys.stdin.isatty():
        click.echo("the value, then Ctrl-D on a line of its own:", err=True)
    return sys.stdin.buffer.read()


@click.command("del")
@click.argument("key")
@range_options
@client_options
def delete(
    key: str,
    endpoints: str,
    timeout_s: float,
    end: str,
    *,
    as_json: bool,
    prefix: bool,
    from_key: bool,
) -> None:
    r"""Delete KEY, or all keys of a range.

    \b
    Example:
        roost del greeting
    """
    first, stop = range_of(key, end, prefix=prefix, from_key=from_key)
    with connect(endpoints, timeout_s) as client:
        count = client.delete(first, stop)
    if as_json:
        say_json({"deleted": count})
    else:
        click.echo(f"{count} deleted")


@click.command()
@client_options
def txn(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Run a transaction, which standard input says as etcdctl does, or as protobuf JSON.

    Comparisons, an empty line, what is done if all of them hold, an empty line, what is done else.
    It prints SUCCESS, or FAILURE when that was done else, and what each operation says: keys and
    values of a get, how many a del has deleted.  --json has the whole answer.

    \b
    Example:
        printf 'mod("k") = "0"\n\nput k made\n\nget k\n' | roost txn
        echo '{"success": [{"request_put": {"key": "a2V5", "value": "dg=="}}]}' | roost txn
    """
    try:
        request = _read_request()
    except json_format.ParseError as error:
        raise Failed(f"standard input is no TxnRequest: {error}", EXIT_USAGE) from error
    except CallerFault as error:
        raise Failed(str(error), EXIT_USAGE) from error
    with connect(endpoints, timeout_s) as client:
        answer = client.ask_txn(request)
    if as_json:
        click.echo(json_format.MessageToJson(answer, indent=None))
    else:
        _say_answer(answer)


def _say_answer(answer: rpc_pb2.TxnResponse) -> None:
    """Which branch was taken, and what each of its operations says, as its own command would."""
    click.echo("SUCCESS" if answer.succeeded else "FAILURE")
    for it in answer.responses:
        match it.WhichOneof("response"):
            case "response_range":
                for kv in it.response_range.kvs:
                    say_bytes(kv.key, kv.value)
            case "response_delete_range":
                click.echo(f"{it.response_delete_range.deleted} deleted")
            case "response_txn":
                _say_answer(it.response_txn)
            case _:
                click.echo("OK")


def _read_request() -> rpc_pb2.TxnRequest:
    """What standard input says; on a terminal each part is asked for.

    Raises:
        ParseError: it begins as JSON and is none.
        BadStatement: a line of it is none.

    """
    from roost.cli.statements import read_prompted, read_txn

    if sys.stdin.isatty():
        return read_prompted(sys.stdin, lambda text: click.echo(text, err=True)).request()
    said = sys.stdin.read()
    if said.lstrip().startswith("{"):
        return json_format.Parse(said, rpc_pb2.TxnRequest())
    return read_txn(said.splitlines()).request()


@click.command()
@click.argument("key")
@click.argument("command", nargs=-1)
@range_options
@click.option(
    "--revision", "--rev", type=NUMBER, default=0, help="From this revision on; 0 is from now on."
)
@click.option("--prev-kv", is_flag=True, help="What was there before, too.")
@client_options
def watch(
    key: str,
    command: tuple[str, ...],
    endpoints: str,
    timeout_s: float,
    revision: int,
    end: str,
    *,
    as_json: bool,
    prefix: bool,
    from_key: bool,
    prev_kv: bool,
) -> None:
    r"""Print every change of KEY until interrupted, or run COMMAND for each.

    COMMAND finds the change in ROOST_WATCH_TYPE, ROOST_WATCH_KEY, ROOST_WATCH_VALUE and
    ROOST_WATCH_REVISION.

    \b
    Example:
        roost watch config/ --prefix
        roost watch config/ --prefix -- sh -c 'echo $ROOST_WATCH_KEY'
    """
    first, stop = range_of(key, end, prefix=prefix, from_key=from_key)
    with interruptible(leave_done), connect(endpoints, timeout_s) as client:
        for change in client.watch(first, stop, since=revision, before=prev_kv):
            if command:
                _run(command, change)
            else:
                _say_change(change, as_json=as_json)


def _kind(change: Change) -> str:
    return "DELETE" if change.is_delete else "PUT"


def _say_change(change: Change, *, as_json: bool) -> None:
    if as_json:
        before = {} if change.before is None else {"before": row_of(change.before)}
        say_json({"type": _kind(change), **row_of(change.item), **before})
    else:
        parts = [_kind(change).encode(), change.item.key, change.item.value]
        if change.before is not None:
            parts.append(change.before.value)
        say_bytes(*parts)
    sys.stdout.flush()


def _run(command: tuple[str, ...], change: Change) -> None:
    import os

    told = {
        b"TYPE": _kind(change).encode(),
        b"KEY": change.item.key,
        b"VALUE": change.item.value,
        b"REVISION": b"%d" % change.item.mod_revision,
    }
    environment = dict(os.environb)
    for name, data in told.items():
        # A variable ends at a NUL: such bytes are escaped.
        environment[b"ROOST_WATCH_" + name] = data if b"\0" not in data else escaped(data)
    subprocess.run(command, env=environment, check=False)  # noqa: S603 - what the user asks for


@click.command()
@click.argument("revision", type=NUMBER)
@client_options
def compact(revision: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Forget the history before REVISION.

    \b
    Example:
        roost compact 1000
    """
    with connect(endpoints, timeout_s) as client:
        client.compact(revision)
    if as_json:
        say_json({"compacted": revision})
    else:
        click.echo(f"compacted up to revision {revision}")
