"""`roost status` and `roost health`: what members say of themselves."""

import sys
import time
from collections.abc import Sequence

import click

from roost.cli.exits import EXIT_FAILED
from roost.cli.shared import client_options, connect, failed, say_json, say_table
from roost.client import Client, ClientError, Status


@click.command()
@client_options
def status(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Show what each endpoint says of itself; exit code 1 when one does not answer.

    \b
    Example:
        roost status --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """
    is_complete = True
    table: list[Sequence[str]] = [("ENDPOINT", "MEMBER", "LEADER", "TERM", "INDEX", "REVISION")]
    silent: list[str] = []
    with connect(endpoints, timeout_s) as client:
        for name in client.endpoints:
            try:
                said = client.status(name)
            except ClientError as error:
                is_complete = False
                if as_json:
                    say_json({"endpoint": name, "error": failed(error).message})
                else:
                    silent.append(f"{name}  {failed(error).message}")
                continue
            if as_json:
                say_json(_row_of(said))
            else:
                numbers = (said.term, said.index, said.revision)
                leads = "yes" if said.is_leader else "no"
                table.append((name, f"{said.member_id:x}", leads, *map(str, numbers)))
    if not as_json:
        say_table(table, right=(3, 4, 5))
        for line in silent:
            click.echo(line)
    if not is_complete:
        sys.exit(EXIT_FAILED)


def _row_of(said: Status) -> dict[str, object]:
    return {
        "endpoint": said.endpoint,
        "member_id": f"{said.member_id:x}",
        "is_leader": said.is_leader,
        "leader": f"{said.leader_id:x}",
        "term": said.term,
        "index": said.index,
        "applied_index": said.applied_index,
        "revision": said.revision,
        "version": said.version,
        "db_bytes": said.db_bytes,
    }


@click.command()
@client_options
def health(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Say whether each endpoint serves reads that are current, and no alarm is raised.

    Exit code 1 when one does not, or one is.

    \b
    Example:
        roost health --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """
    is_good = True
    with connect(endpoints, timeout_s) as client:
        width = max(map(len, client.endpoints))
        for endpoint in client.endpoints:
            with client.at(endpoint) as one:
                begin = time.monotonic()
                wrong = _what_is_wrong(one)
            took_ms = (time.monotonic() - begin) * 1000
            is_good &= not wrong
            if as_json:
                row = {"endpoint": endpoint, "health": not wrong, "took_ms": round(took_ms, 2)}
                say_json({**row, "error": wrong} if wrong else row)
            else:
                click.echo(f"{endpoint:<{width}}  {wrong or f'healthy, {took_ms:.1f} ms'}")
    if not is_good:
        sys.exit(EXIT_FAILED)


def _what_is_wrong(client: Client) -> str:
    """Why an endpoint is not healthy; empty when it is."""
    try:
        client.get(b"health")
        raised = sorted({it.kind for it in client.alarms()})
    except ClientError as error:
        # As with etcdctl: who may not read, or see alarms, is at least answered.
        return "" if "permission denied" in error.text else failed(error).message
    return f"alarms are raised: {', '.join(raised)}; see `roost alarm list`" if raised else ""
