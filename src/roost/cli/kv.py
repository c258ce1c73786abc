"""`roost put`, `get`, `del`, `txn`, `watch`, `status`: for people, with `--json` for programs."""

import base64
import sys
from typing import Any

import click
from google.protobuf import json_format

from roost.cli.shared import client_options, connect, say_json
from roost.client import ClientError, Item, prefix_end
from roost.etcd.proto import rpc_pb2


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _row(item: Item) -> dict[str, Any]:  # Any: what JSON can hold
    """A key for programs: text where it is text, base64 beside it where it is not."""
    row: dict[str, Any] = {
        "key": _text(item.key),
        "value": _text(item.value),
        "create_revision": item.create_revision,
        "mod_revision": item.mod_revision,
        "version": item.version,
    }
    for name, data in (("key", item.key), ("value", item.value)):
        try:
            data.decode()
        except UnicodeDecodeError:
            row[f"{name}_base64"] = base64.b64encode(data).decode()
    return row


@click.command()
@click.argument("key")
@click.argument("value", required=False)
@client_options
def put(key: str, value: str | None, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Set KEY to VALUE; without VALUE it is read from standard input.

    \b
    Example:
        roost put greeting hello
    """
    data = sys.stdin.buffer.read() if value is None else value.encode()
    with connect(endpoints, timeout_s) as client:
        revision = client.put(key.encode(), data)
    if as_json:
        say_json({"revision": revision})
    else:
        click.echo(f"OK, revision {revision}")


@click.command()
@click.argument("key")
@click.option("--prefix", is_flag=True, help="All keys that begin with KEY.")
@click.option("--limit", default=0, help="At most so many keys.")
@click.option("--revision", default=0, help="As of this revision; 0 is now.")
@click.option("--serializable", is_flag=True, help="The member's own state, without a round.")
@client_options
def get(
    key: str,
    endpoints: str,
    timeout_s: float,
    limit: int,
    revision: int,
    *,
    as_json: bool,
    prefix: bool,
    serializable: bool,
) -> None:
    r"""Print KEY, or all keys with a prefix; exit code 1 when there is none.

    \b
    Example:
        roost get greeting
        roost get config/ --prefix
    """
    name = key.encode()
    with connect(endpoints, timeout_s) as client:
        items = client.range(
            name,
            prefix_end(name) if prefix else b"",
            limit=limit,
            revision=revision,
            serializable=serializable,
        )
    for item in items:
        if as_json:
            say_json(_row(item))
        elif prefix:
            click.echo(f"{_text(item.key)}\t{_text(item.value)}")
        else:
            click.echo(_text(item.value))
    if not items:
        sys.exit(1)


@click.command("del")
@click.argument("key")
@click.option("--prefix", is_flag=True, help="All keys that begin with KEY.")
@client_options
def delete(key: str, endpoints: str, timeout_s: float, *, as_json: bool, prefix: bool) -> None:
    r"""Delete KEY, or all keys with a prefix.

    \b
    Example:
        roost del greeting
    """
    name = key.encode()
    with connect(endpoints, timeout_s) as client:
        count = client.delete(name, prefix_end(name) if prefix else b"")
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
@click.option("--prefix", is_flag=True, help="All keys that begin with KEY.")
@click.option("--revision", default=0, help="From this revision on; 0 is from now on.")
@client_options
def watch(
    key: str, endpoints: str, timeout_s: float, revision: int, *, as_json: bool, prefix: bool
) -> None:
    r"""Print every change of KEY until interrupted.

    \b
    Example:
        roost watch config/ --prefix
    """
    name = key.encode()
    with connect(endpoints, timeout_s) as client:
        end = prefix_end(name) if prefix else b""
        for change in client.watch(name, end, start_revision=revision):
            kind = "DELETE" if change.is_delete else "PUT"
            if as_json:
                say_json({"type": kind, **_row(change.item)})
            else:
                click.echo(f"{kind}\t{_text(change.item.key)}\t{_text(change.item.value)}")
            sys.stdout.flush()


@click.command()
@client_options
def status(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Show what each endpoint says of itself; exit code 1 when one does not answer.

    \b
    Example:
        roost status --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """
    names = endpoints.split(",")
    is_complete = True
    if not as_json:
        click.echo(
            f"{'ENDPOINT':<24}{'MEMBER':<18}{'LEADER':<8}{'TERM':>6}{'INDEX':>10}{'REVISION':>10}"
        )
    with connect(endpoints, timeout_s) as client:
        rows = client.status()
    for position, answer in rows:
        if isinstance(answer, ClientError):
            is_complete = False
            if as_json:
                say_json({"endpoint": names[position], "error": str(answer)})
            else:
                click.echo(f"{names[position]:<24}{answer}")
            continue
        member = answer.header.member_id
        is_leader = answer.leader == member
        if as_json:
            say_json(
                {
                    "endpoint": names[position],
                    "member_id": f"{member:x}",
                    "is_leader": is_leader,
                    "leader": f"{answer.leader:x}",
                    "term": answer.raftTerm,
                    "index": answer.raftIndex,
                    "applied_index": answer.raftAppliedIndex,
                    "revision": answer.header.revision,
                    "version": answer.version,
                    "db_bytes": answer.dbSize,
                }
            )
        else:
            click.echo(
                f"{names[position]:<24}{member:<18x}{'yes' if is_leader else 'no':<8}"
                f"{answer.raftTerm:>6}{answer.raftIndex:>10}{answer.header.revision:>10}"
            )
    if not is_complete:
        sys.exit(1)
