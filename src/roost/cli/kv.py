"""`roost put`, `get`, `del`, `txn`, `watch`, `compact`: keys, for people and with `--json`."""

import subprocess
import sys
from collections.abc import Callable

import click
from google.protobuf import json_format

from roost.cli.shared import (
    client_options,
    connect,
    hexadecimal,
    row_of,
    say_json,
    text_of,
)
from roost.client import Change, prefix_end
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
    name = key.encode()
    if prefix:
        return (name, prefix_end(name)) if name else (b"\0", b"\0")
    if from_key:
        return name or b"\0", b"\0"
    return name, end.encode()


@click.command()
@click.argument("key")
@click.argument("value", required=False)
@click.option("--lease", callback=hexadecimal, help="The key goes away with this lease.")
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
        data = sys.stdin.buffer.read() if value is None else value.encode()
    with connect(endpoints, timeout_s) as client:
        revision = client.put(
            key.encode(), data, lease=lease, keeps_value=ignore_value, keeps_lease=ignore_lease
        )
    if as_json:
        say_json({"revision": revision})
    else:
        click.echo(f"OK, revision {revision}")


@click.command()
@click.argument("key")
@range_options
@click.option("--limit", default=0, help="At most so many keys.")
@click.option("--revision", default=0, help="As of this revision; 0 is now.")
@click.option("--serializable", is_flag=True, help="The member's own state, without a round.")
@click.option("--keys-only", is_flag=True, help="Without values.")
@click.option("--count-only", is_flag=True, help="Only how many there are.")
@click.option("--sort-by", type=click.Choice(SORT_KEYS), default="key", help="What orders them.")
@click.option("--descending", is_flag=True, help="The highest first.")
@client_options
def get(
    key: str,
    endpoints: str,
    timeout_s: float,
    limit: int,
    revision: int,
    sort_by: str,
    end: str,
    *,
    as_json: bool,
    prefix: bool,
    from_key: bool,
    serializable: bool,
    keys_only: bool,
    count_only: bool,
    descending: bool,
) -> None:
    r"""Print KEY, or all keys of a range; exit code 1 when there is none.

    \b
    Example:
        roost get greeting
        roost get config/ --prefix
    """
    first, stop = range_of(key, end, prefix=prefix, from_key=from_key)
    with connect(endpoints, timeout_s) as client:
        if count_only:
            count = client.count(first, stop)
            say_json({"count": count}) if as_json else click.echo(count)
            return
        items = client.range(
            first,
            stop,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            sort_by=sort_by,
            descending=descending,
        )
    for item in items:
        if as_json:
            say_json(row_of(item))
        elif keys_only:
            click.echo(text_of(item.key))
        elif stop:
            click.echo(f"{text_of(item.key)}\t{text_of(item.value)}")
        else:
            click.echo(text_of(item.value))
    if not items:
        sys.exit(1)


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
    r"""Run a transaction: a TxnRequest as protobuf JSON on standard input.

    \b
    Example:
        echo '{"success": [{"request_put": {"key": "a2V5", "value": "dg=="}}]}' | roost txn
    """
    try:
        request = json_format.Parse(sys.stdin.read(), rpc_pb2.TxnRequest())
    except json_format.ParseError as error:
        raise click.ClickException(f"standard input is no TxnRequest: {error}") from error
    with connect(endpoints, timeout_s) as client:
        answer = client.txn(request)
    if as_json:
        click.echo(json_format.MessageToJson(answer, indent=None))
    else:
        click.echo("SUCCESS" if answer.succeeded else "FAILURE")
        click.echo(json_format.MessageToJson(answer))


@click.command()
@click.argument("key")
@click.argument("command", nargs=-1)
@range_options
@click.option("--revision", default=0, help="From this revision on; 0 is from now on.")
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
    with connect(endpoints, timeout_s) as client:
        for change in client.watch(first, stop, start_revision=revision, prev_kv=prev_kv):
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
        before_text = "" if change.before is None else f"\t{text_of(change.before.value)}"
        item = change.item
        click.echo(f"{_kind(change)}\t{text_of(item.key)}\t{text_of(item.value)}{before_text}")
    sys.stdout.flush()


def _run(command: tuple[str, ...], change: Change) -> None:
    import os

    told = {
        "TYPE": _kind(change),
        "KEY": text_of(change.item.key),
        "VALUE": text_of(change.item.value),
        "REVISION": str(change.item.mod_revision),
    }
    environment = {**os.environ, **{f"ROOST_WATCH_{name}": it for name, it in told.items()}}
    subprocess.run(command, env=environment, check=False)  # noqa: S603 - what the user asks for


@click.command()
@click.argument("revision", type=int)
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


@click.command()
@click.argument("destination")
@click.option("--prefix", default="", help="Only keys that begin with this.")
@click.option("--dest-prefix", default="", help="What stands there instead of the prefix.")
@client_options
def mirror(
    destination: str,
    prefix: str,
    dest_prefix: str,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    r"""Copy all keys to the cluster at DESTINATION, then every change, until interrupted.

    \b
    Example:
        roost mirror 10.0.0.9:2379 --prefix config/
    """
    from roost.client import Client

    first, stop = range_of(prefix, "", prefix=True, from_key=False)
    with (
        connect(endpoints, timeout_s) as source,
        Client([destination], timeout_s=timeout_s) as target,
    ):

        def there(key: bytes) -> bytes:
            return dest_prefix.encode() + key[len(prefix) :] if dest_prefix else key

        items = source.range(first, stop)
        for item in items:
            target.put(there(item.key), item.value)
        revision = max((it.mod_revision for it in items), default=0)
        if as_json:
            say_json({"copied": len(items)})
        else:
            click.echo(f"{len(items)} keys copied; following")
        sys.stdout.flush()
        for change in source.watch(first, stop, start_revision=revision + 1):
            if change.is_delete:
                target.delete(there(change.item.key))
            else:
                target.put(there(change.item.key), change.item.value)
