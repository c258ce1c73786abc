"""`roost get`: keys as people, pipes and programs want them.

On a terminal bytes that are no text are escaped; into a pipe or a file they go as they are.  With
`-w` the answer has one of etcdctl's forms, for scripts that were written for it.
"""

import sys
from collections.abc import Sequence

import click

from roost.cli.exits import EXIT_FAILED
from roost.cli.forms import FORMS
from roost.cli.kv import SORT_KEYS, range_of, range_options
from roost.cli.shared import NUMBER, client_options, connect, row_of, say_bytes, say_json
from roost.client import Item
from roost.proto import kv_pb2


@click.command()
@click.argument("key")
@range_options
@click.option("--limit", type=NUMBER, default=0, help="At most so many keys.")
@click.option("--revision", "--rev", type=NUMBER, default=0, help="As of this revision; 0 is now.")
@click.option("--serializable", is_flag=True, help="The member's own state, without a round.")
@click.option("--keys-only", is_flag=True, help="Without values.")
@click.option("--count-only", is_flag=True, help="Only how many there are.")
@click.option("--sort-by", type=click.Choice(SORT_KEYS), default="key", help="What orders them.")
@click.option("--descending", is_flag=True, help="The highest first.")
@click.option("--raw", is_flag=True, help="Only the values' bytes, and nothing between them.")
@click.option("--hex", "is_hex", is_flag=True, help=r"Keys and values as \x6b\x65\x79.")
@click.option(
    "--write-out",
    "-w",
    "form",
    type=click.Choice(["simple", "table", "json", "fields", "protobuf"]),
    help="The whole answer, in a form of etcdctl's.",
)
@client_options
def get(
    key: str,
    endpoints: str,
    timeout_s: float,
    limit: int,
    revision: int,
    sort_by: str,
    end: str,
    form: str | None,
    *,
    as_json: bool,
    prefix: bool,
    from_key: bool,
    serializable: bool,
    keys_only: bool,
    count_only: bool,
    descending: bool,
    raw: bool,
    is_hex: bool,
) -> None:
    r"""Print KEY, or all keys of a range; exit code 1 when there is none.

    \b
    Example:
        roost get greeting
        roost get config/ --prefix
        roost get '' --prefix
        roost get picture --raw > picture.png
        roost get greeting -w json
    """
    if sum((as_json, raw, form is not None)) > 1:
        raise click.UsageError("--json, --raw and --write-out exclude each other")
    first, stop = range_of(key, end, prefix=prefix, from_key=from_key)
    with connect(endpoints, timeout_s) as client:
        answer = client.ask_range(
            first,
            stop,
            limit=limit,
            revision=revision,
            serializable=serializable,
            keys_only=keys_only,
            count_only=count_only,
            sort_by=sort_by,
            descending=descending,
        )
    if form is not None:
        FORMS[form](answer, _as_hex if is_hex else _as_is)
    elif count_only:
        say_json({"count": answer.count}) if as_json else click.echo(answer.count)
    elif as_json:
        for kv in answer.kvs:
            say_json(row_of(Item.of(kv)))
    else:
        _say_rows(answer.kvs, is_range=bool(stop), keys_only=keys_only, raw=raw, is_hex=is_hex)
    if not answer.kvs and not count_only:
        sys.exit(EXIT_FAILED)


def _as_is(data: bytes) -> bytes:
    return data


def _as_hex(data: bytes) -> bytes:
    """As etcdctl --hex."""
    return "".join(f"\\x{byte:02x}" for byte in data).encode()


def _say_rows(
    kvs: Sequence[kv_pb2.KeyValue], *, is_range: bool, keys_only: bool, raw: bool, is_hex: bool
) -> None:
    show = _as_hex if is_hex else _as_is
    for kv in kvs:
        if raw:
            sys.stdout.buffer.write(show(kv.key if keys_only else kv.value))
        elif keys_only:
            say_bytes(show(kv.key))
        elif is_range:
            say_bytes(show(kv.key), show(kv.value))
        else:
            say_bytes(show(kv.value))
