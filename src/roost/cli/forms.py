"""etcdctl's forms of an answer, for scripts that were written for it: `roost get -w`."""

import base64
import json
import sys
from collections.abc import Callable

import click

from roost.cli.shared import say_bytes, text_of
from roost.proto import rpc_pb2

_COLUMNS = ("KEY", "VALUE", "CREATED", "MODIFIED", "VERSION", "LEASE")
# How keys and values are shown where a form does not say.
Show = Callable[[bytes], bytes]


def _simple(answer: rpc_pb2.RangeResponse, show: Show) -> None:
    for kv in answer.kvs:
        say_bytes(show(kv.key))
        say_bytes(show(kv.value))


def _json(answer: rpc_pb2.RangeResponse, _show: Show) -> None:
    """As Go's encoding/json writes it: numbers are numbers, and what is zero is left out."""
    header = answer.header
    row = {
        "header": _present(
            cluster_id=header.cluster_id,
            member_id=header.member_id,
            revision=header.revision,
            raft_term=header.raft_term,
        ),
        **_present(
            kvs=[
                _present(
                    key=base64.b64encode(kv.key).decode(),
                    create_revision=kv.create_revision,
                    mod_revision=kv.mod_revision,
                    version=kv.version,
                    value=base64.b64encode(kv.value).decode(),
                    lease=kv.lease,
                )
                for kv in answer.kvs
            ],
            more=answer.more,
            count=answer.count,
        ),
    }
    click.echo(json.dumps(row, separators=(",", ":")))


def _present(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}


def _fields(answer: rpc_pb2.RangeResponse, _show: Show) -> None:
    header = answer.header
    rows: list[tuple[str, object]] = [
        ("ClusterID", header.cluster_id),
        ("MemberID", header.member_id),
        ("Revision", header.revision),
        ("RaftTerm", header.raft_term),
    ]
    for kv in answer.kvs:
        rows += [
            ("Key", _quoted(kv.key)),
            ("CreateRevision", kv.create_revision),
            ("ModRevision", kv.mod_revision),
            ("Version", kv.version),
            ("Value", _quoted(kv.value)),
            ("Lease", kv.lease),
        ]
    rows += [("More", str(answer.more).lower()), ("Count", answer.count)]
    for name, value in rows:
        click.echo(f'"{name}" : {value}')


def _quoted(data: bytes) -> str:
    """As Go's %q, as far as text goes."""
    shown = text_of(data).replace("\\", "\\\\") if _is_text(data) else text_of(data)
    for char, escape in (('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        shown = shown.replace(char, escape)
    return f'"{shown}"'


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _table(answer: rpc_pb2.RangeResponse, show: Show) -> None:
    """Etcdctl has no table of keys; this one looks like its others."""
    rows = [
        (
            text_of(show(kv.key)),
            text_of(show(kv.value)),
            str(kv.create_revision),
            str(kv.mod_revision),
            str(kv.version),
            f"{kv.lease:x}",
        )
        for kv in answer.kvs
    ]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    click.echo(rule)
    for position, row in enumerate((_COLUMNS, *rows)):
        cells = (f" {cell:<{width}} " for cell, width in zip(row, widths, strict=True))
        click.echo(f"|{'|'.join(cells)}|")
        if not position:
            click.echo(rule)
    if rows:
        click.echo(rule)


def _protobuf(answer: rpc_pb2.RangeResponse, _show: Show) -> None:
    sys.stdout.buffer.write(answer.SerializeToString())


FORMS: dict[str, Callable[[rpc_pb2.RangeResponse, Show], None]] = {
    "simple": _simple,
    "table": _table,
    "json": _json,
    "fields": _fields,
    "protobuf": _protobuf,
}
